// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"chronik/node"
)

// Brokers of two releases visit each other, so these bytes may not change.
func TestVisitBytes(t *testing.T) {
	v := visitOf{visitPage, "User:a", "::1", "broker"}
	got := hex.EncodeToString(v.append(hello{cluster: "c", from: 1, to: 2, visit: true}.append(nil)))
	const want = "43485243" + "000a" + "00000001" + "00000002" + "0163" + "00000000" + "00" + "00000000000000000000000000000000" +
		"50" + "0006" + "557365723a61" + "03" + "3a3a31" + "06" + "62726f6b6572"
	if got != want {
		t.Errorf("%s, want\n%s", got, want)
	}
	if back, err := readVisit(bytes.NewReader(v.append(nil))); err != nil || back != v {
		t.Errorf("read %+v, %v", back, err)
	}
	for _, wrong := range []visitOf{{'X', "User:a", "h", ""}, {visitKafka, "", "h", ""}, {visitKafka, strings.Repeat("a", maxPrincipal+1), "h", ""}} {
		if _, err := readVisit(bytes.NewReader(wrong.append(nil))); err == nil {
			t.Errorf("a visit is read of %.50v", wrong)
		}
	}
}

// Visits are taken from brokers of the cluster alone, and not at all where anybody could make a name up.
func TestVisitsAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		from    node.BrokerID
		secret  string
		logins  bool
		refused string
	}{
		{2, "", false, ""},
		{2, "", true, "without a cluster secret"},
		{2, "a secret of the cluster", true, ""},
		{9, "a secret of the cluster", true, "none of this cluster's"},
	} {
		cfg := Config{Dir: t.TempDir(), Listen: "127.0.0.1:0", PeerListen: freeAddr(t), PeerSecret: c.secret, Log: quiet(), Limits: Limits{StopTime: time.Second}}
		cfg.Node = node.Config{ClusterID: "c", BrokerID: 1, Authorize: c.logins, Members: []node.Member{{ID: 1, Host: "h", Port: 1, Peer: cfg.PeerListen}, {ID: 2, Host: "h", Port: 2, Peer: freeAddr(t)}}}
		cfg.Node.Log.SegmentBytes = 1 << 20
		if err := Format(cfg.Dir, Meta{ClusterID: "c", BrokerID: 1}); err != nil {
			t.Fatal(err)
		}
		h, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		run(t, h)
		waitFor(t, "the members", func() bool { return h.peers.link(2) != nil })
		other, err := listenPeers("", c.secret, hello{cluster: "c", from: c.from}, newMailbox(), 64<<20, quiet())
		if err != nil {
			t.Fatal(err)
		}
		other.update([]node.Member{{ID: 1, Peer: cfg.PeerListen}})
		sock, err := other.pay(t.Context(), 1, visitOf{visitKafka, "User:admin", "127.0.0.1", ""})
		if (err == nil) != (c.refused == "") || err != nil && !strings.Contains(err.Error(), c.refused) {
			t.Errorf("broker %d, secret %q, logins %v: %v", c.from, c.secret, c.logins, err)
		}
		if err == nil {
			if !c.logins { // or it waits for the other broker, to know who may do what
				sock.SetDeadline(time.Now().Add(10 * time.Second))
				sock.Write(apiVersions)
				mustRead(t, sock)
			}
			sock.Close()
		}
		other.close()
	}
}

// A crowd that asks for a page has it made now and then; an error isn't kept.
func TestPagesForACrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recent
		made, wrong := 0, errors.New("wrong")
		page := func() (any, error) {
			if made++; wrong != nil {
				return nil, wrong
			}
			return made, nil
		}
		ask := func(want string) {
			t.Helper()
			if text, err := r.get("p", page); string(text) != want || (err == nil) != (want != "") {
				t.Errorf("%q, %v, want %q", text, err, want)
			}
		}
		ask("")
		ask("")
		wrong = nil
		for range 100 {
			ask("3")
		}
		time.Sleep(recentTime)
		ask("4")
	})
}

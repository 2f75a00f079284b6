// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"chronik/node"
)

// Two versions of a program talk to each other, so these bytes may change only with peerVersion.
func TestPeerBytes(t *testing.T) {
	var g gather
	g.envelope([]byte("123456789"))
	g.cut()
	got := []string{
		hex.EncodeToString(hello{cluster: "abc", from: 1, to: 258}.append(nil)),
		hex.EncodeToString(appendAnswer(nil, "")),
		hex.EncodeToString(appendAnswer(nil, "no")),
		hex.EncodeToString(g.bufs[0]),
	}
	want := []string{
		"4348524b" + "0001" + "00000001" + "00000102" + "03" + "616263",
		"4348524b" + "0001" + "0000",
		"4348524b" + "0001" + "0002" + "6e6f",
		"00000009" + "e3069283" + "313233343536373839",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	h, err := readHello(bytes.NewReader(hello{cluster: "abc", from: 1, to: 258}.append(nil)))
	if err != nil || h != (hello{cluster: "abc", from: 1, to: 258}) {
		t.Errorf("read %+v, %v", h, err)
	}
}

func FuzzPeerHandshake(f *testing.F) {
	f.Add(hello{cluster: "abc", from: 1, to: 2}.append(nil))
	f.Add(appendAnswer(nil, "no"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := readHello(bytes.NewReader(b)); err == nil {
			if got := h.append(nil); !bytes.HasPrefix(b, got) {
				t.Errorf("read %+v from %x, which is written as %x", h, b, got)
			}
		}
		_ = readAnswer(bytes.NewReader(b)) // must not panic
	})
}

// pair starts two brokers that know each other.
func pair(t *testing.T, clusterA, clusterB string) (a, b *peers) {
	t.Helper()
	la, lb := freeAddr(t), freeAddr(t)
	start := func(addr, cluster string, id, other node.BrokerID, otherAddr string) *peers {
		p, err := listenPeers(addr, hello{cluster: cluster, from: id},
			map[node.BrokerID]string{other: otherAddr}, newMailbox(), quiet())
		if err != nil {
			t.Fatal(err)
		}
		p.start()
		t.Cleanup(p.close)
		return p
	}
	return start(la, clusterA, 1, 2, lb), start(lb, clusterB, 2, 1, la)
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// takeMessages waits for n messages and gives their room back.
func takeMessages(t *testing.T, p *peers, n int) (got []node.Message) {
	t.Helper()
	c := newClock()
	deadline := c.now().Add(10 * time.Second)
	for len(got) < n {
		if c.now() >= deadline {
			t.Fatalf("%d of %d messages arrived in 10 s", len(got), n)
		}
		in := p.mail.take(c, deadline)
		got = append(got, in.Messages...)
		p.consumed(in.Messages)
	}
	return got
}

func TestMessagesArriveBothWays(t *testing.T) {
	a, b := pair(t, "c", "c")
	for i := range 100 {
		data := bytes.Repeat([]byte{byte(i)}, 1+i*100)
		a.send([]node.Message{{From: 1, To: 2, Data: data}})
		b.send([]node.Message{{From: 2, To: 1, Data: data}})
		if i%20 == 0 {
			time.Sleep(30 * time.Millisecond) // across connecting, at most offlineEnvelopes wait
		}
	}
	for _, p := range []*peers{a, b} {
		last := takeMessages(t, p, 90)
		m := last[len(last)-1]
		if m.To != p.self.from || m.From != 3-p.self.from || len(m.Data) != 1+int(m.Data[0])*100 {
			t.Errorf("got a message from %d to %d with %d bytes of %d", m.From, m.To, len(m.Data), m.Data[0])
		}
	}
}

// A broker that comes late hears the newest of what was said before (R7), and one that is killed
// and comes back is connected again.
func TestALatePeerHearsTheNewest(t *testing.T) {
	addrA, addrB := freeAddr(t), freeAddr(t)
	a, err := listenPeers(addrA, hello{cluster: "c", from: 1}, map[node.BrokerID]string{2: addrB}, newMailbox(), quiet())
	if err != nil {
		t.Fatal(err)
	}
	a.start()
	defer a.close()
	for round := range 3 {
		for i := range 1000 {
			a.send([]node.Message{{To: 2, Data: fmt.Appendf(nil, "%d.%d", round, i)}})
		}
		b, err := listenPeers(addrB, hello{cluster: "c", from: 2}, map[node.BrokerID]string{1: addrA}, newMailbox(), quiet())
		if err != nil {
			t.Fatal(err)
		}
		b.start()
		start := time.Now()
		got := takeMessages(t, b, 1)
		for string(got[len(got)-1].Data) != fmt.Sprintf("%d.999", round) {
			got = append(got, takeMessages(t, b, 1)...)
		}
		if len(got) > offlineEnvelopes {
			t.Errorf("round %d: %d envelopes were kept for a broker that was not there", round, len(got))
		}
		if d := time.Since(start); d > 3*backoffMax {
			t.Errorf("round %d: connecting took %v", round, d)
		}
		b.close()
		waitFor(t, "the lost connection to be noticed", func() bool {
			l := a.links[2]
			l.mu.Lock()
			defer l.mu.Unlock()
			return !l.connected
		})
	}
}

func TestAWrongClusterIsRefused(t *testing.T) {
	a, _ := pair(t, "left", "right")
	sock, err := net.Dial("tcp", a.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close()
	l := &link{peers: &peers{self: hello{cluster: "right", from: 2}}, to: 1}
	err = l.shakeHands(sock)
	if err == nil || !strings.Contains(err.Error(), `belongs to cluster "left", you to "right"`) {
		t.Errorf("got %v", err)
	}
	a.send([]node.Message{{To: 2, Data: []byte("x")}})
	time.Sleep(200 * time.Millisecond)
	if l := a.links[2]; l.connected {
		t.Error("connected to a broker of another cluster")
	}
}

func TestRefusals(t *testing.T) {
	self := hello{cluster: "c", from: 1}
	known := func(id node.BrokerID) bool { return id == 2 }
	for _, c := range []struct {
		h    hello
		want string
	}{
		{hello{"c", 2, 1}, ""},
		{hello{"d", 2, 1}, "belongs to cluster"},
		{hello{"c", 2, 3}, "this is broker 1, you look for broker 3"},
		{hello{"c", 9, 1}, "broker 9 is not in this broker's list"},
	} {
		got := refusal(c.h, self, known)
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%+v: %q, want %q in it", c.h, got, c.want)
		}
	}
}

func TestChangedBytesEndTheConnection(t *testing.T) {
	a, _ := pair(t, "c", "c")
	takeover, err := net.Dial("tcp", a.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer takeover.Close()
	l := &link{peers: &peers{self: hello{cluster: "c", from: 2}}, to: 1}
	if err := l.shakeHands(takeover); err != nil {
		t.Fatal(err)
	}
	takeover.Write(append([]byte{0, 0, 0, 4, 1, 2, 3, 4}, "data"...))
	takeover.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := takeover.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("got %v, want the connection closed", err)
	}
	if in := a.mail.take(newClock(), 0); len(in.Messages) > 0 {
		t.Errorf("took an envelope with a wrong checksum: %v", in.Messages)
	}
}

// One peer that is not there, and one that takes nothing, hold up nobody and stay within bounds
// (R6).
func TestADeadPeerCostsABoundedQueue(t *testing.T) {
	l := newLink(nil, 2, "")
	big := make([]byte, 1<<20)
	for range 200 {
		l.push(big)
	}
	if l.bytes > offlineBytes {
		t.Errorf("%d bytes are kept for a peer that is not there", l.bytes)
	}
	l.connected = true
	for range 200 {
		l.push(big)
	}
	if l.bytes > linkBytes || len(l.queue) != linkBytes>>20 {
		t.Errorf("%d bytes in %d envelopes wait for a slow peer", l.bytes, len(l.queue))
	}
	if l.dropped != 400-uint64(len(l.queue)) {
		t.Errorf("%d dropped and %d kept of 400", l.dropped, len(l.queue))
	}
}

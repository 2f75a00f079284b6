// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chronik/node"
)

// secretPair starts two brokers with secrets, and returns whether a message gets from the first to the second.
func secretPair(t *testing.T, a, b string) bool {
	t.Helper()
	la, lb := freeAddr(t), freeAddr(t)
	members := []node.Member{{ID: 1, Peer: la}, {ID: 2, Peer: lb}}
	var ends []*peers
	for i, secret := range []string{a, b} {
		p, err := listenPeers(members[i].Peer, secret, hello{cluster: "c", from: members[i].ID}, newMailbox(), 64<<20, quiet())
		if err != nil {
			t.Fatal(err)
		}
		p.start()
		p.update(members)
		t.Cleanup(p.close)
		ends = append(ends, p)
	}
	ends[0].send([]node.Envelope{{To: 2, Pieces: [][]byte{[]byte("hi")}}})
	c := newClock()
	in := ends[1].mail.take(c, c.now().Add(time.Second))
	return len(in.Messages) == 1
}

func TestOnlyWhoKnowsTheSecretIsHeard(t *testing.T) {
	const secret = "0123456789abcdef"
	for _, c := range []struct {
		a, b string
		want bool
	}{{secret, secret, true}, {"", "", true}, {"", secret, false}, {secret, "", false}, {secret, "fedcba9876543210", false}} {
		if got := secretPair(t, c.a, c.b); got != c.want {
			t.Errorf("secrets %q and %q: heard %v", c.a, c.b, got)
		}
	}
}

// A proof that was heard once serves no second time, and the listener's own is none.
func TestProofsServeOnce(t *testing.T) {
	const secret = "0123456789abcdef"
	addr := freeAddr(t)
	startSecret(t, addr, secret)
	h := hello{cluster: "c", from: 2, to: 1, nonce: newNonce()}
	replay := func(answer func(challenge []byte) []byte) string {
		sock, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer sock.Close()
		sock.SetDeadline(time.Now().Add(5 * time.Second))
		sock.Write(h.append(nil))
		challenge := make([]byte, nonceBytes+proofBytes)
		if _, err := sock.Read(challenge); err != nil {
			t.Fatal(err)
		}
		sock.Write(answer(challenge))
		them, _, err := readAnswer(sock, peerVersions)
		if err == nil {
			return ""
		}
		if them != (replica{}) {
			t.Errorf("a stranger is told of %+v", them)
		}
		return err.Error()
	}
	var heard []byte
	if text := replay(func(c []byte) []byte {
		heard = proof(secret, "dialer", h, nonce(c[:nonceBytes]))
		return heard
	}); text != "" {
		t.Fatalf("the right proof is refused: %s", text)
	}
	for name, answer := range map[string]func(c []byte) []byte{
		"an old proof":         func([]byte) []byte { return heard },
		"the listener's own":   func(c []byte) []byte { return c[nonceBytes:] },
		"zeros":                func([]byte) []byte { return make([]byte, proofBytes) },
		"with an empty secret": func(c []byte) []byte { return proof("", "dialer", h, nonce(c[:nonceBytes])) },
		"with the wrong end":   func(c []byte) []byte { return proof(secret, "listener", h, nonce(c[:nonceBytes])) },
		"for another hello": func(c []byte) []byte {
			return proof(secret, "dialer", hello{cluster: "c", from: 3, to: 1}, nonce(c[:nonceBytes]))
		},
		"for another connection": func([]byte) []byte { return proof(secret, "dialer", h, newNonce()) },
	} {
		if text := replay(answer); !strings.Contains(text, "another cluster secret") {
			t.Errorf("%s: %q", name, text)
		}
	}
}

func startSecret(t *testing.T, addr, secret string) {
	t.Helper()
	p, err := listenPeers(addr, secret, hello{cluster: "c", from: 1}, newMailbox(), 64<<20, quiet())
	if err != nil {
		t.Fatal(err)
	}
	p.start()
	t.Cleanup(p.close)
}

func TestOpenPeerPortNeedsASecret(t *testing.T) {
	for addr, open := range map[string]bool{
		"": false, "127.0.0.1:1": false, "localhost:1": false, "[::1]:1": false,
		"0.0.0.0:1": true, ":1": true, "10.0.0.5:1": true, "[::]:1": true, "broker-1:1": true,
	} {
		if err := checkOpen(addr, ""); (err != nil) != open {
			t.Errorf("%q: %v", addr, err)
		}
		if err := checkOpen(addr, "0123456789abcdef"); err != nil {
			t.Errorf("%q with a secret: %v", addr, err)
		}
	}
}

func TestSecretFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if _, err := ReadSecrets(path); err == nil || !strings.Contains(err.Error(), "broker format") {
		t.Errorf("a missing file: %v", err)
	}
	if made, err := MakeSecret(path); !made || err != nil {
		t.Fatal(made, err)
	}
	first, err := ReadSecrets(path)
	if err != nil || len(first) != 1 || len(first[0]) < MinSecretBytes {
		t.Fatal(first, err)
	}
	if made, err := MakeSecret(path); made || err != nil {
		t.Error("it is made anew")
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("everybody can read it: %v", info.Mode())
	}
	os.WriteFile(path, []byte("short\n"), 0o600)
	if _, err := ReadSecrets(path); err == nil {
		t.Error("a short secret is taken")
	}
}

// TestSecretChangesUnderWay changes the secret of two brokers step by step, as OPERATIONS.md says, while they talk. Nothing
// gets lost at any step, and in the end the old secret opens nothing, not even the connections that it had opened.
func TestSecretChangesUnderWay(t *testing.T) {
	for _, again := range []bool{true, false} {
		t.Run(fmt.Sprintf("connections made anew at each step: %v", again), func(t *testing.T) { testSecretChanges(t, again) })
	}
}

// changing is two brokers whose secrets come from a file each.
type changing struct {
	t       *testing.T
	members []node.Member
	files   []string
	ends    []*peers
}

func startChanging(t *testing.T, secret string) *changing {
	dir := t.TempDir()
	c := &changing{t: t, members: []node.Member{{ID: 1, Peer: freeAddr(t)}, {ID: 2, Peer: freeAddr(t)}}}
	c.files = []string{filepath.Join(dir, "1"), filepath.Join(dir, "2")}
	for i, m := range c.members {
		c.write(i, secret)
		p, err := listenPeers(m.Peer, secret, hello{cluster: "c", from: m.ID}, newMailbox(), 64<<20, quiet())
		if err != nil {
			t.Fatal(err)
		}
		p.secrets.file = c.files[i]
		p.start()
		p.update(c.members)
		t.Cleanup(p.close)
		c.ends = append(c.ends, p)
	}
	return c
}

func (c *changing) write(i int, lines ...string) {
	temp := c.files[i] + ".new"
	if err := errors.Join(os.WriteFile(temp, []byte(strings.Join(lines, "\n")+"\n"), 0o600), os.Rename(temp, c.files[i])); err != nil {
		c.t.Fatal(err)
	}
}

// talk demands that each hears the other.
func (c *changing) talk(step string) {
	c.t.Helper()
	for _, to := range []int{1, 0} {
		clock, from := newClock(), c.ends[1-to]
		for end := clock.now().Add(5 * time.Second); ; {
			from.send([]node.Envelope{{To: c.members[to].ID, Pieces: [][]byte{[]byte(step)}}})
			in := c.ends[to].mail.take(clock, clock.now().Add(50*time.Millisecond))
			if n := len(in.Messages); n > 0 && string(in.Messages[n-1].Data) == step {
				break
			}
			if clock.now() > end {
				c.t.Fatalf("%s: broker %d isn't heard", step, from.self.from)
			}
		}
	}
}

// opens reports whether a stranger with a secret is let in.
func (c *changing) opens(secret string) bool {
	sock, err := net.Dial("tcp", c.members[0].Peer)
	if err != nil {
		c.t.Fatal(err)
	}
	defer sock.Close()
	sock.SetDeadline(time.Now().Add(5 * time.Second))
	h := hello{cluster: "c", from: 3, to: 1, nonce: newNonce()}
	sock.Write(h.append(nil))
	if _, err := answerChallenge(sock, []string{secret}, h); err != nil {
		return false
	}
	_, _, err = readAnswer(sock, peerVersions)
	return err == nil
}

func (c *changing) reconnect(i int) {
	c.ends[i].mu.Lock()
	defer c.ends[i].mu.Unlock()
	for sock := range c.ends[i].socks {
		sock.Close()
	}
}

func testSecretChanges(t *testing.T, again bool) {
	const old, fresh = "0123456789abcdef", "fedcba9876543210"
	c := startChanging(t, old)
	c.talk("old")
	for _, lines := range [][]string{{old, fresh}, {fresh, old}, {fresh}} {
		for i := range c.files {
			c.write(i, lines...)
			if again {
				c.reconnect(i) // each with the other as it is
			}
			c.talk(fmt.Sprint(lines, i))
		}
	}
	time.Sleep(2 * secretCheck)
	c.talk("after it")
	for _, p := range c.ends {
		p.mu.Lock()
		for _, secret := range p.proven {
			if secret == old {
				t.Error("a connection lives that the old secret opened")
			}
		}
		p.mu.Unlock()
	}
	if c.opens(old) || !c.opens(fresh) {
		t.Errorf("the old secret opens: %v, the new one: %v", c.opens(old), c.opens(fresh))
	}
	for _, bad := range []string{"", "short", "\n"} {
		c.write(0, bad)
		c.talk(fmt.Sprintf("with a bad file %q", bad))
	}
}

// TestSecretLines is what a file may hold.
func TestSecretLines(t *testing.T) {
	const a, b = "0123456789abcdef", "fedcba9876543210"
	for text, want := range map[string]int{
		a: 1, a + "\n": 1, "\n " + a + " \r\n\n": 1, a + "\n" + b + "\n": 2, "": 0, "\n": 0, a + "\nshort\n": 0,
		strings.Repeat(a+"\n", maxSecrets+1): 0,
	} {
		path := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		list, err := ReadSecrets(path)
		if len(list) != want || (err == nil) != (want > 0) || err != nil && !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %d secrets, %v", text, len(list), err)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"chronik/node"
)

// Releases talk to each other, so these bytes may never change.
func TestPeerBytes(t *testing.T) {
	var g gather
	g.envelope(10, [][]byte{[]byte("1234"), []byte("56789")})
	g.envelope(11, [][]byte{[]byte("1234"), []byte("56789")})
	g.envelope(11, nil)
	g.cut()
	got := []string{
		hex.EncodeToString(hello{cluster: "abc", from: 1, to: 258, replica: replica{7, "xyz"}}.append(nil)),
		hex.EncodeToString(appendAnswer(nil, 10, replica{}, false, "")),
		hex.EncodeToString(appendAnswer(nil, 10, replica{7, "xyz"}, true, "no")),
		hex.EncodeToString(g.bufs[0]),
	}
	want := []string{
		"4348524b" + "000a" + "00000001" + "00000102" + "03" + "616263" + "00000007" + "03" + "78797a" + "00000000000000000000000000000000",
		"4348524b" + "000a" + "00000000" + "00" + "00" + "0000",
		"4348524b" + "000a" + "00000007" + "03" + "78797a" + "01" + "0002" + "6e6f",
		"00000009" + "e3069283" + "313233343536373839" +
			"00000009" + "e3069283" + "9e0bd8d0" + "313233343536373839" +
			"00000000" + "00000000" + "8c28b28a",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	wrote := hello{cluster: "abc", from: 1, to: 258, replica: replica{7, "xyz"}, speaks: versions{10, 12}}
	wrote.nonce.tell(12)
	if h, err := readHello(bytes.NewReader(wrote.append(nil))); err != nil || h != wrote {
		t.Errorf("read %+v, %v", h, err)
	}
	answer := appendAnswer(nil, 11, wrote.replica, false, "")
	if r, version, err := readAnswer(bytes.NewReader(answer), versions{10, 12}); err != nil || r != wrote.replica || version != 11 {
		t.Errorf("read %+v, %d, %v", r, version, err)
	}
}

func FuzzPeerHandshake(f *testing.F) {
	f.Add(hello{cluster: "abc", from: 1, to: 2, replica: replica{7, "xyz"}}.append(nil))
	f.Add(appendAnswer(nil, 10, replica{7, "xyz"}, true, "no"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := readHello(bytes.NewReader(b)); err == nil {
			if got := h.append(nil); !bytes.HasPrefix(b, got) {
				t.Errorf("read %+v from %x, which is written as %x", h, b, got)
			}
		}
		_, _, _ = readAnswer(bytes.NewReader(b), peerVersions) // must not panic
	})
}

// startPeers starts a broker's side of the network; it ends with the test.
func startPeers(t *testing.T, addr string, self hello, members ...node.Member) *peers {
	t.Helper()
	p, err := listenPeers(addr, "", self, newMailbox(), 64<<20, quiet())
	if err != nil {
		t.Fatal(err)
	}
	p.start()
	p.update(members)
	t.Cleanup(p.close)
	return p
}

// pair starts two brokers that know each other.
func pair(t *testing.T, clusterA, clusterB string) (a, b *peers) {
	t.Helper()
	la, lb := freeAddr(t), freeAddr(t)
	members := []node.Member{{ID: 1, Peer: la}, {ID: 2, Peer: lb}}
	return startPeers(t, la, hello{cluster: clusterA, from: 1}, members...),
		startPeers(t, lb, hello{cluster: clusterB, from: 2}, members...)
}

func freeAddr(t *testing.T) string {
	t.Helper()
	for range 100 {
		// Below the ports that the system gives away: such a one may be another process's a moment later.
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(10_000)))
		if err != nil {
			continue
		}
		defer l.Close()
		return l.Addr().String()
	}
	t.Fatal("no free port")
	return ""
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
		a.send([]node.Envelope{{To: 2, Pieces: [][]byte{data}}})
		b.send([]node.Envelope{{To: 1, Pieces: [][]byte{data}}})
		if i%20 == 0 {
			time.Sleep(30 * time.Millisecond) // across connecting, at most offlineEnvelopes wait
		}
	}
	for _, p := range []*peers{a, b} {
		last := takeMessages(t, p, 90)
		m := last[len(last)-1]
		if m.From != 3-p.self.from || len(m.Data) != 1+int(m.Data[0])*100 {
			t.Errorf("got a message from %d with %d bytes of %d", m.From, len(m.Data), m.Data[0])
		}
	}
}

// A broker that comes late hears the newest of what was said before, or a follower might never catch up; and one that is killed
// and comes back is connected again.
func TestALatePeerHearsTheNewest(t *testing.T) {
	addrA, addrB := freeAddr(t), freeAddr(t)
	a := startPeers(t, addrA, hello{cluster: "c", from: 1}, node.Member{ID: 2, Peer: addrB})
	for round := range 3 {
		for i := range 1000 {
			a.send([]node.Envelope{{To: 2, Pieces: [][]byte{fmt.Appendf(nil, "%d.%d", round, i)}}})
		}
		b := startPeers(t, addrB, hello{cluster: "c", from: 2}, node.Member{ID: 1, Peer: addrA})
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
	l := newLink(&peers{self: hello{cluster: "right", from: 2}}, 1, "")
	_, err = l.shakeHands(sock, false)
	if err == nil || !strings.Contains(err.Error(), `belongs to cluster "left", you to "right"`) {
		t.Errorf("got %v", err)
	}
	a.send([]node.Envelope{{To: 2, Pieces: [][]byte{[]byte("x")}}})
	time.Sleep(200 * time.Millisecond)
	if l := a.links[2]; l.connected {
		t.Error("connected to a broker of another cluster")
	}
}

func TestRefusals(t *testing.T) {
	self := hello{cluster: "c", from: 1}
	const formattedAgain = "knows broker 2 with another data folder"
	for _, c := range []struct {
		h     hello
		known string // folder of the dialer
		want  string
	}{
		{hello{"c", 2, 1, replica{founder, "x"}, nonce{}, false, versions{}}, "", ""}, // has never registered
		{hello{"c", 2, 1, replica{founder, "x"}, nonce{}, false, versions{}}, "x", ""},
		{hello{"c", 2, 1, replica{founder, "y"}, nonce{}, false, versions{}}, "x", formattedAgain}, // its votes are forgotten
		{hello{"c", 2, 1, replica{1e9, "y"}, nonce{}, false, versions{}}, "x", ""},                 // lost its disk and comes back as a new replica
		{hello{"c", 9, 1, replica{1e9, "y"}, nonce{}, false, versions{}}, "", ""},                  // is new
		{hello{"d", 2, 1, replica{founder, "x"}, nonce{}, false, versions{}}, "x", "belongs to cluster"},
		{hello{"c", 2, 3, replica{founder, "x"}, nonce{}, false, versions{}}, "x", "this is broker 1, you look for broker 3"},
		{hello{"c", 1, 1, replica{1e9, "x"}, nonce{}, false, versions{}}, "y", "this is broker 1, too"},
	} {
		got, final := refusal(c.h, self, c.known)
		if final != (c.want == formattedAgain) {
			t.Errorf("%+v: final: %v", c.h, final)
		}
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%+v: %q, want %q in it", c.h, got, c.want)
		}
	}
}

// A founder whose folder was formatted again is neither listened to nor talked to by those who know
// its old one.
func TestAFounderThatForgotIsShutOut(t *testing.T) {
	la, lb := freeAddr(t), freeAddr(t)
	a := startPeers(t, la, hello{cluster: "c", from: 1}, node.Member{ID: 2, Peer: lb, Folder: "old"})
	b := startPeers(t, lb, hello{cluster: "c", from: 2, replica: replica{founder, "new"}}, node.Member{ID: 1, Peer: la})
	a.send([]node.Envelope{{To: 2, Pieces: [][]byte{[]byte("x")}}})
	b.send([]node.Envelope{{To: 1, Pieces: [][]byte{[]byte("x")}}})
	time.Sleep(300 * time.Millisecond) // some tries
	for _, p := range []*peers{a, b} {
		if in := p.mail.take(newClock(), 0); len(in.Messages) > 0 {
			t.Errorf("broker %d took %v", p.self.from, in.Messages)
		}
	}
	a.update([]node.Member{{ID: 2, Peer: lb, Folder: "new"}}) // registered again
	takeMessages(t, a, 1)
	takeMessages(t, b, 1)
}

func TestLinksFollowTheMembers(t *testing.T) {
	addr := []string{freeAddr(t), freeAddr(t), freeAddr(t), freeAddr(t)}
	member := func(id int, addr string) node.Member { return node.Member{ID: node.BrokerID(id), Peer: addr} }
	one := member(1, addr[0])
	a := startPeers(t, addr[0], hello{cluster: "c", from: 1}, one)
	b := startPeers(t, addr[1], hello{cluster: "c", from: 2}, one, member(2, addr[1])) // new: only it knows of itself
	b.send([]node.Envelope{{To: 1, Pieces: [][]byte{[]byte("let me in")}}})
	if m := takeMessages(t, a, 1)[0]; m.From != 2 {
		t.Errorf("got %+v", m)
	}
	a.send([]node.Envelope{{To: 2, Pieces: [][]byte{[]byte("lost")}}})
	both := []node.Member{one, member(2, addr[1])}
	a.update(both)
	first := a.links[2]
	a.send([]node.Envelope{{To: 2, Pieces: [][]byte{[]byte("welcome")}}})
	if m := takeMessages(t, b, 1)[0]; string(m.Data) != "welcome" {
		t.Errorf("got %q", m.Data)
	}
	a.update(both)
	if a.links[2] != first {
		t.Error("the link began anew although nothing changed")
	}
	b.close()
	b = startPeers(t, addr[2], hello{cluster: "c", from: 2}, one) // moved
	a.update([]node.Member{one, member(2, addr[2])})
	a.send([]node.Envelope{{To: 2, Pieces: [][]byte{[]byte("again")}}})
	if m := takeMessages(t, b, 1)[0]; string(m.Data) != "again" {
		t.Errorf("got %q", m.Data)
	}
	moved := a.links[2]
	a.update([]node.Member{one}) // removed
	a.send([]node.Envelope{{To: 2, Pieces: [][]byte{[]byte("nobody")}}})
	waitFor(t, "the link to end", func() bool { moved.mu.Lock(); defer moved.mu.Unlock(); return !moved.connected })
	if len(a.links) != 0 {
		t.Errorf("%d links", len(a.links))
	}
}

// Brokers that are not in the cluster, such as some that were removed and still run, keep no new one
// from introducing itself.
func TestStrangersAreBounded(t *testing.T) {
	addr := freeAddr(t)
	a := startPeers(t, addr, hello{cluster: "c", from: 1}, node.Member{ID: 100, Peer: freeAddr(t)})
	connect := func(id node.BrokerID) net.Conn {
		sock, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { sock.Close() })
		l := newLink(&peers{self: hello{cluster: "c", from: id}}, 1, addr)
		if _, err := l.shakeHands(sock, false); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the connection to count", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return len(a.inbound[id]) > 0 })
		return sock
	}
	known := connect(100)
	var socks []net.Conn
	for id := range 3 * maxStrangers {
		socks = append(socks, connect(node.BrokerID(200+id)))
		var g gather
		g.envelope(peerVersions.highest, [][]byte{[]byte("x")})
		if err := g.writeTo(socks[id]); err != nil {
			t.Fatal(err)
		}
		if m := takeMessages(t, a, 1)[0]; m.From != node.BrokerID(200+id) {
			t.Errorf("got %+v", m)
		}
	}
	alive := 0
	for _, sock := range append(socks, known) {
		sock.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := sock.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
			alive++
		} else if sock == known {
			t.Errorf("the connection of a member was closed: %v", err)
		}
	}
	if alive != maxStrangers+1 {
		t.Errorf("%d connections are open, want %d strangers and a member", alive, maxStrangers)
	}
}

// Whoever connects and says nothing takes the places of its own address, and those of no other.
func TestSilentStrangersOfAnAddressAreBounded(t *testing.T) {
	addr := freeAddr(t)
	a := startPeers(t, addr, hello{cluster: "c", from: 1})
	from := func(ip string) net.Conn {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
		sock, err := d.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { sock.Close() })
		return sock
	}
	var silent []net.Conn
	for range 2 * maxGreetings {
		silent = append(silent, from("127.0.0.2"))
	}
	open := 0
	for _, sock := range silent {
		sock.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		if _, err := sock.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
			open++
		}
	}
	if open != maxGreetings {
		t.Errorf("%d silent connections of an address are open, want %d", open, maxGreetings)
	}
	l := newLink(&peers{self: hello{cluster: "c", from: 9}}, 1, addr)
	if _, err := l.shakeHands(from("127.0.0.3"), false); err != nil {
		t.Errorf("a broker of another address: %v", err)
	}
	for _, sock := range silent {
		sock.Close()
	}
	waitFor(t, "nobody is counted", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return a.greetings == 0 && len(a.greeting) == 0 })
}

func TestChangedBytesEndTheConnection(t *testing.T) {
	a, _ := pair(t, "c", "c")
	takeover, err := net.Dial("tcp", a.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer takeover.Close()
	l := newLink(&peers{self: hello{cluster: "c", from: 2}}, 1, "")
	if _, err := l.shakeHands(takeover, false); err != nil {
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

// A peer that is not there, and one that reads nothing, hold up nobody and stay within bounds. If one peer's
// retries blocked the others, elections would fail although a majority is up.
func TestADeadPeerCostsABoundedQueue(t *testing.T) {
	l := newLink(&peers{linkBytes: 64 << 20}, 2, "")
	big := make([]byte, 1<<20)
	for range 200 {
		l.push([][]byte{big})
	}
	if l.bytes > offlineBytes {
		t.Errorf("%d bytes are kept for a peer that is not there", l.bytes)
	}
	l.connected = true
	for range 200 {
		l.push([][]byte{big})
	}
	if l.bytes > l.peers.linkBytes || len(l.queue) != l.peers.linkBytes>>20 {
		t.Errorf("%d bytes in %d envelopes wait for a slow peer", l.bytes, len(l.queue))
	}
	if l.dropped != 400-uint64(len(l.queue)) {
		t.Errorf("%d dropped and %d kept of 400", l.dropped, len(l.queue))
	}
}

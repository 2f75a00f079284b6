// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"chronik/node"
)

// said is lines of a log that may be read while it is written.
type said struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(b)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// speakers are two brokers that speak some versions, and what they log.
func speakers(t *testing.T, one, two versions) (ends [2]*peers, lines [2]*said) {
	members := []node.Member{{ID: 1, Peer: freeAddr(t)}, {ID: 2, Peer: freeAddr(t)}}
	for i, v := range []versions{one, two} {
		lines[i] = new(said)
		self := hello{cluster: "c", from: members[i].ID, speaks: v}
		p, err := listenPeers(members[i].Peer, "", self, newMailbox(), 64<<20, slog.New(slog.NewTextHandler(lines[i], nil)))
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = p
		p.start()
		p.update(members)
		t.Cleanup(p.close)
	}
	return ends, lines
}

// TestVersionsInCommon has brokers talk to each other in the highest version that both speak, whoever dials.
func TestVersionsInCommon(t *testing.T) {
	for _, c := range []struct {
		one, two versions
		want     uint16
	}{
		{versions{10, 10}, versions{10, 10}, 10},
		{versions{10, 10}, versions{10, 11}, 10},
		{versions{10, 11}, versions{10, 11}, 11},
		{versions{10, 11}, versions{11, 13}, 11},
		{versions{10, 14}, versions{11, 12}, 12},
	} {
		t.Run(fmt.Sprintf("%v, %v", c.one, c.two), func(t *testing.T) {
			ends, lines := speakers(t, c.one, c.two)
			data := bytes.Repeat([]byte("x"), 5000)
			for i, p := range ends {
				p.send([]node.Envelope{{To: node.BrokerID(2 - i), Pieces: [][]byte{data[:2000], data[2000:]}}})
			}
			var ways [2]uint64
			for i, p := range ends {
				m := takeMessages(t, p, 1)[0]
				if ways[i] = m.Via; !bytes.Equal(m.Data, data) {
					t.Errorf("%d bytes arrived as %d", len(data), len(m.Data))
				}
			}
			for i, p := range ends {
				p.send([]node.Envelope{{To: node.BrokerID(2 - i), Back: ways[i], Pieces: [][]byte{[]byte("back")}}})
			}
			for i, p := range ends {
				if m := takeMessages(t, p, 1)[0]; string(m.Data) != "back" {
					t.Errorf("%q came back", m.Data)
				}
				if want := fmt.Sprintf("version=%d", c.want); !strings.Contains(lines[i].String(), want) {
					t.Errorf("no %s in %s", want, lines[i])
				}
			}
		})
	}
}

// TestNoVersionInCommon has both ends say so, with both ranges and what to do.
func TestNoVersionInCommon(t *testing.T) {
	ends, lines := speakers(t, versions{10, 11}, versions{12, 13})
	for i, want := range []string{
		"refused: you speak versions 10 to 11 of the peer protocol, this broker versions 12 to 13: your release is too old. Start this broker's release there",
		"refused: you speak versions 12 to 13 of the peer protocol, this broker versions 10 to 11: your release is too new. Start the release before it there again",
	} {
		other := strings.Replace(want, "refused", fmt.Sprintf("told broker %d", 1+i), 1) // the listener's line of the same connection
		waitFor(t, "both to say why", func() bool {
			return strings.Contains(lines[i].String(), want) && strings.Contains(lines[1-i].String(), other)
		})
	}
	for i, p := range ends {
		p.send([]node.Envelope{{To: node.BrokerID(2 - i), Pieces: [][]byte{[]byte("x")}}})
	}
	time.Sleep(300 * time.Millisecond) // some tries
	for _, p := range ends {
		if in := p.mail.take(newClock(), 0); len(in.Messages) > 0 {
			t.Errorf("broker %d took %v", p.self.from, in.Messages)
		}
	}
}

// TestAHelloFromBeforeTheLast says what to do about a release whose hello looks otherwise.
func TestAHelloFromBeforeTheLast(t *testing.T) {
	h := hello{cluster: "c", from: 2, to: 1, speaks: versions{9, 9}}
	if _, err := readHello(bytes.NewReader(h.append(nil))); err == nil || !strings.Contains(err.Error(), "speaks version 9 of the peer protocol, this one versions") {
		t.Errorf("got %v", err)
	}
}

// TestAChanceNumberNamesNoVersion: a dialer of version 10 sends nothing but chance there.
func TestAChanceNumberNamesNoVersion(t *testing.T) {
	for range 1000 {
		n := newNonce()
		if got := n.told(10); got != (versions{10, 10}) {
			t.Fatalf("%x says %v", n, got)
		}
		if n.tell(13); n.told(10) != (versions{10, 13}) || n.told(14) != (versions{14, 14}) {
			t.Fatalf("%x says %v to a 10 and %v to a 14", n, n.told(10), n.told(14))
		}
	}
}

// TestADamagedHead is noticed before room is made for what its length says, from version 11 on.
func TestADamagedHead(t *testing.T) {
	var g gather
	g.envelope(11, [][]byte{[]byte("data")})
	g.cut()
	for bit := range 12 * 8 {
		b := bytes.Clone(g.bufs[0])
		b[bit/8] ^= 1 << (bit % 8)
		near, far := net.Pipe()
		defer near.Close()
		_, err := readEnvelope(far, bufio.NewReader(bytes.NewReader(b)), 11, func(n int64) bool {
			t.Errorf("bit %d: made room for %d bytes", bit, n)
			return true
		})
		if !errors.Is(err, errHead) {
			t.Errorf("bit %d: %v", bit, err)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"chronik/node"
)

// quiet is a logger whose lines nobody reads.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// testServer is clients and a loop around a step function that stands for the node.
type testServer struct {
	*clients
	stop func()
}

func serve(t testing.TB, limits Limits, step func(in *node.Input, out *node.Output)) testServer {
	t.Helper()
	return serveAndLog(t, quiet(), limits, step)
}

func serveAndLog(t testing.TB, log *slog.Logger, limits Limits, step func(in *node.Input, out *node.Output)) testServer {
	t.Helper()
	return serveOn(t, log, []Listener{{Listen: "127.0.0.1:0"}}, limits, step)
}

func serveOn(t testing.TB, log *slog.Logger, ports []Listener, limits Limits, step func(in *node.Input, out *node.Output)) testServer {
	t.Helper()
	limits.setDefaults()
	mail := newMailbox()
	s, err := listenClients(ports, limits, mail, log)
	if err != nil {
		t.Fatal(err)
	}
	p, err := listenPeers("", "", hello{}, mail, 64<<20, quiet())
	if err != nil {
		t.Fatal(err)
	}
	l := &loop{mail: mail, clock: newClock(), log: quiet(), clients: s, peers: p, stopTime: time.Minute}
	var out node.Output
	l.step = func(in *node.Input) *node.Output {
		out = node.Output{Replies: out.Replies[:0], Wake: node.Never, Stopped: in.Stop}
		step(in, &out)
		return &out
	}
	done := make(chan error)
	go func() { done <- l.run() }()
	s.start()
	srv := testServer{s, sync.OnceFunc(func() {
		mail.stop()
		if err := <-done; err != nil {
			t.Errorf("the loop ended with: %v", err)
		}
		s.close()
		if n := s.small.inUse() + s.large.inUse(); n != 0 {
			t.Errorf("%d bytes of requests were never given back", n)
		}
		if n := s.unread.Load(); n != 0 {
			t.Errorf("%d bytes of answers were never given back", n)
		}
	})}
	t.Cleanup(srv.stop)
	return srv
}

// echo answers every request with its own frame, in two pieces, and an empty one with none.
func echo(in *node.Input, out *node.Output) {
	for _, r := range in.Requests {
		reply := node.Reply{Conn: r.Conn}
		if n := len(r.Frame); n > 0 {
			reply.Frame = [][]byte{r.Frame[:n/3], r.Frame[n/3:]}
		}
		out.Replies = append(out.Replies, reply)
	}
}

func dial(t *testing.T, s testServer) net.Conn {
	t.Helper()
	return dialPort(t, s, 0)
}

func dialPort(t *testing.T, s testServer, port int) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.ports[port].listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(20 * time.Second))
	t.Cleanup(func() { c.Close() })
	return c
}

func frame(body []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

func mustRead(t *testing.T, r io.Reader) []byte {
	t.Helper()
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		t.Fatalf("reading a reply's length: %v", err)
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(r, body); err != nil {
		t.Fatalf("reading a reply: %v", err)
	}
	return body
}

func TestManyClientsGetTheirAnswersInOrder(t *testing.T) {
	s := serve(t, Limits{}, echo)
	var wg sync.WaitGroup
	for c := range 8 {
		conn := dial(t, s)
		wg.Go(func() {
			for i := range 300 {
				size := []int{0, 3, copyBelow, 100_000}[i%4]
				conn.Write(frame(bytes.Repeat([]byte{byte(c), byte(i)}, size)))
			}
		})
		wg.Go(func() {
			for i := range 300 {
				if i%4 == 0 {
					continue // an empty frame is echoed as "no answer"
				}
				size := []int{0, 3, copyBelow, 100_000}[i%4]
				if got := mustRead(t, conn); !bytes.Equal(got, bytes.Repeat([]byte{byte(c), byte(i)}, size)) {
					t.Errorf("client %d: reply %d is another's", c, i)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestCloseHangsUpAfterTheAnswer(t *testing.T) {
	var hangups atomic.Int32
	s := serve(t, Limits{}, func(in *node.Input, out *node.Output) {
		echo(in, out)
		for i := range out.Replies {
			out.Replies[i].Close = string(slices.Concat(out.Replies[i].Frame...)) == "bye"
		}
		hangups.Add(int32(len(in.Hangups)))
	})
	c := dial(t, s)
	for _, text := range []string{"one", "bye", "never answered"} {
		c.Write(frame([]byte(text)))
	}
	got, err := io.ReadAll(c)
	if want := append(frame([]byte("one")), frame([]byte("bye"))...); !bytes.Equal(got, want) {
		t.Errorf("got %q (%v), want %q and the end", got, err, want)
	}
	waitFor(t, "one hangup", func() bool { return hangups.Load() == 1 })
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 1000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("waited 10 s for %s", what)
}

func TestTooLongARequestIsRefused(t *testing.T) {
	s := serve(t, Limits{FrameBytes: 1000}, echo)
	for _, length := range []uint32{1001, 1 << 31, 0xffffffff} {
		c := dial(t, s)
		c.Write(binary.BigEndian.AppendUint32(nil, length))
		if n, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("length %d: read %d, %v; want the connection closed", length, n, err)
		}
	}
	c := dial(t, s)
	c.Write(frame(make([]byte, 1000)))
	mustRead(t, c)
}

// A client that sends and never reads must not fill our memory.
func TestASlowReaderIsNotReadFrom(t *testing.T) {
	var seen atomic.Int64
	answer := make([]byte, 1<<20)
	s := serve(t, Limits{ConnRequests: 8}, func(in *node.Input, out *node.Output) {
		seen.Add(int64(len(in.Requests)))
		for _, r := range in.Requests {
			out.Replies = append(out.Replies, node.Reply{Conn: r.Conn, Frame: [][]byte{answer}})
		}
	})
	c := dial(t, s)
	const requests = 100
	go func() {
		for range requests {
			c.Write(frame([]byte("fetch")))
		}
	}()
	// The kernel's buffers take some answers, then at most 8 requests are open.
	last := int64(-1)
	waitFor(t, "the reader to stop", func() bool {
		now := seen.Load()
		same := now == last && now > 0
		last = now
		time.Sleep(100 * time.Millisecond)
		return same
	})
	if last > 40 {
		t.Errorf("%d answers of 1 MiB were made for a client that reads nothing", last)
	}
	other := dial(t, s)
	other.Write(frame([]byte("fetch")))
	mustRead(t, other) // nobody else is held up
	for range requests {
		mustRead(t, c)
	}
}

// A fetch is few bytes that ask for many: the next one of its connection waits until the answer is written.
func TestFetchesOfAConnectionTakeTurns(t *testing.T) {
	var held []node.Request
	var mu sync.Mutex
	answer := false
	s := serve(t, Limits{}, func(in *node.Input, out *node.Output) {
		mu.Lock()
		defer mu.Unlock()
		if held = append(held, in.Requests...); answer {
			for _, r := range held {
				out.Replies = append(out.Replies, node.Reply{Conn: r.Conn, Frame: [][]byte{[]byte("ok")}})
			}
			held = nil
		}
	})
	fetch, other := frame([]byte{0, 1, 0, 11}), frame([]byte{0, 3, 0, 9})
	c := dial(t, s)
	c.Write(slices.Concat(other, fetch, other, fetch, other))
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(held)
	}
	waitFor(t, "what comes before the second fetch", func() bool { return count() == 3 })
	time.Sleep(50 * time.Millisecond)
	if n := count(); n != 3 {
		t.Errorf("%d requests are with the node, want 3", n)
	}
	mu.Lock()
	answer = true
	mu.Unlock()
	s.mail.message(node.Message{}) // step once more
	for range 5 {
		mustRead(t, c)
	}
}

// Who comes and leaves without a request costs the node nothing.
func TestASilentConnectionIsNotTold(t *testing.T) {
	var hangups atomic.Int32
	s := serve(t, Limits{}, func(in *node.Input, out *node.Output) {
		echo(in, out)
		hangups.Add(int32(len(in.Hangups)))
	})
	for range 10 {
		dial(t, s).Close()
	}
	c := dial(t, s)
	c.Write(frame([]byte("x")))
	mustRead(t, c)
	c.Close()
	waitFor(t, "all to be gone", func() bool { return len(s.list()) == 0 && hangups.Load() > 0 })
	if n := hangups.Load(); n != 1 {
		t.Errorf("the node was told of %d connections that ended, want 1", n)
	}
}

// The bytes of unanswered requests are bounded over all clients; everything is answered in the end.
func TestTheBudgetSlowsClientsAndFailsNone(t *testing.T) {
	const size, limit = 100_000, 1_000_000
	const atOnce = limit * 7 / 8 * addressParts / 8 / size // of large requests, from one address
	var mu sync.Mutex
	var held []node.Request
	maxHeld := 0
	var answering atomic.Bool
	s := serve(t, Limits{RequestBytes: limit}, func(in *node.Input, out *node.Output) {
		mu.Lock()
		defer mu.Unlock()
		held = append(held, in.Requests...)
		maxHeld = max(maxHeld, len(held))
		if answering.Load() {
			for _, r := range held {
				out.Replies = append(out.Replies, node.Reply{Conn: r.Conn, Frame: [][]byte{[]byte("ok")}})
			}
			held = nil
		}
	})
	var wg sync.WaitGroup
	for range 20 {
		c := dial(t, s)
		wg.Go(func() {
			for range 3 {
				c.Write(frame(make([]byte, size)))
			}
		})
		wg.Go(func() {
			for range 3 {
				mustRead(t, c)
			}
		})
	}
	waitFor(t, "the budget to be full", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(held) == atOnce
	})
	time.Sleep(50 * time.Millisecond)
	answering.Store(true)
	s.mail.message(node.Message{}) // step once more
	wg.Wait()
	mu.Lock()
	defer mu.Unlock()
	if maxHeld > atOnce {
		t.Errorf("%d requests were held at once, the budget is for %d", maxHeld, atOnce)
	}
}

func TestAHangupGivesTheCreditsBack(t *testing.T) {
	var seen, hangups atomic.Int32
	s := serve(t, Limits{RequestBytes: 1000}, func(in *node.Input, out *node.Output) {
		seen.Add(int32(len(in.Requests))) // and never answer
		hangups.Add(int32(len(in.Hangups)))
	})
	for i := range int32(5) {
		c := dial(t, s)
		c.Write(frame(make([]byte, 900)))
		waitFor(t, "the request", func() bool { return seen.Load() == i+1 })
		c.Close()
		waitFor(t, "the hangup", func() bool { return hangups.Load() == i+1 })
	}
}

func TestTooManyConnections(t *testing.T) {
	s := serve(t, Limits{Conns: 2, AddressConns: 2}, echo)
	a, b := dial(t, s), dial(t, s)
	for _, c := range []net.Conn{a, b} {
		c.Write(frame([]byte("x")))
		mustRead(t, c)
	}
	if _, err := dial(t, s).Read(make([]byte, 1)); err == nil {
		t.Error("a third connection was served")
	}
	a.Close()
	waitFor(t, "room for a new connection", func() bool { return len(s.list()) == 1 })
	c := dial(t, s)
	c.Write(frame([]byte("x")))
	mustRead(t, c)
}

func TestIdleConnectionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := Limits{}
		limits.setDefaults()
		mail := newMailbox()
		s := &clients{
			limits: limits, mail: mail, lines: newClientLines(quiet()), small: newAdmission(1000), large: newAdmission(1000), meter: newRequestMeter(),
			quit: make(chan struct{}), conns: make(map[node.ConnID]*conn), from: make(map[string]*client),
		}
		s.wg.Go(s.reapIdle)
		client, server := net.Pipe()
		s.add(new(port), server)
		start := time.Now()
		go client.Write(frame([]byte("a long poll")))
		in := mail.take(newClock(), node.Never)
		time.Sleep(15 * time.Minute)
		s.deliver([]node.Reply{{Conn: in.Requests[0].Conn, Frame: [][]byte{[]byte("at last")}}})
		if got := mustRead(t, client); string(got) != "at last" {
			t.Errorf("got %q", got)
		}
		if _, err := client.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("got %v, want the end", err)
		}
		if idle := time.Since(start) - 15*time.Minute; idle < limits.IdleTime || idle > limits.IdleTime*11/10 {
			t.Errorf("closed after %v without use", idle)
		}
		s.ports = []*port{{listener: nopListener{}}}
		s.close()
	})
}

type nopListener struct{ net.Listener }

func (nopListener) Close() error { return nil }

func TestLoopReportsABrokenInvariant(t *testing.T) {
	mail := newMailbox()
	p, _ := listenPeers("", "", hello{}, mail, 64<<20, quiet())
	l := &loop{mail: mail, clock: newClock(), log: quiet(), peers: p, clients: &clients{}}
	l.step = func(in *node.Input) *node.Output { panic("commit index goes back: 7 after 9") }
	l.sofar = func() *node.Output {
		return &node.Output{Events: []node.Event{{Kind: node.EventCommitted, Group: 3, N: 7}}}
	}
	mail.request(node.Request{Conn: 1, Frame: make([]byte, 123)})
	err := l.run()
	for _, want := range []string{
		"commit index goes back: 7 after 9", "1 requests (123 bytes)", "host.(*loop).run",
		"  < conn 1 Produce v0 acks=0", "  event committed group=3 term=0 n=7",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q:\n%v", want, err)
		}
	}
}

func TestLoopEndsWithTheNode(t *testing.T) {
	mail := newMailbox()
	p, _ := listenPeers("", "", hello{}, mail, 64<<20, quiet())
	l := &loop{mail: mail, clock: newClock(), log: quiet(), peers: p, clients: &clients{}}
	l.step = func(in *node.Input) *node.Output {
		return &node.Output{End: &node.End{Kind: node.EndDisk, Err: fmt.Errorf("sync of 7.seg: EIO")}}
	}
	if err := l.run(); err == nil || !strings.Contains(err.Error(), "what its disk holds is no longer known: sync of 7.seg: EIO; check the disk") {
		t.Errorf("got %v", err)
	}
}

func TestACleanStopThatTakesTooLongIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mail := newMailbox()
		p, _ := listenPeers("", "", hello{}, mail, 64<<20, quiet())
		l := &loop{mail: mail, clock: newClock(), log: quiet(), peers: p, clients: &clients{}, stopTime: 10 * time.Second}
		l.step = func(in *node.Input) *node.Output { return &node.Output{Wake: node.Never} }
		start := time.Now()
		time.AfterFunc(time.Minute, mail.stop)
		if err := l.run(); err == nil || time.Since(start) != 70*time.Second {
			t.Errorf("ended after %v with %v, want 70s and an error", time.Since(start), err)
		}
	})
}

// Clients that come again and again don't get all of the CPU: after a burst a listener takes one a millisecond.
func TestConnectionsArePaced(t *testing.T) {
	var pace acceptPace
	now := time.Unix(1000, 0)
	for i := range acceptBurst {
		if d := pace.rest(now); d != 0 {
			t.Fatalf("connection %d of a burst has to wait %v", i, d)
		}
	}
	start := now
	for range 100 {
		now = now.Add(pace.rest(now))
	}
	if got := now.Sub(start); got != 100*time.Second/acceptRate {
		t.Errorf("100 more connections took %v", got)
	}
	if d := pace.rest(now.Add(time.Minute)); d != 0 {
		t.Errorf("a connection after a quiet minute has to wait %v", d)
	}
}

// A request says by which listener its connection came in, and all listeners share the bounds.
func TestRequestsNameTheirListener(t *testing.T) {
	var mu sync.Mutex
	seen := make(map[string]string)
	s := serveOn(t, quiet(), []Listener{{Listen: "127.0.0.1:0"}, {Name: "out", Listen: "127.0.0.1:0"}}, Limits{Conns: 2, AddressConns: 2}, func(in *node.Input, out *node.Output) {
		echo(in, out)
		mu.Lock()
		defer mu.Unlock()
		for _, r := range in.Requests {
			seen[string(r.Frame)] = r.Listener
		}
	})
	for i, text := range []string{"plain", "other"} {
		conn := dialPort(t, s, i)
		conn.Write(frame([]byte(text)))
		mustRead(t, conn)
	}
	mu.Lock()
	if seen["plain"] != "" || seen["other"] != "out" || len(seen) != 2 {
		t.Errorf("%v", seen)
	}
	mu.Unlock()
	if _, err := dialPort(t, s, 1).Read(make([]byte, 1)); err == nil || !isHangup(err) {
		t.Errorf("one connection too many: %v", err)
	}
}

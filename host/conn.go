// SPDX-License-Identifier: Apache-2.0

package host

import (
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"chronik/node"
)

// conn is one client connection: a goroutine that reads requests into the mailbox and, from the first on, one that
// writes replies. What it holds is bounded: the reader stops while too many requests are open or
// too many reply bytes wait for the client.
type conn struct {
	id   node.ConnID
	srv  *clients
	port *port
	sock net.Conn
	from *client

	host, principal string // see node.Request
	loggedIn        bool   // the same
	guard           guard
	quit            chan struct{} // closed by shut
	inLine          atomic.Bool   // for its turn to shake hands
	lastMoved       atomic.Int64  // Unix nanoseconds of the last frame read, answered or written

	mu         sync.Mutex
	admit      sync.Cond     // for the reader: there may be room
	work       sync.Cond     // for the writer: there may be a reply
	begun      bool          // a request was posted, so that there is a writer, and the node knows of it
	open       []openRequest // with the node, oldest first
	fetches    int           // requests of this kind that are with the node or whose answers aren't written
	replies    []answer
	replyBytes int64       // handed over by the node, not yet written
	writing    int         // replies being written
	writeFrom  time.Time   // since when
	writeBy    time.Time   // until when they must be written
	unmute     *time.Timer // wakes the reader when the client may ask again; nil: it may
	mutedTill  time.Time
	closing    bool // the node said Close: hang up when everything is written
	shutdown   bool
}

// answer is a reply on its way to the client.
type answer struct {
	frame   [][]byte
	request openRequest
}

func newConn(srv *clients, p *port, sock net.Conn) *conn {
	c := &conn{srv: srv, port: p, sock: sock, quit: make(chan struct{})}
	if host, _, err := net.SplitHostPort(sock.RemoteAddr().String()); err == nil {
		c.host = "/" + host
	}
	c.admit.L, c.work.L = &c.mu, &c.mu
	c.moved(time.Now())
	return c
}

func (c *conn) moved(now time.Time) { c.lastMoved.Store(now.UnixNano()) }

// read posts request after request until the connection ends. It is the one that gives the
// connection's credits back and tells the node, after its last request.
func (c *conn) read() {
	err := c.readRequests()
	if c.saidClose() {
		<-c.quit // the writer has answers to send first
	}
	c.shut()
	c.guard.trust()
	c.mu.Lock()
	open := c.open
	c.open = nil
	c.srv.unread.Add(-c.replyBytes)
	c.replyBytes = 0
	c.mu.Unlock()
	for _, r := range open {
		c.release(r.size, r.held)
	}
	c.srv.remove(c)
	if err != nil && !isHangup(err) {
		c.srv.lines.closed.tell(slog.LevelInfo, "closed a client connection", err.Error(), from(c.sock))
	}
}

// readRequests returns nil when the client or we hung up in an orderly way.
func (c *conn) readRequests() error {
	in := newReader(c.sock)
	defer in.free()
	var head [4]byte
	for {
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return err
		}
		n := binary.BigEndian.Uint32(head[:])
		if n > uint32(c.frameLimit()) {
			return c.refuse(head)
		}
		if !c.waitForRoom() {
			return nil
		}
		read := c.readSmall
		if n > smallFrame {
			read = c.readLarge
		}
		frame, held, err := read(in, int(n))
		if err != nil {
			c.release(int(n), held)
			return err
		}
		r := c.srv.meter.read(frame)
		r.held = held
		c.moved(r.at)
		if !c.opened(r) {
			c.release(r.size, held)
			return nil
		}
		c.srv.mail.request(node.Request{Conn: c.id, Host: c.host, Frame: frame, Listener: c.port.name, Principal: c.principal, LoggedIn: c.loggedIn})
	}
}

// release gives back what a request of that size holds.
func (c *conn) release(size int, held claim) {
	switch {
	case held.held == 0:
	case size <= smallFrame:
		c.srv.small.release(&c.from.small, held)
	default:
		c.srv.large.release(&c.from.large, held)
	}
}

// waitForRoom waits until the connection may have one more request, and its client has waited for its quotas; false if it ended.
func (c *conn) waitForRoom() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.ending() && (!c.hasRoom() || c.muted()) {
		c.admit.Wait()
	}
	return !c.ending()
}

// mute has nothing read from the client for some time.
func (c *conn) mute(d time.Duration) {
	if d <= 0 {
		return
	}
	till := time.Now().Add(d)
	if till.Before(c.mutedTill) {
		return
	}
	if c.unmute != nil {
		c.unmute.Stop()
	}
	c.mutedTill = till
	c.unmute = time.AfterFunc(d, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.admit.Signal()
	})
}

func (c *conn) muted() bool { return c.unmute != nil && time.Now().Before(c.mutedTill) }

func (c *conn) hasRoom() bool {
	open := len(c.open) + len(c.replies) + c.writing
	return open < c.srv.limits.ConnRequests && c.replyBytes < c.srv.limits.ConnReplyBytes &&
		(open == 0 || c.srv.unread.Load() < c.srv.limits.UnreadBytes)
}

func (c *conn) ending() bool { return c.shutdown || c.closing }

// saidClose says whether the node said Close, and the writer has not come to that yet.
func (c *conn) saidClose() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing && !c.shutdown
}

// opened counts a request that is about to be posted; false if the connection ended. A fetch is few bytes that ask
// for many, so the one before it must have been taken by the client, as it would be with Kafka.
func (c *conn) opened(r openRequest) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.fetches > 0 && r.fetch && !c.ending() {
		c.admit.Wait()
	}
	if c.ending() {
		return false
	}
	c.open = append(c.open, r)
	c.fetches += btoi(r.fetch)
	if !c.begun {
		c.begun = true
		c.srv.wg.Go(c.write)
	}
	return true
}

// reply takes the answer to the oldest open request, gives that request's credit back and wakes
// the writer.
func (c *conn) reply(r node.Reply, now time.Time) {
	c.mu.Lock()
	if c.ending() || len(c.open) == 0 {
		c.mu.Unlock()
		return
	}
	request := c.open[0]
	if c.open = c.open[1:]; len(c.open) == 0 {
		c.open = nil
	}
	c.closing = r.Close
	if r.LoggedIn {
		c.guard.trust()
	}
	c.moved(now)
	c.mute(r.Mute)
	if len(r.Frame) == 0 {
		c.fetches -= btoi(request.fetch)
	} else {
		c.replies = append(c.replies, answer{r.Frame, request})
		c.replyBytes += int64(frameBytes(r.Frame))
		c.srv.unread.Add(int64(frameBytes(r.Frame)))
	}
	if len(r.Frame) > 0 || r.Close {
		c.work.Signal()
	}
	c.admit.Signal()
	c.mu.Unlock()
	c.release(request.size, request.held)
}

// write sends replies as the node gives them, all that wait with one system call.
func (c *conn) write() {
	defer c.shut()
	var batch []answer
	out := gather{gate: c.srv.gate}
	for {
		var ok bool
		if batch, ok = c.takeReplies(batch); !ok {
			return
		}
		for _, a := range batch {
			out.uint32(uint32(frameBytes(a.frame)))
			for _, piece := range a.frame {
				out.bytes(piece)
			}
		}
		size := out.size
		if err := out.writeTo(c.sock); err != nil {
			return // the reader meets the same end and tells
		}
		now := time.Now()
		c.moved(now)
		c.wrote(batch, int64(size-4*len(batch)))
		c.srv.meter.wrote(batch, size, now)
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func frameBytes(pieces [][]byte) (n int) {
	for _, piece := range pieces {
		n += len(piece)
	}
	return n
}

// takeReplies waits for replies and gives them in exchange for the last batch's slice; false at
// the end.
func (c *conn) takeReplies(last []answer) ([]answer, bool) {
	clear(last)
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.replies) == 0 && !c.ending() {
		c.work.Wait()
	}
	if c.shutdown || len(c.replies) == 0 {
		return nil, false
	}
	batch := c.replies
	c.replies, c.writing = last[:0], len(batch)
	c.writeFrom = time.Unix(0, c.lastMoved.Load()) // when the reply came, or the last write ended: just now
	c.writeBy = c.writeFrom.Add(unreadTime + time.Duration(c.replyBytes)*time.Second/minRate)
	return batch, true
}

func (c *conn) wrote(batch []answer, bytes int64) {
	c.mu.Lock()
	for i := range batch {
		c.fetches -= btoi(batch[i].request.fetch)
	}
	if c.writing = 0; c.replyBytes > 0 { // or the reader has ended and given everything back
		c.replyBytes -= bytes
		c.srv.unread.Add(-bytes)
	}
	c.admit.Signal()
	c.mu.Unlock()
}

// shut ends the connection; both goroutines return. It may be called often, by anyone.
func (c *conn) shut() {
	if c.markShut() {
		c.sock.Close()
	}
}

// markShut does the same but for closing the socket, which waits for whoever reads from it or writes to it just now;
// true if that is to be done.
func (c *conn) markShut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shutdown {
		return false
	}
	c.shutdown = true
	if c.unmute != nil {
		c.unmute.Stop()
	}
	c.admit.Broadcast()
	c.work.Broadcast()
	close(c.quit)
	return true
}

// unsent is how many replies still wait for this client.
func (c *conn) unsent() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shutdown {
		return 0
	}
	return len(c.replies) + c.writing
}

// idleSince is for how long nothing has moved; 0 while the node has a request.
func (c *conn) idleSince(now time.Time) time.Duration {
	c.mu.Lock()
	busy := len(c.open) > 0
	c.mu.Unlock()
	if busy {
		return 0
	}
	return now.Sub(time.Unix(0, c.lastMoved.Load()))
}

// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"chronik/node"
)

const (
	dialTime   = time.Second
	writeTime  = 5 * time.Second // a write that takes longer means that the other end is gone
	writeBytes = 1 << 20         // one write ends after the envelope that reaches this
	backoffMin = 50 * time.Millisecond
	backoffMax = 500 * time.Millisecond

	// Envelopes kept for a peer that is not connected: the newest ones, so that one who just
	// started hears of the election under way, and nobody is flooded with the past.
	offlineBytes     = 1 << 20
	offlineEnvelopes = 64
)

// link sends to one other broker. Each has its own queue and goroutine, so that a dead peer costs
// the others nothing. When the queue is full the oldest envelopes are dropped: raft sends again.
type link struct {
	peers *peers
	to    node.BrokerID
	addr  string
	quit  context.Context
	stop  context.CancelFunc

	mu        sync.Mutex
	work      chan struct{} // capacity 1: there may be something in the queue
	queue     [][][]byte    // envelopes in pieces
	bytes     int
	connected bool
	dropped   uint64

	sent, received atomic.Int64 // bytes to and from that broker, without what TCP adds
}

func newLink(p *peers, to node.BrokerID, addr string) *link {
	l := &link{peers: p, to: to, addr: addr, work: make(chan struct{}, 1)}
	l.quit, l.stop = context.WithCancel(context.Background())
	return l
}

// push queues an envelope and drops old ones if there are too many. It never blocks.
func (l *link) push(envelope [][]byte) {
	l.mu.Lock()
	l.queue = append(l.queue, envelope)
	l.bytes += frameBytes(envelope)
	l.trim()
	l.mu.Unlock()
	l.signal()
}

// trim drops the oldest envelopes until the rest is within bounds; the newest one always stays.
func (l *link) trim() {
	maxBytes, maxCount := l.peers.linkBytes, len(l.queue)
	if !l.connected {
		maxBytes, maxCount = offlineBytes, offlineEnvelopes
	}
	n := 0
	for n < len(l.queue)-1 && (l.bytes > maxBytes || len(l.queue)-n > maxCount) {
		l.bytes -= frameBytes(l.queue[n])
		l.queue[n] = nil
		n++
	}
	l.queue = l.queue[n:]
	l.dropped += uint64(n)
}

// lay lays the oldest envelopes out to be written, as many as fit into one write.
func (l *link) lay(out *gather, version uint16) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for n < len(l.queue) && out.size < writeBytes {
		out.envelope(version, l.queue[n])
		l.bytes -= frameBytes(l.queue[n])
		l.queue[n] = nil
		n++
	}
	if l.queue = l.queue[n:]; len(l.queue) > 0 {
		l.signal()
	} else {
		l.queue = nil
	}
}

func (l *link) signal() {
	select {
	case l.work <- struct{}{}:
	default:
	}
}

// run connects and sends until stop.
func (l *link) run() {
	line := teller{log: l.peers.log}
	defer line.stop()
	about := []slog.Attr{slog.Int("broker", int(l.to)), slog.String("addr", l.addr)}
	backoff := backoffMin
	for {
		sock, version, err := l.dial()
		if err == nil {
			line.tell(slog.LevelInfo, "connected to a broker", "", append(about, slog.Int("version", int(version)))...)
			backoff = backoffMin
			l.setConnected(true)
			err = closedBy(l.send(sock, version), "while it was in use", "its broker stopped or died, or two processes have the same broker_id and take the connection from each other")
			l.setConnected(false)
			l.peers.untrack(sock)
		}
		if l.quit.Err() != nil {
			return
		}
		if errors.Is(err, net.ErrClosed) {
			err = errors.New("closed by this broker: the cluster secret that it was made with was taken out of the file")
		}
		line.tell(slog.LevelWarn, "no connection to a broker; trying again", err.Error(), about...)
		select {
		case <-l.quit.Done():
			return
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, backoffMax)
	}
}

func (l *link) setConnected(yes bool) {
	l.mu.Lock()
	l.connected = yes
	l.trim()
	l.mu.Unlock()
}

// dial connects and shakes hands. TCP_NODELAY is Go's default.
func (l *link) dial() (net.Conn, uint16, error) {
	ctx, cancel := context.WithTimeout(l.quit, dialTime)
	defer cancel()
	return l.connect(ctx, false)
}

// connect does so for envelopes or for a visit, and returns the version of the protocol that both ends speak.
func (l *link) connect(ctx context.Context, visit bool) (net.Conn, uint16, error) {
	var d net.Dialer
	sock, err := d.DialContext(ctx, "tcp", l.addr)
	if err != nil {
		return nil, 0, noConnection(err)
	}
	giveUpAfter(sock, writeTime)
	sock = l.peers.secureDialed(sock, l.addr)
	if !l.peers.track(sock) {
		return nil, 0, net.ErrClosed
	}
	version, err := l.shakeHands(sock, visit)
	if err != nil {
		l.peers.untrack(sock)
		return nil, 0, err
	}
	return sock, version, nil
}

// noConnection says what it means that nobody takes a connection. What the system says of it names a port of this
// machine now and then, which would make each time another line.
func noConnection(err error) error {
	op, ok := errors.AsType[*net.OpError](err)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return errors.New("connection refused: nothing listens there; start that broker, or mend its peer address in members")
	case ok && op.Timeout():
		return fmt.Errorf("no answer within %v: the machine is off or cut off, a firewall drops packets, or its peer address in members is wrong", dialTime)
	case ok:
		return fmt.Errorf("%w; see its peer address in members", op.Err)
	}
	return err
}

// shakeHands returns the version that the other end chose.
func (l *link) shakeHands(sock net.Conn, visit bool) (uint16, error) {
	if err := shakeTLS(sock, nil); err != nil {
		return 0, err
	}
	sock.SetDeadline(time.Now().Add(handshakeTime))
	h := l.peers.self
	h.to, h.nonce, h.visit = l.to, newNonce(), visit
	h.nonce.tell(h.spoken().highest)
	if _, err := sock.Write(h.append(nil)); err != nil {
		return 0, err
	}
	secret, err := answerChallenge(sock, l.peers.secrets.now(), h)
	if err != nil {
		return 0, closedBy(err, "before it proved that it knows the cluster secret",
			"peer addresses in members may name another port than a broker's peer_listen, its release may be too old to speak "+h.spoken().String()+" of the peer protocol, or too many connect to it at once; its own lines say more")
	}
	them, version, err := readAnswer(sock, h.spoken())
	if no, ok := errors.AsType[refusedError](err); ok && no.final && !visit {
		l.peers.mail.refused(node.Refusal{By: l.to, Text: no.text})
	}
	if err != nil {
		return 0, closedBy(err, "before it answered whether this broker may send to it", "its broker is stopping, or has died; its own lines say more")
	}
	if no := them.check(l.to, l.peers.knownFolder(l.to)); no != "" {
		return 0, errors.New(no)
	}
	l.peers.prove(sock, secret)
	return version, sock.SetDeadline(time.Time{})
}

// send writes what is pushed, all that waits with one system call, until the connection ends.
func (l *link) send(sock net.Conn, version uint16) error {
	alive := time.NewTicker(aliveEvery)
	defer alive.Stop()
	gone := make(chan error, 1)
	l.peers.wg.Go(func() { gone <- l.waitForEnd(sock, version) })
	var out gather
	var armed time.Time // when the deadline was set
	for {
		select {
		case <-l.work:
			l.lay(&out, version)
		case <-alive.C:
			out.envelope(version, nil)
		case err := <-gone:
			return err
		case <-l.quit.Done():
			return net.ErrClosed
		}
		size := out.size
		if now := time.Now(); now.Sub(armed) > writeTime/5 { // not for each: it costs as much as a small envelope
			sock.SetWriteDeadline(now.Add(writeTime))
			armed = now
		}
		if err := out.writeTo(sock); err != nil {
			return err
		}
		l.sent.Add(int64(size))
	}
}

// maxBack bounds what the other end sends after its answer.
const maxBack = 4 << 10

// waitForEnd returns when the other end hangs up. It hardly ever sends after its answer: see node.Envelope.Back.
func (l *link) waitForEnd(sock net.Conn, version uint16) error {
	for {
		head, err := readHead(sock, version)
		if err != nil {
			return err
		}
		n := head.size
		if n == 0 || n > maxBack {
			return fmt.Errorf("it sent an envelope of %d bytes back, the limit is %d", n, maxBack)
		}
		data := make([]byte, n)
		if _, err := io.ReadFull(sock, data); err != nil {
			return err
		}
		if crc32.Checksum(data, castagnoli) != head.sum {
			return errors.New("the checksum of an envelope that it sent back is wrong")
		}
		if !l.peers.budget.acquire(int64(n), l.peers.quit) {
			return net.ErrClosed
		}
		l.peers.mail.message(node.Message{From: l.to, Data: data})
	}
}

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node/acl"
	"chronik/node/quota"
	"chronik/node/step"
)

// conn keeps the order of replies on one connection: Kafka answers in request order, whatever
// finishes first.
type conn struct {
	id       ConnID
	host     string
	address  string // of host, as rules spell it
	from     *source
	frames   [][]byte   // requests that are not begun, oldest first
	queued   bool       // in node.queued
	deferred int        // requests of which a rest is deferred
	queue    []*request // begun, oldest first, none of them replied
	commands commandShare
	session  *fetchSession // nil: none
	parked   int           // its fetches that wait for records
	waits    int64         // see Config.MaxWaits

	heldBytes int64 // of answers that wait for an earlier one; the node has the sum
	closing   bool  // a reply with Close was given; nothing more is answered

	listener *Listener // by which it came in
	// principal is who the client is: as it logged in, or as the transport proved, else anonymous. It is "" until a client
	// has logged in where that is asked for.
	principal string
	login     *login // nil: no login is asked for

	allowance quota.Allowance // of the client by its last request
	unmute    *step.Deadline  // until then none of its requests begins; nil: they may
}

// request is one Kafka request from arrival to reply.
type request struct {
	node   *Node
	conn   *conn
	header kafka.Header
	frame  kafka.Frame    // the reply
	size   int64          // of its frame, or of what that is parsed to
	expiry *step.Deadline // see expireAfter
	ends   []func()       // see onEnd

	principal string // of the connection when it began; in between, its client may have to log in again

	frameBytes    int           // of the request as it came
	cost          int           // see takeCost
	throttledTill int64         // ms of nowMs: the client has changed too much
	muted         time.Duration // for so long from its answer on, the client shall ask for nothing

	asked   kmsg.Request // what it asks for, until that is told to the operator; nil: it isn't
	settled bool         // it is answered
	refused bool         // for want of a right, in part or as a whole, and the operator was told

	subject string           // what it is about, where errors are told: see told_errors.go
	reasons map[int16]string // of error codes in its answer

	fetch    *fetch   // what it asks for, if it is one
	charge   int64    // of large.memory
	encoding encoding // of its answer by a task; 0 if none is needed
	answer   *Task    // which waits for its turn

	login  bool // the client has logged in by it
	hangup bool // close the connection after the reply
	left   bool // the reply was handed out
	gone   bool // the connection is closed; the reply is dropped
}

// newConn is a connection of which the first request has come.
func (n *Node) newConn(in Request) *conn {
	c := &conn{id: in.Conn, host: in.Host, from: n.sourceOf(in.Host), listener: n.listener(in.Listener), address: acl.Host(strings.TrimPrefix(in.Host, "/"))}
	c.identify(in.Principal, in.LoggedIn)
	return c
}

// next takes the oldest frame that waits.
func (c *conn) next() []byte {
	frame := c.frames[0]
	c.frames[0] = nil
	if len(c.frames) == 1 {
		c.frames = c.frames[:0] // its array serves again
	} else {
		c.frames = c.frames[1:]
	}
	return frame
}

// serve begins with one request.
func (n *Node) serve(c *conn, frame []byte) {
	if c.closing {
		c.frames = nil
		return
	}
	r := &request{node: n, conn: c, size: int64(len(frame)), frameBytes: len(frame), principal: c.principal}
	c.queue = append(c.queue, r)
	n.begun++
	c.from.begun++
	clocked := n.startClock(r)
	n.out.Work.Requests++
	n.out.Work.Bytes += int64(len(frame))
	if l := c.login; l != nil && l.stage == loginTokens && !l.headers {
		n.takeBareToken(r, frame)
	} else {
		n.dispatch(r, frame)
	}
	if clocked {
		n.stopClock()
	}
}

// reply answers the request with a message.
func (r *request) reply(resp kmsg.Response) {
	n := r.node
	r.audit(resp)
	r.tellErrors(resp)
	resp.SetVersion(r.header.Version)
	elements := n.counters.elements(resp, n.cfg.LargeElements)
	if n.catalog.quotas.HasClients() {
		r.throttle(resp)
	}
	if elements > n.cfg.LargeElements {
		r.encodeLater(Task{Kind: TaskEncode, Header: r.header, Response: resp})
		return
	}
	n.out.Work.Elements += elements
	n.counters.answered(r.header.Key, resp)
	r.frame = kafka.Frame{kafka.AppendResponse(make([]byte, 0, 256), r.header.CorrelationID, resp)}
	n.out.Work.Bytes += int64(len(r.frame[0]))
	r.finish()
}

// replyBatches answers a fetch; the k-th partition of resp gets the k-th of batches.
func (r *request) replyBatches(resp *kmsg.FetchResponse, batches [][]kafka.PlacedBatch) {
	n := r.node
	r.tellErrors(resp)
	resp.SetVersion(r.header.Version)
	bytes, partitions := kafka.FetchCopies(resp, batches)
	if partitions > n.cfg.LargeElements || bytes > maxCopies {
		r.encodeLater(Task{Kind: TaskEncode, Header: r.header, Response: resp, Batches: batches})
		return
	}
	n.out.Work.Elements += partitions
	n.out.Work.Bytes += int64(bytes)
	n.counters.answered(r.header.Key, resp)
	r.frame = kafka.FetchFrame(r.header.CorrelationID, resp, batches)
	r.finish()
}

// maxCopies is how many bytes of records are copied for an answer in a step: small batches are, and all if the answer also
// says where to read a partition instead.
const maxCopies = 1 << 20

// replyNothing ends a request that has no answer (acks=0).
func (r *request) replyNothing() {
	if r.node.catalog.quotas.HasClients() {
		r.throttle(nil)
	}
	r.finish()
}

// refuse ends the request without an answer and closes the connection, as Kafka does with what it
// doesn't understand.
func (r *request) refuse(why string) {
	r.node.event(Event{Kind: EventRequestRefused, N: int64(r.conn.id), Text: why})
	r.hangup = true
	r.finish()
}

// expireAfter calls expire, once, if the request isn't answered in time. A request has at most one
// such limit.
func (r *request) expireAfter(limit time.Duration, expire func()) {
	if !r.over() {
		r.expiry = r.node.deadlines.Add(r.node.now.Add(limit), expire)
	}
}

// millis is the unit of time-outs in the protocol.
func millis(ms int32) time.Duration { return time.Duration(max(ms, 0)) * time.Millisecond }

// finish ends the request: its frame is complete.
func (r *request) finish() {
	r.settle()
	r.handOut()
}

// settle marks the request as answered.
func (r *request) settle() {
	step.Assert(!r.settled, "a request is answered once: %v", r.header)
	r.settled = true
	r.node.deadlines.Cancel(r.expiry)
	r.end()
}

// handOut hands out every reply of the connection that is now first in line.
func (r *request) handOut() {
	if r.gone {
		return
	}
	c, n := r.conn, r.node
	bytes := int64(r.frame.Len())
	c.heldBytes += bytes
	n.heldBytes += bytes
	for len(c.queue) > 0 && c.queue[0].settled && c.queue[0].encoding == 0 && !c.closing {
		first := takeFirst(&c.queue)
		c.closing = first.hangup
		n.begun--
		c.from.begun--
		c.heldBytes -= int64(first.frame.Len())
		n.heldBytes -= int64(first.frame.Len())
		first.left = true
		first.uncharge()
		n.out.Replies = append(n.out.Replies, Reply{Conn: c.id, Frame: first.frame, Close: first.hangup, LoggedIn: first.login, Mute: first.muted, Key: first.header.Key, Version: first.header.Version})
	}
	if !r.left && (bytes >= chargedFrame || r.charge > 0) { // it waits for an earlier one, as a frame
		n.large.charge(r, bytes)
	}
	n.queue(c)
}

// chargedFrame is from how many bytes on an answer that waits for an earlier one is charged to the memory of large ones.
const chargedFrame = 16 << 10

// hangUp forgets a connection. Its requests run on, but nobody hears of it.
func (n *Node) hangUp(id ConnID) {
	c := n.conns[id]
	if c == nil {
		return
	}
	c.frames = nil
	delete(n.conns, id)
	n.begun -= len(c.queue)
	n.heldBytes -= c.heldBytes
	c.from.begun -= len(c.queue)
	c.from.leave(n)
	for _, r := range c.queue {
		r.gone = true
		n.deadlines.Cancel(r.expiry)
		r.end()
		r.abandonAnswer()
	}
	n.deadlines.Cancel(c.unmute)
	n.commands.hangUp(c)
	n.endSession(c)
}

// wait collects the parts of an answer that come from the catalog.
type wait struct {
	request *request
	resp    kmsg.Response
	left    int // parts without a result, and one until all have been asked for
}

func waitFor(r *request, resp kmsg.Response, parts int) *wait {
	return &wait{request: r, resp: resp, left: parts + 1}
}

// done is called once per part, and once by begin.
func (w *wait) done() {
	if w.left--; w.left == 0 {
		w.request.reply(w.resp)
	}
}

// begin is called when all parts are on their way. After the time-out the answer goes out as it is.
func (w *wait) begin(timeoutMs int32) {
	w.done()
	w.request.expireAfter(millis(timeoutMs), func() { w.request.reply(w.resp) })
}

// code returns the Kafka error code of an error that a handler met.
func code(err error) int16 { return kafka.Code(err) }

func errorText(err error) *string {
	text := err.Error()
	return &text
}

// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node"
	"chronik/sim/plan"
)

// conn is a client's connection to a broker, as TCP gives it: frames arrive in order in both
// directions, or the connection is lost. After a kill the client hears of it; after a power loss
// it may not, and has only its time-outs.
type conn struct {
	id          node.ConnID
	client      *client   // nil: an attacker's
	attacker    *attacker // nil: a client's
	broker      *broker
	incarnation uint64 // of the broker that it was made to
	from        string // the address that it comes from
	open        bool   // as the client believes
	ready       bool   // ApiVersions was answered
	correlation int32
	asked       []asked   // not answered yet, oldest first
	toBroker    node.Time // arrival of the last frame
	toClient    node.Time
	frames      uint64
	faulty      uint64        // counts frames that a fault may have hit
	wrongBits   int           // answers in which a bit changed
	onTheWay    int           // answers, if features are noted
	session     *fetchSession // in which its client fetches; nil: none

	// Where clients log in.
	login    *login // nil: it hasn't begun
	lifetime plan.Duration
	arrived  []decided // requests that have reached the broker, without an answer, oldest first
	decided  []decided // those whose answers are on their way
	last     decided   // the one whose answer came last

	// What a hasty client was told last: when that was, and until when it shall ask for nothing, at least, by the broker's clock; and until
	// when the broker may serve nothing.
	mutedAt, mutedLeast, mutedTill node.Time
	then                           func() // when the client has logged in
	named                          []int  // what the broker had counted when each request came that isn't answered yet, see counted.go
	counted                        []int  // what it has counted since, for each answer on its way
}

// asked is a request that waits for its answer.
type asked struct {
	correlation int32
	req         kmsg.Request
	resp        kmsg.Response // of the version that was asked for
	done        func(resp kmsg.Response)
	deadline    node.Time
	by          role // of the broker that answered, if features are noted
	at          node.Time
	rested      node.Time // how long the world had been at rest then
}

// connect opens a connection and says hello, as every client does.
func (w *world) connect(c *client, b *broker) *conn {
	w.conns++
	cn := &conn{id: node.ConnID(w.conns), client: c, broker: b, incarnation: b.incarnation, from: c.host(), open: true}
	if b.node == nil || b.refusing > 0 {
		w.schedule(event{at: w.now + cn.latency(w), kind: evConnLost, conn: cn})
		return cn
	}
	b.conns = append(b.conns, cn)
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version = c.version(kmsg.ApiVersions, 3, 0)
	req.ClientSoftwareName, req.ClientSoftwareVersion = "sim", "1"
	cn.ask(w, req, func(resp kmsg.Response) { c.hello(cn, resp.(*kmsg.ApiVersionsResponse)) })
	return cn
}

func (cn *conn) latency(w *world) node.Time {
	cn.frames++
	return span(w.seed.Draw(domainConn, uint64(cn.id), cn.frames), w.plan.Knobs.LinkLatency) + 1
}

// ask sends a request; done is called with its answer, or never if the connection is lost first.
// Without done there is no answer (acks=0).
func (cn *conn) ask(w *world, req kmsg.Request, done func(kmsg.Response)) {
	cn.askFor(w, req, at(cn.client.patience()), done)
}

// askFor is ask with another time-out than the client's.
func (cn *conn) askFor(w *world, req kmsg.Request, patience node.Time, done func(kmsg.Response)) {
	cn.correlation++
	frame := kafka.AppendRequest(make([]byte, 0, 128), cn.correlation, cn.client.clientID(), req)
	if done != nil {
		resp := req.ResponseKind()
		resp.SetVersion(req.GetVersion())
		if req.Key() == int16(kmsg.ApiVersions) && req.GetVersion() > served[kmsg.ApiVersions].Last {
			resp.SetVersion(0) // which tells a newer client what is spoken here (KIP-511)
		}
		deadline := w.now + patience
		cn.asked = append(cn.asked, asked{correlation: cn.correlation, req: req, resp: resp, done: done, deadline: deadline, at: w.now, rested: w.rest.total})
		cn.client.wakeAt(deadline)
	} else {
		w.cells.Sent(req)
	}
	w.sendFrame(cn, evRequest, frame)
}

func (w *world) sendFrame(cn *conn, kind eventKind, frame []byte) {
	t := max(w.now+cn.latency(w), cn.toBroker, cn.broker.silentUntil)
	cn.toBroker = t
	w.schedule(event{at: t, kind: kind, broker: cn.broker, conn: cn, frame: frame})
}

// arrive puts a client's frame, or the news that it hung up, into the broker's mailbox.
func (w *world) arrive(e event) {
	b, cn := e.broker, e.conn
	w.note(e.kind, b, hashOf(e.frame)^uint64(cn.id))
	if b.node == nil || b.incarnation != cn.incarnation {
		if e.kind == evRequest { // nobody listens there
			w.schedule(event{at: w.now + cn.latency(w), kind: evConnLost, conn: cn})
		}
		return
	}
	if !slices.Contains(b.conns, cn) { // the broker's end is closed
		return
	}
	if e.kind == evRequest && w.cutInFrame(b, cn) {
		w.schedule(event{at: w.now + cn.latency(w), kind: evConnLost, conn: cn})
		return
	}
	if e.kind == evRequest {
		e.frame = w.withWrongBit(b, cn, e.frame)
		if w.features != nil && cn.client != nil {
			w.features.asked(b, e.frame)
		}
		if w.secure != nil {
			d := w.secure.arrives(w, b)
			d.asksHastily(cn, e.frame)
			cn.arrived = append(cn.arrived, d)
		}
		cn.named = append(cn.named, b.named)
		b.mail.requests = append(b.mail.requests, node.Request{Conn: cn.id, Host: cn.from, Frame: e.frame})
		return
	}
	b.forget(cn)
	b.mail.hangups = append(b.mail.hangups, cn.id)
}

// attackersHost is the address that all attackers share.
const attackersHost = "/10.0.1.1"

// host is the address of a client.
func (c *client) host() string { return "/10.0.0." + strconv.Itoa(c.spec.ID%256) }

func (b *broker) forget(cn *conn) {
	if i := slices.Index(b.conns, cn); i >= 0 {
		b.conns = slices.Delete(b.conns, i, i+1)
	}
}

// reply sends a broker's answer on its way.
func (w *world) reply(b *broker, r node.Reply) {
	frame := kafka.Frame(r.Frame).Bytes()
	w.note(evReply, b, hashOf(frame)^uint64(r.Conn))
	i := slices.IndexFunc(b.conns, func(cn *conn) bool { return cn.id == r.Conn })
	if i < 0 {
		return // hung up, and the broker doesn't know yet
	}
	cn := b.conns[i]
	w.observe(w.anchor(plan.WorldReplied), b)
	if len(cn.arrived) > 0 {
		d := cn.arrived[0]
		cn.arrived = cn.arrived[1:]
		if d.To, d.ended = b.applied(), b.local(w.now); len(frame) > 0 {
			w.answersHastily(cn, &d, frame)
			cn.decided = append(cn.decided, d)
		}
	}
	if len(cn.named) > 0 {
		if len(frame) > 0 {
			cn.counted = append(cn.counted, b.named-cn.named[0])
		}
		cn.named = cn.named[1:]
	}
	t := max(w.now+cn.latency(w), cn.toClient, b.silentUntil)
	cn.toClient = t
	if w.cutInFrame(b, cn) {
		w.schedule(event{at: t, kind: evConnLost, conn: cn})
		return
	}
	if len(frame) > 0 {
		if w.features != nil {
			w.features.replied(cn, b)
		}
		w.schedule(event{at: t, kind: evReply, broker: b, conn: cn, frame: frame})
	}
	if r.Close { // the host tells the node of the end of every connection, its own doing too
		b.forget(cn)
		b.mail.hangups = append(b.mail.hangups, cn.id)
		w.schedule(event{at: t, kind: evConnLost, conn: cn})
	}
}

// receive hands an answer to the client's code.
func (w *world) receive(e event) {
	cn := e.conn
	if !cn.open {
		return
	}
	if len(cn.asked) == 0 {
		w.fail("protocol", "broker %d answered a request that was not made", e.broker.number)
	}
	a := cn.asked[0]
	cn.asked = cn.asked[1:]
	id, err := kafka.ParseResponse(e.frame, a.resp)
	if err != nil {
		w.fail("protocol", "broker %d: %v", e.broker.number, err)
	}
	if id != a.correlation {
		w.fail("protocol", "broker %d answered request %d of a connection, but %d is first in line", e.broker.number, id, a.correlation)
	}
	if w.features != nil {
		w.features.answered(cn, &a)
	}
	if cn.client.asks != nil {
		cn.client.asks.unlisted = len(w.cells.Unlisted())
	}
	w.cells.Answered(a.req, a.resp)
	w.checkCounted(cn, a.resp)
	w.checkEchoed(cn, a.req, a.resp)
	if w.secure != nil && w.secure.gotAnswer(cn, &a) {
		cn.client.advance()
		return
	}
	w.changeBit(e.broker, cn, a.resp)
	a.done(a.resp)
	cn.client.advance()
}

// hangUp closes the client's end; the broker hears of it after what was sent before.
func (cn *conn) hangUp(w *world) {
	if cn.open {
		cn.open = false
		cn.asked = nil
		w.sendFrame(cn, evHangup, nil)
	}
}

// dropConns closes all connections of a broker that crashed. After a power loss nobody tells the
// client half of the time.
func (w *world) dropConns(b *broker, power bool) {
	for _, cn := range b.conns {
		if power && w.seed.Draw(domainConn, uint64(cn.id), 1<<40).Ratio(1, 2) {
			continue
		}
		w.schedule(event{at: w.now + cn.latency(w), kind: evConnLost, conn: cn})
	}
	b.conns = b.conns[:0]
}

// breakConns resets all connections of a running broker; both ends hear of it.
func (w *world) breakConns(b *broker) bool {
	n := len(b.conns)
	for _, cn := range b.conns {
		w.schedule(event{at: w.now + cn.latency(w), kind: evConnLost, conn: cn})
		b.mail.hangups = append(b.mail.hangups, cn.id)
	}
	b.conns = b.conns[:0]
	return n > 0
}

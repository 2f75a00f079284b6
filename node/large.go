// SPDX-License-Identifier: Apache-2.0

package node

import (
	"reflect"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// To parse 100,000 names, or to encode an answer with as many, takes a tenth of a second. So frames and answers with
// many elements are parsed and encoded by tasks, one of each at a time; small ones pass them by. As long as that lasts no
// later request of the connection begins.
//
// What is parsed takes many times the bytes of its frame, and so does an answer (answers.go). It is charged to a budget until
// its answer has left. Whoever finds no memory waits in turn (rota), and an address gets at most as much as is left, so
// that one can't take all.
type large struct {
	parses, encodes turns
	memory          pool             // see Config.LargeBytes
	waiting         rota[*admission] // for memory
	serving         bool
	orphans         int64 // of memory: of answers that are being encoded though nobody waits for them any more
}

// elementBytes is what an element takes when it is parsed, with its part of the answer.
const elementBytes = 256

func newLarge(limit int64) large {
	return large{parses: turns{limit: 1}, encodes: turns{limit: 1}, memory: pool{limit: limit}}
}

// admission is a request that waits for memory. begin is called when it has it, or is over.
type admission struct {
	request *request
	charge  int64
	begin   func()
	begun   bool
}

// parseLater has a large body parsed, and then serves the request. It keeps its turn to parse until there is memory for it: so
// one at most is not charged.
func (n *Node) parseLater(r *request, a *api, body []byte) {
	r.conn.deferred++
	r.onEnd(func() { body = nil })
	l := &n.large
	l.parses.take(r.conn, func() {
		n.breaks.after(func() { n.parseNow(r, a, body) })
	})
}

// parseNow does that when it is its turn.
func (n *Node) parseNow(r *request, a *api, body []byte) {
	l := &n.large
	if r.gone {
		l.parses.give()
		return
	}
	began := n.now
	n.start(Task{Kind: TaskParse, Header: r.header, Batch: body}, func(res TaskResult) {
		n.breaks.spendTask(r, began)
		admitted := false
		admit := func(answer int64) {
			admitted = true
			l.admit(r, max(int64(res.Elements)*elementBytes, answer), func() {
				l.parses.give()
				n.serveLarge(r, func() { n.handle(r, a, res.Message, res.Err) })
			})
		}
		if res.Message == nil || r.gone {
			admit(0)
			return
		}
		n.answerBytesInPieces(r, res.Message, admit)
		r.onEnd(func() { // its client may leave before all is estimated
			if !admitted {
				admitted = true
				l.parses.give()
			}
		})
	})
}

// serveLarge lets a request that was charged be served in its turn among those that take many steps.
func (n *Node) serveLarge(r *request, serve func()) {
	if !r.gone {
		r.size = max(r.size, r.charge)
		n.deferredFor(r).add(r.conn, &deferredWork{r, func() bool { return false }, serve, 2})
	}
}

// handleCharged serves a request whose answer may be large when there is memory for it. Until then it is the bytes that it came in.
func (n *Node) handleCharged(r *request, a *api, body []byte, req kmsg.Request, charge int64) {
	l := &n.large
	if l.waiting.len == 0 && l.fits(r, charge) {
		l.charge(r, charge)
		n.handle(r, a, req, nil)
		return
	}
	r.conn.deferred++
	r.onEnd(func() { body = nil })
	l.admit(r, charge, func() {
		n.serveLarge(r, func() {
			req, _, err := kafka.ParseWithin(r.header, body, n.cfg.LargeElements)
			n.handle(r, a, req, err)
		})
	})
}

// admit charges a request when there is memory for it, and calls begin then, or when its connection is gone.
func (l *large) admit(r *request, charge int64, begin func()) {
	if r.gone {
		begin()
		return
	}
	a := &admission{request: r, charge: charge, begin: begin}
	l.waiting.add(r.conn, a)
	l.serve()
	if a.begun {
		return
	}
	r.onEnd(func() {
		if !a.begun {
			l.waiting.forget(func(o *admission) bool { return o == a })
			a.begin()
			l.serve()
		}
	})
}

// fits reports whether there is memory for a request. One alone always gets what it needs.
func (l *large) fits(r *request, charge int64) bool {
	left, held := l.memory.limit-l.memory.used, r.conn.from.large
	return l.memory.used == 0 || charge <= left && (held == 0 || held+charge <= left)
}

// charge makes a request hold so many bytes.
func (l *large) charge(r *request, bytes int64) {
	l.memory.give(r.charge - bytes)
	r.conn.from.large += bytes - r.charge
	r.charge = bytes
}

// serve begins with those that wait, as far as there is memory: the next one, whose address has had its share, lets those of others
// go first.
func (l *large) serve() {
	if l.serving {
		return
	}
	l.serving = true
	for passed := 0; passed < len(l.waiting.order); {
		a := l.waiting.first()
		switch {
		case l.fits(a.request, a.charge):
			l.waiting.next()
			l.charge(a.request, a.charge)
			a.begun = true
			a.begin()
			passed = 0
			continue
		case a.charge > l.memory.limit-l.memory.used:
			passed = len(l.waiting.order) // whatever comes after it waits, too, or it might wait for ever
		default:
			l.waiting.pass()
			passed++
		}
	}
	l.serving = false
}

// uncharge gives back what the request was charged.
func (r *request) uncharge() {
	if l := &r.node.large; r.charge > 0 {
		l.charge(r, 0)
		l.serve()
	}
}

// encoding says where an answer is that a task encodes.
type encoding uint8

const (
	encodingWaits encoding = iota + 1 // for its turn
	encodingNow
)

// encodeLater answers the request when a task has made the frame. Nobody may touch the response any more.
func (r *request) encodeLater(answer Task) {
	r.settle()
	if r.gone {
		return
	}
	n := r.node
	r.encoding, r.answer = encodingWaits, &answer
	r.conn.deferred++
	n.large.encodes.take(r.conn, func() {
		if r.gone {
			n.large.encodes.give()
			return
		}
		r.encoding = encodingNow
		began := n.now
		n.start(*r.answer, func(res TaskResult) {
			n.breaks.spendTask(r, began)
			r.encoded(res)
		})
		r.answer = nil
	})
}

func (r *request) encoded(res TaskResult) {
	n := r.node
	n.large.encodes.give()
	n.counters.add(res.errors)
	r.encoding = 0
	if r.gone {
		n.large.orphans -= r.charge
		n.large.memory.give(r.charge)
		r.charge = 0
		n.large.serve()
		return
	}
	r.frame = res.Frame
	r.conn.deferred--
	r.handOut()
}

// abandonAnswer lets go of what is held for a request whose connection is gone; while a task works on it, it is held on.
func (r *request) abandonAnswer() {
	r.answer = nil
	if r.encoding == encodingNow {
		r.node.large.orphans += r.charge
		r.conn.from.large -= r.charge
		return
	}
	r.uncharge()
}

// encode makes the frame of an answer.
func (t *Task) encode(res *TaskResult) {
	var c counters
	c.answered(t.Header.Key, t.Response)
	res.errors = c.errors
	if fetch, ok := t.Response.(*kmsg.FetchResponse); ok {
		res.Frame = kafka.FetchFrame(t.Header.CorrelationID, fetch, t.Batches)
		return
	}
	most := headerBytes + c.encodedMost(reflect.ValueOf(t.Response).Elem())
	res.Frame = kafka.Frame{kafka.AppendResponse(make([]byte, 0, most), t.Header.CorrelationID, t.Response)}
}

// headerBytes is what the header of an answer takes in a frame, at most.
const headerBytes = 5

// encodedMost returns no less than what a struct takes in a frame, so that a frame never grows while it is written. To copy
// tens of megabytes to a larger place is one stretch of machine code, in which Go can't stop the thread; as soon as the
// collector wants to, everybody who allocates waits for its end.
//
// What has no texts and lists takes no less in memory than in a frame, and nor do lengths and what says that there is nothing.
func (c *counters) encodedMost(v reflect.Value) int {
	return int(v.Type().Size()) + c.encodedBeside(v)
}

// encodedBeside is the part of encodedMost that doesn't lie in the struct itself.
func (c *counters) encodedBeside(v reflect.Value) (n int) {
	l := c.layout(v.Type())
	for _, i := range l.texts {
		n += textOf(v.Field(i)).Len()
	}
	for _, i := range l.values {
		list := v.Field(i)
		elem := list.Type().Elem()
		n += list.Len() * int(elem.Size())
		if elem.Kind() == reflect.String || elem.Kind() == reflect.Slice {
			for j := range list.Len() {
				n += list.Index(j).Len()
			}
		}
	}
	for _, i := range l.lists {
		list := v.Field(i)
		for j := range list.Len() {
			n += c.encodedMost(list.Index(j))
		}
	}
	for _, i := range l.inner {
		if f := v.Field(i); f.Kind() == reflect.Struct {
			n += c.encodedBeside(f)
		} else if !f.IsNil() {
			n += c.encodedMost(f.Elem())
		}
	}
	return n
}

// textOf returns a text field's text; empty if it is null.
func textOf(f reflect.Value) reflect.Value {
	switch {
	case f.Kind() != reflect.Pointer:
		return f
	case f.IsNil():
		return reflect.ValueOf("")
	}
	return f.Elem()
}

// elements counts the elements of an answer; what it returns is above most if there are more than that. A kilobyte of text
// counts as one.
func (c *counters) elements(resp kmsg.Response, most int) int {
	left := most
	if p, ok := resp.(*kmsg.ProduceResponse); ok { // ordinary ones are counted without reflection
		for i := range p.Topics {
			left -= 1 + len(p.Topics[i].Partitions)
		}
		return most - left
	}
	c.weigh(reflect.ValueOf(resp).Elem(), &left)
	return most - left
}

// weigh takes a struct's elements from left, and stops below 0.
func (c *counters) weigh(v reflect.Value, left *int) {
	l := c.layout(v.Type())
	for _, i := range l.texts {
		*left -= textOf(v.Field(i)).Len() >> 10
	}
	for _, i := range l.values {
		*left -= v.Field(i).Len()
	}
	for _, i := range l.lists {
		list := v.Field(i)
		*left -= list.Len()
		for j := 0; j < list.Len() && *left >= 0; j++ {
			c.weigh(list.Index(j), left)
		}
	}
}

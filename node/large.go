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
// What is parsed takes many times the bytes of its frame. It is charged to a budget until its answer is a frame.
type large struct {
	parses, encodes turns
	memory          pool    // see Config.LargeBytes
	waiting         *parsed // has the turn to parse until there is memory
	orphans         int64   // of memory: of answers that are being encoded though nobody waits for them any more
}

// elementBytes is what an element takes when it is parsed, with its part of the answer.
const elementBytes = 256

func newLarge(limit int64) large {
	one := func() turns { return turns{limit: 1, queues: make(map[ConnID][]func())} }
	return large{parses: one(), encodes: one(), memory: pool{limit: limit}}
}

// parsed is a large request that is about to be served.
type parsed struct {
	request *request
	api     *api
	message kmsg.Request
	err     error
	charge  int64
}

// parseLater has a large body parsed, and then serves the request.
func (n *Node) parseLater(r *request, a *api, body []byte) {
	r.conn.chores++
	r.onEnd(func() { body = nil })
	n.large.parses.take(r.conn.id, func() {
		if r.gone {
			n.large.parses.give()
			return
		}
		n.start(Task{Kind: TaskParse, Header: r.header, Batch: body}, func(res TaskResult) {
			n.parsed(&parsed{r, a, res.Message, res.Err, int64(res.Elements) * elementBytes})
		})
	})
}

// parsed takes a parsed request. It keeps its turn until there is memory for it: so one at most is not charged.
func (n *Node) parsed(p *parsed) {
	l := &n.large
	switch {
	case p.request.gone:
		l.parses.give()
	case l.memory.used > 0 && l.memory.used+p.charge > l.memory.limit:
		l.waiting = p
		p.request.onEnd(func() {
			if l.waiting == p {
				l.waiting = nil
				l.parses.give()
			}
		})
	default:
		n.serveParsed(p)
	}
}

// serveParsed lets a parsed request be served in its turn among those that take many steps.
func (n *Node) serveParsed(p *parsed) {
	r := p.request
	r.charge, r.size = p.charge, max(r.size, p.charge)
	n.large.memory.used += p.charge
	n.large.parses.give()
	n.chores = append(n.chores, &chore{r, func() bool { return false }, func() { n.handle(r, p.api, p.message, p.err) }, 2})
}

// uncharge gives back what the request was charged.
func (r *request) uncharge() {
	l := &r.node.large
	l.memory.give(r.charge)
	r.charge = 0
	if p := l.waiting; p != nil && (l.memory.used == 0 || l.memory.used+p.charge <= l.memory.limit) {
		l.waiting = nil
		r.node.serveParsed(p)
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
	r.encoding, r.answer = encodingWaits, answer
	r.conn.chores++
	n.large.encodes.take(r.conn.id, func() {
		if r.gone {
			n.large.encodes.give()
			return
		}
		r.encoding = encodingNow
		n.start(r.answer, r.encoded)
		r.answer = Task{}
	})
}

func (r *request) encoded(res TaskResult) {
	n := r.node
	n.large.encodes.give()
	n.counters.add(res.errors)
	r.encoding = 0
	if r.gone {
		n.large.orphans -= r.charge
		r.uncharge()
		return
	}
	r.frame = res.Frame
	r.conn.chores--
	r.handOut()
}

// abandonAnswer lets go of what is held for a request whose connection is gone; while a task works on it, it is held on.
func (r *request) abandonAnswer() {
	r.answer = Task{}
	if r.encoding == encodingNow {
		r.node.large.orphans += r.charge
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
	elements := c.elements(t.Response, 1<<40)
	res.Frame = kafka.Frame{kafka.AppendResponse(make([]byte, 0, elements*encodedBytes), t.Header.CorrelationID, t.Response)}
}

// encodedBytes is about what an element takes in a frame.
const encodedBytes = 64

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
		f := v.Field(i)
		if f.Kind() == reflect.Pointer {
			if f.IsNil() {
				continue
			}
			f = f.Elem()
		}
		*left -= f.Len() >> 10
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

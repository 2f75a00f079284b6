// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"

	"chronik/node"
)

// eventKind says what an event does when its time comes.
type eventKind uint8

const (
	evMessage           eventKind = iota + 1 // msg reaches broker
	evOp                                     // op of broker's incarnation is finished
	evRequest                                // frame reaches broker over conn
	evHangup                                 // broker learns that conn is closed
	evReply                                  // frame reaches conn's client
	evConnLost                               // conn's client learns that it is closed
	evTimer                                  // client looks whether something is due
	evCall                                   // client begins call index of the plan
	evFault                                  // fault index of the plan begins; broker is where its anchor was
	evFaultEnd                               // fault index ends at broker
	evLost                                   // broker hears that its connection from broker from broke
	evRestart                                // broker recovers, if still in this incarnation
	evTurn                                   // turn index of the plan happens
	evResume                                 // member index goes on or is started again
	evAttack                                 // attack index of the plan begins
	evAttackNext                             // conn's attacker has read an answer
	evAttackEnd                              // attacker hangs up
	evLie                                    // message nth of lie index is told
	evTask                                   // task of broker's incarnation is done
	evList                                   // list index of the plan is mended
	evOperated                               // broker, which an operator took down, is started again
	evAsk                                    // an asker makes ask index of the plan
	evTransactor                             // a process of transactor index starts
	evTransactorResumes                      // client's process, which stood still, goes on
	evDouble                                 // double index arrives
	evAbortDue                               // transaction index, which was left, must be over
	evOrder                                  // the administrator gets order index of the plan
	evVisitor                                // visitor index of the plan comes
	evHasty                                  // hasty client index of the plan comes
	evRoll                                   // roll index of the plan happens; behind the last one: the level is to be raised
)

// event is something that will happen at a virtual time.
type event struct {
	at          node.Time
	kind        eventKind
	index       int
	nth         int    // evLie
	incarnation uint64 // evMessage: of a second process that sends it; 0: any other
	broker      *broker
	client      *client
	conn        *conn
	attacker    *attacker
	frame       []byte
	pieces      [][]byte // evMessage: as the sender holds them
	from        int      // evMessage: sending broker
	idle        bool     // evMessage: nothing but a clock caused it
	hash        uint64
	op          uint64     // evOp: id, of one in broker.ops
	slowness    int64      // evOp: the broker's when at was drawn
	task        *node.Task // evTask
}

// eventHeap orders events by (time, order of scheduling). Events lie in a slab, so that sifting
// moves small keys only.
type eventHeap struct {
	keys []heapKey
	slab []event
	free []int32
	seq  uint64
}

type heapKey struct {
	at   node.Time
	seq  uint64
	slot int32
}

func (k heapKey) before(o heapKey) bool { return k.at < o.at || k.at == o.at && k.seq < o.seq }

// next returns the time of the first event, node.Never if there is none.
func (h *eventHeap) next() node.Time {
	if len(h.keys) == 0 {
		return node.Never
	}
	return h.keys[0].at
}

func (h *eventHeap) push(e event) {
	var slot int32
	if n := len(h.free); n > 0 {
		slot = h.free[n-1]
		h.free = h.free[:n-1]
		h.slab[slot] = e
	} else {
		slot = int32(len(h.slab))
		h.slab = append(h.slab, e)
	}
	h.seq++
	h.keys = append(h.keys, heapKey{e.at, h.seq, slot})
	k, i := h.keys, len(h.keys)-1
	for i > 0 && k[i].before(k[(i-1)/2]) {
		k[i], k[(i-1)/2] = k[(i-1)/2], k[i]
		i = (i - 1) / 2
	}
}

// drop takes out all events of some kinds.
func (h *eventHeap) drop(kinds ...eventKind) {
	var keep []event
	for len(h.keys) > 0 {
		if e := h.pop(); !slices.Contains(kinds, e.kind) {
			keep = append(keep, e)
		}
	}
	for _, e := range keep { // in their order
		h.push(e)
	}
}

// change lets events be at other times.
func (h *eventHeap) change(at func(e *event) node.Time) {
	var all []event
	for len(h.keys) > 0 {
		e := h.pop()
		e.at = at(&e)
		all = append(all, e)
	}
	for _, e := range all { // in their order
		h.push(e)
	}
}

// pop takes out the first event; there must be one.
func (h *eventHeap) pop() event {
	k := h.keys
	slot, last := k[0].slot, len(k)-1
	k[0] = k[last]
	k = k[:last]
	h.keys = k
	for i := 0; ; {
		child := 2*i + 1
		if child >= last {
			break
		}
		if child+1 < last && k[child+1].before(k[child]) {
			child++
		}
		if !k[child].before(k[i]) {
			break
		}
		k[i], k[child] = k[child], k[i]
		i = child
	}
	e := h.slab[slot]
	h.slab[slot] = event{}
	h.free = append(h.free, slot)
	return e
}

// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"chronik/node"
	"chronik/sim/keyed"
	"chronik/sim/plan"
)

// tell puts the next message of a lie into its receiver's mailbox.
func (w *world) tell(index, nth int) {
	l := &w.plan.Lies[index]
	if w.healing {
		return
	}
	if nth+1 < l.Count {
		w.schedule(event{at: w.now + at(l.Every) + 1, kind: evLie, index: index, nth: nth + 1})
	}
	b := w.brokers[l.To-1]
	if b.node == nil || len(b.mail.messages) >= mailCap {
		return
	}
	data := w.lie(l, b, w.seed.Draw(domainLie, uint64(l.ID), uint64(nth)))
	w.result.Lies++
	w.note(evLie, b, hashOf(data))
	if w.tracing() {
		w.tracef("%s  lie %d: broker %d, %s, %d bytes", w.column(b), l.ID, l.From, l.Kind, len(data))
	}
	b.mail.message(node.Message{From: node.BrokerID(l.From), Data: data}, false)
}

// Raft's messages, by their numbers in envelopes.
const (
	raftHup           = 0
	raftBeat          = 1
	raftProp          = 2
	raftApp           = 3
	raftAppResp       = 4
	raftVote          = 5
	raftHeartbeat     = 8
	raftHeartbeatResp = 9
	raftTimeoutNow    = 14
	raftPreVote       = 17
	raftPreVoteResp   = 18
	raftStorageAppend = 19
	raftStorageApply  = 22 // the answer
	raftConfChange    = 2  // type of an entry
)

// The items of envelopes, see node/envelope.go.
const (
	lieEnvelope     = 1
	lieItemRaft     = 1
	lieItemCommand  = 2
	lieItemLeads    = 3
	lieItemSnapshot = 4
	lieItemPiece    = 6
	lieItemMembers  = 8
	lieItemInSync   = 10
	lieItemClock    = 11
	lieItemRemoved  = 12
	lieItemStart    = 15
)

func (w *world) lie(l *plan.Lie, b *broker, d keyed.Draw) []byte {
	out := []byte{lieEnvelope}
	switch l.Kind {
	case plan.LieGarbage:
		return lieGarbage(d)
	case plan.LieTerm, plan.LieIndex, plan.LieSender:
		return w.lieRaft(l, b, d)
	case plan.LieCommand:
		return lieText(append(out, lieItemCommand), lieCommands[d.Below(int64(len(lieCommands)))])
	case plan.LieBrokers:
		return lieText(append(out, lieItemMembers), lieMembers(d))
	case plan.LieLeads, plan.LieMayLead:
		return w.lieLeads(l, d)
	case plan.LieClock:
		return binary.AppendVarint(append(out, lieItemClock), []int64{math.MinInt64, -1, 0, math.MaxInt64}[d.Below(4)])
	case plan.LieRemoved:
		return binary.AppendUvarint(append(out, lieItemRemoved), w.lieIncarnation(b, d))
	default:
		return append(append(out, []byte{lieItemSnapshot, lieItemPiece}[d.Below(2)]), noise(d.Next(), int(d.Next().Between(8, 200)))...)
	}
}

func lieGarbage(d keyed.Draw) []byte {
	b := noise(d.Next(), int(d.Between(1, 300)))
	switch d.Next().Next().Below(3) {
	case 0:
		if b[0] = lieEnvelope; len(b) > 1 && b[1] == lieItemStart {
			b[1]++ // where a broker's log ends only the broker itself can say
		}
	case 1: // an item that is cut, or says that it is larger than all there is
		b = append([]byte{lieEnvelope, byte(1 + d.Below(lieItemStart-1))}, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f)
	}
	return b
}

// lieIncarnation is that of the receiver where a single voice isn't enough, and otherwise another.
func (w *world) lieIncarnation(b *broker, d keyed.Draw) uint64 {
	if w.plan.FounderCount() >= 3 && b.diskNumber == 1 && b.number <= w.plan.FounderCount() && d.Ratio(1, 2) {
		return 1
	}
	return uint64(b.diskNumber) + 1 + uint64(d.Next().Below(1<<40))
}

// lieRaft is a raft message about a group of the receiver's.
func (w *world) lieRaft(l *plan.Lie, b *broker, d keyed.Draw) []byte {
	v := node.View{Self: uint64(b.number)<<32 | 1, Term: 1}
	if seen := w.judge.seen[b.number]; len(seen) > 0 {
		v = seen[d.Below(int64(len(seen)))].view
	}
	m := lieMessage{group: v.Group, from: w.lieReplica(l, v), to: v.Self, term: v.Term, kind: raftHeartbeat}
	kinds := []uint64{raftApp, raftAppResp, raftVote, raftHeartbeat, raftHeartbeatResp, raftTimeoutNow, raftPreVote, raftPreVoteResp}
	d = d.Next()
	switch l.Kind {
	case plan.LieTerm:
		m.kind = kinds[d.Below(int64(len(kinds)))]
		m.term = []uint64{0, math.MaxInt32 + 1, math.MaxUint64, 1<<31 + uint64(d.Next().Below(1<<40))}[d.Next().Below(4)]
	case plan.LieSender:
		m.kind = kinds[d.Below(int64(len(kinds)))]
		m.from = uint64(l.From+1)<<32 | 1
		m.term += uint64(d.Next().Below(3))
	default:
		m.spoil(d)
	}
	return m.append([]byte{lieEnvelope, lieItemRaft})
}

// lieReplica is the liar's replica of a group, if it has one.
func (w *world) lieReplica(l *plan.Lie, v node.View) uint64 {
	for _, id := range append(slices.Clone(v.Voters), v.Learners...) {
		if int(id>>32) == l.From {
			return id
		}
	}
	return uint64(l.From)<<32 | 1
}

// lieMessage is a raft message, as envelopes hold it.
type lieMessage struct {
	group             node.GroupID
	from, to, term    uint64
	kind              uint64
	index, commit     uint64
	entryTerm, entry  uint64
	entryKind         uint64
	entryData, hasOne bool
}

// spoil makes it one of the present term that contradicts itself or every log.
func (m *lieMessage) spoil(d keyed.Draw) {
	switch far := uint64(1<<62) + uint64(d.Next().Below(1<<40)) + 1; d.Below(6) {
	case 0:
		m.kind, m.commit = raftHeartbeat, far
	case 1:
		m.kind, m.index = raftAppResp, far
	case 2:
		m.kind, m.index = raftApp, math.MaxUint64
	case 3: // an entry of a later term than the message's
		m.kind, m.hasOne, m.entry, m.entryTerm = raftApp, true, 1, m.term+1
	case 4: // a configuration that is none
		m.kind, m.hasOne, m.entry, m.entryTerm, m.entryKind, m.entryData = raftApp, true, 1, m.term, raftConfChange, true
	default: // what raft says to itself
		m.kind = []uint64{raftHup, raftBeat, raftProp, raftStorageAppend, raftStorageApply, 99}[d.Next().Below(6)]
	}
}

func (m *lieMessage) append(b []byte) []byte {
	for _, v := range []uint64{uint64(m.group), m.from, m.to, m.kind, m.term, 0, m.index, m.commit, 0} {
		b = binary.AppendUvarint(b, v)
	}
	b = append(b, 0, 0)
	if !m.hasOne {
		return append(b, 0)
	}
	b = append(b, 1)
	for _, v := range []uint64{m.entryTerm, m.entry, m.entryKind} {
		b = binary.AppendUvarint(b, v)
	}
	if m.entryData {
		return append(b, 1, 0xff)
	}
	return append(b, 0)
}

// lieLeads says that the liar leads groups, in terms that can't be, or in some that a group may come to. Those are believed by who
// has no replica of it, for a while.
func (w *world) lieLeads(l *plan.Lie, d keyed.Draw) []byte {
	item := []byte{lieItemLeads, lieItemInSync}[d.Below(2)]
	b := append([]byte{lieEnvelope, item}, 8)
	for id := range uint64(8) {
		b = binary.AppendUvarint(b, id+1)
		term := math.MaxInt32 + 1 + uint64(d.Next().Below(1<<40))
		if l.Kind == plan.LieMayLead {
			term = w.judge.newestTerm(node.GroupID(id+1)) + uint64(d.Next().Below(1000))
		}
		b = binary.AppendUvarint(b, term)
		if item == lieItemInSync {
			b = binary.AppendVarint(b, math.MaxInt64)
			b = append(b, 1, byte(l.From))
		}
	}
	return b
}

// lieCommands are refused by every release.
var lieCommands = []string{
	"", "{", "null", "[]", `{"Origin":1}`, `{"Origin":-4,"Session":1,"Seq":1,"Remove":{"Broker":1}}`,
	`{"Origin":1,"Session":18446744073709551615,"Seq":1,"FutureThing":{"X":1}}`,
	`{"Origin":1,"Session":18446744073709551615,"Seq":1,"ProducerIDs":{"Count":-1}}`,
	`{"Origin":1,"Session":18446744073709551615,"Seq":1,"Register":{"ID":70,"Host":"h","Port":1,"Incarnation":1}}`,
	`{"Origin":1,"Session":18446744073709551615,"Seq":1,"CreateTopic":{"Name":"../x","Replicas":[[1]]}}`,
	`{"Origin":71,"Session":1,"Seq":1,"DeleteTopic":{"Name":"t0"}}`,
}

// lieMembers tells of brokers that there aren't; now and then of more than a cluster can have.
func lieMembers(d keyed.Draw) string {
	n := []int64{1, 20, 1001}[d.Below(3)]
	text := []byte{'['}
	for i := range n {
		if i > 0 {
			text = append(text, ',')
		}
		text = fmt.Appendf(text, `{"ID":%d,"Host":"nowhere","Port":9092,"Peer":"nowhere:1"}`, 1000+d.Next().Below(50000)+i)
	}
	return string(append(text, ']'))
}

func lieText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"
	pb "go.etcd.io/raft/v3/raftpb"

	"chronik/kafka"
	"chronik/wal"
)

// part returns a broker's replica of a topic's only partition.
func (c *many) part(id BrokerID, topic string) *partition {
	n := c.nodes[id].node
	return n.partitions[n.catalog.partition(topic, 0).Group]
}

// transact appends a batch as a client's gets into the log.
func (c *many) transact(topic string, raw []byte) {
	c.t.Helper()
	c.until("somebody leads", func() bool { return c.leader(topic) > 0 })
	p, answered := c.part(c.leader(topic), topic), false
	p.stamp(raw)
	p.group.propose(raw, func(result any, err error) {
		if v, _ := result.(verdict); err != nil || v.err != nil {
			c.t.Fatal(err, v.err)
		}
		answered = true
	})
	c.until("it is committed", func() bool { return answered })
}

func (c *many) mark(topic string, m txnMarker) {
	c.t.Helper()
	c.until("somebody leads", func() bool { return c.leader(topic) > 0 })
	id, answered := c.leader(topic), false
	c.nodes[id].node.addMarker(c.part(id, topic).meta.Group, m, func(err error) {
		if err != nil {
			c.t.Fatal(err)
		}
		answered = true
	})
	c.until("the marker is applied", func() bool { return answered })
}

// committed reads what a client sees that reads committed records only: how many records and what each key has last.
func (c *many) committed(id BrokerID, topic string) (records int, last map[string]string) {
	c.t.Helper()
	last = map[string]string{}
	for offset := int64(0); ; {
		req := committedRequest(topic, offset)
		req.MaxWaitMillis = 0
		p := c.ask(id, req).(*kmsg.FetchResponse).Topics[0].Partitions[0]
		if p.ErrorCode != 0 {
			c.t.Fatal(kafka.CodeName(p.ErrorCode))
		}
		kept, next := readAs(c.t, &p, offset)
		for _, s := range kept {
			_, s, _ = strings.Cut(s, "=")
			key, value, _ := strings.Cut(s, ":")
			records++
			last[key] = strings.TrimSpace(value)
		}
		if next == offset {
			return records, last
		}
		offset = next
	}
}

// keyed is a batch of one record, whose value begins with the key.
func keyed(producer int64, sequence int32, key, value string, attributes int16) []byte {
	spec := kafka.NewBatchSpec(kafka.Record{Key: []byte(key), Value: []byte(key + ":" + value)})
	spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence, spec.Attributes = producer, 0, sequence, attributes
	if producer < 0 {
		spec.ProducerEpoch, spec.BaseSequence = -1, -1
	}
	return kafka.AppendBatch(nil, spec)
}

// mixture is a compacted topic that is written to in transactions and without.
type mixture struct {
	*many
	random  *rand.Rand
	want    map[string]string           // the committed value of each key
	pending map[int64]map[string]string // of open transactions
	next    map[int64]int32
	number  uint64
}

func newMixture(t *testing.T) *mixture {
	m := &mixture{many: newMany(t, 3, small), random: rand.New(rand.NewPCG(1, 2)), want: map[string]string{}, pending: map[int64]map[string]string{}, next: map[int64]int32{}}
	m.createCompacted("t", 3)
	return m
}

// put writes a record of no transaction, or of one.
func (m *mixture) put(producer int64, key, value string) {
	if producer < 0 {
		m.transact("t", keyed(-1, -1, key, value+strings.Repeat(" ", 200), 0))
		m.want[key] = value
		return
	}
	m.transact("t", keyed(producer, m.next[producer], key, value+strings.Repeat(" ", 200), kafka.TransactionalFlag))
	if m.next[producer]++; m.pending[producer] == nil {
		m.pending[producer] = map[string]string{}
	}
	m.pending[producer][key] = value
}

func (m *mixture) end(producer int64, commit bool) {
	m.number++
	m.mark("t", txnMarker{producerID: producer, commit: commit, number: m.number})
	for key, value := range m.pending[producer] {
		if commit {
			m.want[key] = value
		}
	}
	delete(m.pending, producer)
}

// step does anything of this.
func (m *mixture) step(i int) {
	producer := int64(m.random.IntN(3)) - 1
	key, value := fmt.Sprintf("p%d-k%d", producer, m.random.IntN(5)), fmt.Sprintf("v%d", i)
	if producer >= 0 && m.pending[producer] != nil && m.random.IntN(4) == 0 {
		m.end(producer, m.random.IntN(2) == 0)
		return
	}
	m.put(producer, key, value)
}

// rest waits until everything is compacted.
func (m *mixture) rest() {
	m.until("every broker has compacted what is there", func() bool {
		return !slices.ContainsFunc(m.ids, func(id BrokerID) bool {
			return m.nodes[id].events[EventCompacted] == 0 || m.nodes[id].node.compactor.part != nil || m.part(id, "t").isDirty()
		})
	})
}

// check reads everything.
func (m *mixture) check() {
	m.t.Helper()
	m.until("somebody leads", func() bool { return m.leader("t") > 0 })
	records, last := m.committed(m.leader("t"), "t")
	if diff := cmp.Diff(m.want, last); diff != "" {
		m.t.Error(diff)
	}
	if records > 150 {
		m.t.Errorf("%d records are left", records)
	}
}

// entryAt reads an entry, from memory or from the disk.
func (m *mixture) entryAt(id BrokerID, index uint64) *pb.Entry {
	n, g := m.nodes[id].node, m.part(id, "t").group
	if e := g.view.entry(index); e != nil {
		return e
	}
	op, err := n.log.Read(g.id, index, index+1, 1)
	if err != nil {
		m.t.Fatal(err)
	}
	ents, err := n.log.Entries(g.id, index, wal.Do(m.nodes[id].dir, op))
	if err == nil {
		ents, err = unpacked(g.id, ents, index)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return toRaft(&ents[0])
}

// left counts the markers and the batches of aborted transactions that a broker still has.
func (m *mixture) left(id BrokerID) (markers, aborted int) {
	p := m.part(id, "t")
	for cur := p.seek(0); cur.base < p.highWatermark; {
		b, base, ok := p.take(&cur, m.entryAt(id, cur.index))
		markers += btoi(ok && b.Count > 0 && b.IsControl())
		aborted += btoi(ok && b.Count > 0 && p.isAborted(&b, base))
	}
	return markers, aborted
}

// Aborted records take no committed one's place and are dropped, nothing is dropped from the first open transaction on, and
// markers go some time later. A replica that reads all of it back, or gets it from another, knows the same.
func TestCompactionOfTransactions(t *testing.T) {
	m := newMixture(t)
	for i := range 900 {
		m.step(i)
	}
	m.end(0, false)
	m.end(1, true)
	m.put(7, "open", "not committed")
	m.put(-1, "last", "committed")
	delete(m.want, "last") // nobody sees it yet
	m.rest()
	m.check()
	m.want["last"] = "committed"
	m.pass(4 * time.Second) // delete.retention.ms, so markers may go in the next pass
	for range 100 {
		m.put(-1, "k0", "again and again")
	}
	m.end(7, true)
	for range 100 {
		m.put(-1, "k1", "again and again")
	}
	m.rest()
	m.pass(4 * time.Second)
	m.check()
	for _, id := range m.ids {
		if markers, aborted := m.left(id); markers > 3 || aborted > 0 {
			t.Errorf("broker %d has %d markers, and %d batches of aborted transactions", id, markers, aborted)
		}
	}
	for _, id := range m.ids { // everything again from the log
		m.kill(id)
		m.start(id)
	}
	m.check()
	before := m.part(m.leader("t"), "t")
	aborted, stable := fmt.Sprint(before.aborted), before.lastStable()
	m.add(3, 3, 9) // without its disk
	m.until("it has everything", func() bool {
		meta := m.nodes[3].node.catalog.partition("t", 0)
		return meta != nil && m.nodes[3].node.partitions[meta.Group] != nil && m.part(3, "t").highWatermark == before.highWatermark
	})
	if p := m.part(3, "t"); fmt.Sprint(p.aborted) != aborted || p.lastStable() != stable || p.check() != nil {
		t.Errorf("the new replica knows of %d aborted transactions, not %d: %v", len(p.aborted), len(before.aborted), p.check())
	}
}

// Records from memory may be those of before compaction, and the marker after them gone: then the answer ends there, or
// clients would leave out the producer's next transaction.
func TestAnswerEndsBeforeASpentMarker(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	o.transact("t", txnBatch(7, 0, 0, "aborted"))
	o.mark("t", txnMarker{producerID: 7, number: 1})
	o.transact("t", txnBatch(7, 0, 1, "committed"))
	o.mark("t", txnMarker{producerID: 7, number: 2, commit: true})
	p := o.part("t")
	for i := p.group.applied; i > 0; i-- {
		e := p.group.view.entry(i)
		if e == nil || !isBatch(e) {
			continue
		}
		if m, err := kafka.ParseMarker(e.GetData()); err == nil && !m.Commit {
			spent, err := kafka.SpentMarker(e.GetData())
			if err != nil {
				t.Fatal(err)
			}
			e.Data = spent
		}
	}
	if got := fmt.Sprint(o.committed("t", 0, nil)); got != "[2=committed]" {
		t.Errorf("read: %s", got)
	}
}

// A client that reads committed records gets to the last stable offset, whatever compaction has left before it, and no
// further.
func TestCommittedReadersPassEmptySpans(t *testing.T) {
	m := newMixture(t)
	for i := range 300 {
		m.put(-1, "k", fmt.Sprintf("v%d", i))
	}
	m.put(1, "aborted", "x")
	for range 150 {
		m.put(1, "aborted", "x")
	}
	m.end(1, false)
	m.put(7, "open", "x")
	for i := range 100 {
		m.put(-1, "after", fmt.Sprintf("v%d", i))
	}
	m.rest()
	p := m.part(m.leader("t"), "t")
	for offset := int64(0); offset < p.lastStable(); {
		req := committedRequest("t", offset)
		req.MaxWaitMillis = 0
		out := m.ask(m.leader("t"), req).(*kmsg.FetchResponse).Topics[0].Partitions[0]
		_, next := readAs(t, &out, offset)
		if next == offset || next > p.lastStable() {
			t.Fatalf("at offset %d a fetch leads to %d, the last stable offset is %d", offset, next, p.lastStable())
		}
		offset = next
	}
}

// Records of an open transaction supersede none: it may be aborted.
func TestCompactionWaitsForTransactions(t *testing.T) {
	m := newMixture(t)
	m.put(-1, "k", "committed")
	for i := range 100 {
		m.put(-1, "other", fmt.Sprintf("v%d", i))
	}
	m.put(7, "k", "aborted")
	for i := range 200 {
		m.put(-1, "other", fmt.Sprintf("w%d", i))
	}
	m.rest()
	m.pass(5 * time.Second)
	m.end(7, false)
	for i := range 200 {
		m.put(-1, "other", fmt.Sprintf("x%d", i))
	}
	m.rest()
	m.check()
}

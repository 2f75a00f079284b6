// SPDX-License-Identifier: Apache-2.0

package node

import (
	"math"
	"strconv"
	"strings"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"chronik/kafka"
	"chronik/node/step"
	"chronik/wal"
)

// compactor drops records of compacted topics (cleanup.policy=compact) if there is a newer one with the
// same key. It works on one partition at a time, in two passes over its old entries. The first notes the
// newest offset of each key. The second drops the other records from their batches, and replaces each entry
// by what is left (wal.Log.Replace).
//
// Each replica compacts its own log when it finds the time, without agreement. A batch keeps its offsets and
// its producer's sequences, and stays even when it is empty. So an entry means the same to apply before and
// after, and replicas that have compacted unequally differ only in old values. The newest record of a key is
// never dropped, nor is any of the newest entries (compactionEnd).
//
// A tombstone, a record without a value, is itself dropped once it is older than delete.retention.ms. Until
// then a consumer that lags far behind has time to see it.
//
// Records of aborted transactions are dropped at once, and their keys don't count. Nothing is compacted from the first
// open transaction on. A transaction's marker is dropped like a tombstone; what apply reads of it stays in the header
// of the empty batch (kafka.SpentMarker).
type compactor struct {
	node     *Node
	part     *partition // nil: idle
	at       Time       // when to go on
	choosing bool       // a partition
	read     uint64     // the operation under way, 0 if none

	first  cursor // where the second pass begins
	cur    cursor // before the next entry
	end    uint64 // one past the last entry
	keys   *Keys  // the newest offset of each key
	second bool   // pass
	seen   survey // in it
	packing
	wrote wal.LSN     // end of the last entry with which it replaced another
	from  uint64      // where the read under way begins
	ents  []wal.Entry // were read and are still to be looked at
	work  int64       // bytes that were looked at since the last pause
	task  bool        // one is under way
}

const compactionPause = 2 * time.Second // between looking for work

// storedLimit returns how many bytes a batch that is in the log may unfold to when it is opened: what
// was taken once, by this version under other settings or by an older one. Others stay as they are.
func (n *Node) storedLimit(p *partition) int { return max(64<<20, n.unfoldLimit(p.meta.Topic)) }

// tick goes on with the work, or looks for some.
func (c *compactor) tick() {
	if c.read != 0 || c.task || c.node.now < c.at || c.node.log.Full() {
		return
	}
	if c.part != nil {
		c.readNext()
		return
	}
	if c.wrote > c.node.log.Durable() { // what a pass reads must be what the one before has left
		c.node.log.RequestSync()
		return
	}
	c.choose()
}

// choose begins with the partition of which the largest share is new since it was last compacted, if one has enough.
func (c *compactor) choose() {
	if c.choosing {
		return
	}
	c.choosing = true
	var best *partition
	most := int64(0)
	c.node.forAll(func(g *group) {
		p := c.node.partitions[g.id]
		if p == nil || g.closed || !p.compacts() {
			return
		}
		c.node.out.Work.Parts += 1 + len(p.spans)/8
		if dirty := p.dirty(); dirty >= p.dirtyRatio() && dirty > most {
			best, most = p, dirty
		}
	}, func() {
		c.choosing = false
		c.at = c.node.now.Add(compactionPause)
		if best != nil && !best.group.closed && c.node.partitions[best.group.id] == best && !c.node.log.Full() {
			c.begin(best)
		}
	})
}

// compacts reports whether the partition's topic is compacted.
func (p *partition) compacts() bool {
	return strings.Contains(p.node.cleanupPolicy(p.meta.Topic), cleanupCompact)
}

// deletes reports whether records of the partition's topic expire.
func (p *partition) deletes() bool {
	return strings.Contains(p.node.cleanupPolicy(p.meta.Topic), cleanupDelete)
}

// dirty returns how much of a thousand of the partition's bytes can be compacted and wasn't yet; all if some of it
// is so old that it has to be (max.compaction.lag.ms).
func (p *partition) dirty() int64 {
	lag := p.node.topicNumber(p.meta.Topic, maxCompactionLagConfig)
	return p.records.dirty(p.node.age(), p.compacted.index, p.compactionEnd(), p.group.applied, lag)
}

// compactionEnd returns the entry up to which the partition may be compacted. The newest stay as they are until there
// are many, or they are as old as the active segment of a log in Kafka gets (segment.ms), or must not wait longer
// (max.compaction.lag.ms). Records younger than min.compaction.lag.ms stay in any case.
func (p *partition) compactionEnd() uint64 {
	n, t := p.node, p.meta.Topic
	applied := p.group.applied
	end := applied + 1 - min(applied, uint64(n.cfg.RetainEntries))
	rolls := min(n.topicNumber(t, segmentMsConfig), n.topicNumber(t, maxCompactionLagConfig))
	end = p.compactable(n.age(), end, applied, n.cfg.RetainBytes, rolls, n.topicNumber(t, minCompactionLagConfig))
	end = p.decided(end)
	st, _ := n.log.State(p.group.id)
	return min(end, st.Commit+1) // the log replaces nothing above it
}

func (c *compactor) begin(p *partition) {
	c.part, c.second, c.packing = p, false, packing{}
	c.keys = newKeys(c.node.cfg.CompactionBytes)
	c.first = p.seek(p.start)
	c.cur, c.end = c.first, p.compactionEnd()
	if p.compacted.index > c.first.index { // exactly there: memory may hold fewer keys than a span has
		c.cur = p.compacted
	}
	c.readNext()
}

// readNext reads the next entries, or ends the pass.
func (c *compactor) readNext() {
	g := c.part.group
	first, _ := g.view.FirstIndex()
	c.part.skip(&c.cur, math.MaxInt64)
	switch {
	case g.closed || c.node.partitions[g.id] != c.part || c.cur.index < first:
		c.giveUp() // gone, or the log's start has moved on
		return
	case c.cur.index >= c.end && c.second:
		c.finish()
		return
	case c.cur.index >= c.end:
		c.second, c.cur, c.seen = true, c.first, survey{}
		c.readNext()
		return
	}
	end := c.part.worthReading(c.cur.index, c.end, c.node.cfg.ColdReadBytes)
	c.from = c.readsFrom()
	op, err := c.node.log.Read(g.id, c.from, g.upTo(c.from, min(end, c.from+maxUnpacked)), c.node.cfg.ColdReadBytes)
	if err != nil {
		c.giveUp()
		return
	}
	c.read = op.ID
	c.node.reads.start(op, c.took)
}

// finish ends the second pass.
func (c *compactor) finish() {
	p := c.part
	c.flushVoids()
	p.compacted = c.cur
	c.node.log.RequestSync() // reads return the old entries until the new ones are durable
	c.node.event(Event{Kind: EventCompacted, Group: p.meta.Group, N: p.compacted.base})
	c.part, c.keys = nil, nil
}

// giveUp ends a pass before its end. What it hasn't put into the log yet is for a later pass.
func (c *compactor) giveUp() {
	c.part.spans.lookAgain(c.packing.voids)
	c.part, c.keys, c.ents, c.packing = nil, nil, nil, packing{}
}

// took takes what was read.
func (c *compactor) took(res wal.Result) {
	c.read = 0
	p, g := c.part, c.part.group
	ents, err := c.node.log.Entries(g.id, c.from, res)
	switch {
	case isMissing(err) || g.closed || c.node.partitions[g.id] != p:
		c.giveUp()
		return
	case err != nil:
		c.giveUp()
		c.at = c.node.now.Add(compactionPause)
		c.node.cantRead(g, c.cur.index, err)
		return
	}
	c.ents, c.work = ents, int64(len(res.Data))
	c.node.counters.compacted += int64(len(res.Data))
	c.next()
}

// next has the next entry looked at that holds records. When there is none left, the work goes on
// after a pause.
func (c *compactor) next() {
	for len(c.ents) > 0 && (c.second || !c.keys.full()) {
		next := &c.ents[0]
		c.ents = c.ents[1:]
		if next.Last > 0 {
			if err := c.passPacked(next); err != nil {
				p := c.part
				c.giveUp()
				c.node.damaged(p.group, next.Index, err)
				return
			}
			continue
		}
		e := toRaft(next)
		b, base, ok := c.part.take(&c.cur, e)
		switch {
		case !ok, b.Count == 0, b.IsControl() && c.oldTombstones(e), c.part.isAborted(&b, base):
			c.passVoid(next)
		case b.IsControl():
			c.passMarker(next)
		default:
			c.look(e, base)
			return
		}
	}
	if !c.second && c.keys.full() {
		c.end = c.cur.index // more keys don't fit; what comes after is for another time
	}
	c.ents = nil
	if rate := c.node.cfg.CompactionBytesPerSecond; rate > 0 {
		c.at = c.node.now.Add(time.Duration(int64(time.Second) * c.work / rate))
	}
}

// oldTombstones reports whether the tombstones of a batch, or the marker that it is, have been there for delete.retention.ms. That goes by when it
// was appended, which is the same on all replicas, and not by what its producer claims.
func (c *compactor) oldTombstones(e *pb.Entry) bool {
	b, err := kafka.ParseBatch(e.Data)
	if err != nil || !c.node.clock.earliest.known || b.BaseOffset == 0 {
		return false
	}
	return b.BaseOffset <= c.node.unixMs-c.node.topicNumber(c.part.meta.Topic, deleteRetentionConfig)
}

// look has one batch opened in either pass.
func (c *compactor) look(e *pb.Entry, base int64) {
	p := c.part
	t := Task{Kind: TaskKeys, Batch: e.Data, Limit: c.node.storedLimit(p), Base: base, Keys: c.keys}
	if c.second {
		t.Kind = TaskKeep
		t.Tombstones = c.oldTombstones(e)
	}
	c.task = true
	c.node.start(t, func(res TaskResult) {
		c.task = false
		first, _ := p.group.view.FirstIndex()
		if p.group.closed || c.node.partitions[p.group.id] != p || e.GetIndex() < first {
			c.giveUp() // gone, or the log's start has moved on
			return
		}
		c.work += res.Bytes
		// What can't be unfolded stays as it is, and no key in it is known.
		if t.Kind == TaskKeep {
			c.keep(e, res)
		} else if began := max(c.first.index, p.compacted.index); c.keys.leftOut && e.GetIndex() > began {
			c.cur = cursor{index: e.GetIndex(), base: base} // the next pass begins with this batch
		}
		c.next()
	})
}

// note tells the index of offsets what is left of the entry before the cursor.
func (c *compactor) note(bytes int, records bool) {
	if c.second {
		c.part.spans.note(c.cur.index, &c.seen, bytes, records)
	}
}

// keep puts what is left of a batch in its place.
func (c *compactor) keep(e *pb.Entry, res TaskResult) {
	left := toLog(e)
	smaller := res.Err == nil && len(res.Batch) < len(e.Data)
	if smaller {
		left.Data = res.Batch
	}
	if isVoid(&left) {
		c.pack(smaller, left)
		c.note(0, false)
		return
	}
	c.flushVoids()
	if smaller {
		c.node.log.Replace(c.part.group.id, left)
		c.wrote = c.node.log.End()
		c.node.hotBytes += c.part.group.view.replace(toRaft(&left))
	}
	c.note(len(left.Data), true)
}

// dirtyRatio returns min.cleanable.dirty.ratio of the partition's topic, times a thousand.
func (p *partition) dirtyRatio() int64 {
	v, ok := p.meta.Topic.config(dirtyRatioConfig)
	if !ok {
		v = defaultDirtyRatio
	}
	ratio, err := strconv.ParseFloat(v, 64)
	step.Assert(err == nil, "configuration %s was checked when it was set: %q", dirtyRatioConfig, v)
	return int64(ratio * 1000)
}

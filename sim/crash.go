// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"time"

	"chronik/node"
	"chronik/sim/keyed"
	"chronik/sim/plan"
	"chronik/wal"
)

// crash ends a broker's process, by kill -9 or by power loss, and starts it again after down. It
// says whether the crash could make a difference. A power loss also hits a broker that is down:
// what its killed process left unsynced may go.
func (w *world) crash(b *broker, power bool, down node.Time) bool {
	w.brokersDid++
	w.disksDid++
	up, unsynced := b.node != nil, b.disk.unsynced() || len(b.ops) > 0
	for _, op := range b.ops {
		b.disk.dieDuring(op)
		if op.Kind == wal.OpWrite {
			b.limbo = append(b.limbo, op)
		}
	}
	b.ops = b.ops[:0]
	if power {
		b.disk.powerLoss()
	} else {
		b.disk.kill()
	}
	b.crashes++
	w.note(evRestart, b, uint64(down))
	if up {
		w.disturbed()
		b.diedAt = w.now
		w.result.Crashes++
		st := b.node.Stats()
		w.hotReads, w.cachedReads = w.hotReads+st.HotHits, w.cachedReads+st.CacheHits
		b.node = nil
		if w.features != nil && b.first == nil {
			w.features.down(b, power, unsynced)
		}
		b.mail.clear()
		b.in = node.Input{}
		w.dropConns(b, power)
		w.loseBroker(b, power)
		w.judge.crashed(w, b)
		w.schedule(event{at: w.now + down, kind: evRestart, broker: b, incarnation: b.incarnation})
	}
	if w.tracing() {
		w.tracef("%s  crash power=%v unsynced=%v, back in %v", w.column(b), power, unsynced, plan.Duration(down))
	}
	return unsynced || up && !power
}

// loseBroker lets the other brokers hear that their connections from b broke. After a power loss
// nobody tells them, half of the time, and across a partition never.
func (w *world) loseBroker(b *broker, silent bool) bool {
	heard := false
	for _, o := range w.brokers {
		d := w.seed.Draw(domainLost, keyed.Pair(b.number, o.number), b.crashes)
		if o == b || w.net.links[b.number][o.number].cut > 0 || silent && d.Ratio(1, 2) {
			continue
		}
		heard = true
		w.schedule(event{at: w.now + span(d.Next(), w.plan.Knobs.LinkLatency) + 1, kind: evLost, broker: o, from: b.number})
	}
	return heard
}

// stopTime is how long a clean stop may take before the host ends the process anyway.
const stopTime = node.Time(10 * second)

// beginStop asks a broker to hand its leaderships over and finish.
func (w *world) beginStop(b *broker, down node.Time) bool {
	if b.node == nil || b.stopBy != 0 {
		return false
	}
	b.stopBy, b.downAfter = w.now+stopTime, down
	b.wake = min(b.wake, w.now)
	return true
}

func (w *world) restart(e event) {
	if b := e.broker; b.node == nil && b.incarnation == e.incarnation && !b.frozen && !b.away {
		w.boot(b)
	}
}

// boot recovers a broker from its disk.
func (w *world) boot(b *broker) {
	w.brokersDid++
	w.disksDid++
	b.incarnation++
	b.raftDraws = 0
	clear(b.dials[:])
	b.bootedAt = w.now
	b.pausedUntil, b.stopBy = 0, 0
	b.diskFault = false
	if b.dieAt > 0 {
		b.disk.fuse = b.dieAt
		b.dieAt = 0
	}
	faulty := b.disk.failSyncs > 0 || b.disk.failWrites > 0 || b.disk.full
	w.random.turn(b)
	cfg := w.config(b)
	b.runs = cfg.Levels
	b.budget = cmp.Or(cfg.StepBudget, node.StepBudget)
	b.pieceBytes, b.moveBytes = cmp.Or(cfg.Log.PieceBytes, 256<<10), int(cmp.Or(cfg.Log.ReadBytes, 1<<20))
	b.disk.showEnd(b.lastFile, b.lastEnd)
	shortened := b.disk.shortened
	n, err := node.Open(cfg, b.disk, b.local(w.now))
	w.random.done(b)
	if b.disk.fuse == 0 || err != nil && faulty { // it died in the middle, or the disk failed
		w.diedInRecovery(b)
		return
	}
	b.disk.fuse = -1
	if _, ok := errors.AsType[*node.LevelError](err); ok {
		w.unfit(b, err)
		return
	}
	if err != nil && w.plan.Beyond() {
		w.refused(b, err.Error())
		return
	}
	if err != nil {
		w.fail("recovery", "broker %d does not start, though no durable byte was touched: %v", b.number, err)
	}
	b.node = n
	b.wake = w.now
	b.stirred, b.unfinished = true, true
	w.disturbed()
	b.busyUntil = w.now + span(w.seed.Draw(domainRestart, uint64(b.number), b.incarnation), w.plan.Knobs.RestartTime)
	w.note(evRestart, b, b.incarnation)
	if w.tracing() {
		w.tracef("%s  recovered, incarnation %d", w.column(b), b.incarnation)
	}
	if !b.stray {
		w.judge.recovered(w, b)
	}
	if w.plan.Beyond() && b.disk.shortened == shortened {
		w.checkTail(b)
	}
	if b.incarnation > 1 {
		w.observe(w.anchor(plan.WorldRestarted), b)
	}
}

// diedInRecovery takes the power away once more and tries again.
func (w *world) diedInRecovery(b *broker) {
	b.crashes++
	w.result.Crashes++
	b.disk.powerLoss()
	d := w.seed.Draw(domainRestart, uint64(b.number), b.crashes).Next()
	w.schedule(event{
		at: w.now + node.Time(d.LogUniform(int64(millisecond), int64(second))), kind: evRestart,
		broker: b, incarnation: b.incarnation,
	})
}

// config is what the broker is told at its start.
func (w *world) config(b *broker) node.Config {
	k := &w.plan.Knobs
	cfg := node.Config{
		ClusterID:         "sim",
		BrokerID:          node.BrokerID(b.number),
		Incarnation:       b.diskNumber,
		Members:           w.inRacks(w.members(b)),
		Seed:              uint64(w.seed.Draw(domainRaft, keyed.Pair(b.number, int(b.incarnation)), 1<<63)),
		AutoCreateTopics:  true,
		MaxMessageBytes:   plan.MaxBatchBytes,
		TickInterval:      time.Duration(k.Tick),
		ElectionTicks:     k.ElectionTicks,
		HeartbeatTicks:    k.HeartbeatTicks,
		HotEntries:        k.HotEntries,
		CacheBytes:        k.CacheBytes,
		ColdReadBytes:     k.ColdReadBytes,
		ReplicationBytes:  k.ReplicationBytes,
		ReplicationWindow: k.ReplicationWindow,

		CatchUpBytesPerSecond: k.CatchUpRate,
		CheckpointEntries:     k.CheckpointEntries,
		CheckpointBytes:       k.CheckpointBytes,
		RetainEntries:         k.RetainEntries,
		CompactionBytes:       k.CompactionBytes,
		GroupPartitions:       k.GroupPartitions,
		GroupInitialDelay:     time.Duration(k.GroupDelay),
		GroupMinSession:       time.Duration(plan.ShortestSession),
		ConsumerSession:       time.Duration(k.GroupSession),
		ConsumerHeartbeat:     time.Duration(k.GroupBeat),
		ClockPatience:         cmp.Or(time.Duration(k.ClockPatience), 20*time.Second),
		ProducerExpiration:    time.Duration(k.ProducerExpiry),
		TimestampAfterMaxMs:   math.MaxInt64, // a clock may be years behind
		CheckStates:           true,
		RetentionMs:           -1, // records of simulated clients are not of this time
	}
	if d := w.seed.Draw(domainRaft, keyed.Pair(b.number, int(b.incarnation)), 2); d.Ratio(1, 4) {
		cfg.StepBudget = int(d.Next().Between(1, 60)) // much is left for the next step
	}
	if d := w.seed.Draw(domainRaft, keyed.Pair(b.number, int(b.incarnation)), 3); d.Ratio(1, 4) {
		cfg.LargeElements, cfg.LargeBytes = int(d.Next().Between(1, 40)), 8<<10 // nearly everything is large
	}
	cfg.HotBytes, cfg.Levels = w.hotBytes(b), w.levels(b)
	if len(w.plan.Attacks) > 0 { // what is to be seen at the bounds needs bounds that are met
		cfg.MaxRequests, cfg.MaxWaits, cfg.ParkedBytes = 512, 1024, 64<<10
		cfg.MaxCommands, cfg.CommandBytes, cfg.AutoCreateTopicsPerSecond = 512, 128<<10, 1
		cfg.MaxPartitionsPerBroker, cfg.GroupMaxSize = mostReplicas, 100
		if w.plan.FewGroups() {
			cfg.MaxGroups = 2
		}
	}
	if d := w.seed.Draw(domainRaft, keyed.Pair(b.number, 0), 4); d.Ratio(1, 3) {
		cfg.Log.PieceBytes = int(d.Next().Between(100, 2000))                           // states are many pieces
		cfg.Log.ReadBytes, cfg.Log.ReadThrough = 4<<10, d.Next().Next().Between(1, 500) // what is moved, and read beside, is little
	}
	cfg.Log.Scratch, cfg.Packer = &w.scratch, &w.packer
	cfg.Log.SegmentBytes = k.SegmentBytes
	cfg.Log.FlushBytes = k.FlushBytes
	w.secured(&cfg)
	return cfg
}

// hotBytes is how many bytes of newest entries a broker keeps in memory: sometimes less than what HotEntries allows for.
func (w *world) hotBytes(b *broker) int64 {
	if d := w.seed.Draw(domainRaft, keyed.Pair(b.number, int(b.incarnation)), 5); d.Ratio(1, 4) {
		return d.Next().LogUniform(1, 64<<10)
	}
	return 0 // the default
}

func host(number int) string { return fmt.Sprintf("b%d", number) }

// mostReplicas is how many replicas of partitions a broker takes where clients are hostile: more than all topics of a plan, and
// all that attacks may make, need.
const mostReplicas = 400

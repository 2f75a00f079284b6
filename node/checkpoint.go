// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"
	pb "go.etcd.io/raft/v3/raftpb"

	"chronik/node/step"
	"chronik/wal"
)

// A checkpoint is the state of a group after one of its entries: its replicas, and what its machine has built. It
// has three uses. A broker starts from its newest checkpoint and the entries after it. The log of a group begins
// after its oldest one. A follower that lacks earlier entries starts from that one (raft's snapshot). The
// checkpoint of a partition holds no records: those are entries.
//
// Its bytes are a version, the replicas, the index of their last configuration change (uvarint), and the machine's
// state, all compressed with zstd.
//
// The replicas may be newer than the state. A new replica gets an old checkpoint, so that all records that are kept
// follow as entries. But raft refuses a checkpoint that doesn't list the receiving replica. So it is sent with the
// replicas of today, and configuration changes up to theirs are skipped when they follow (applyConf).
const checkpointVersion = 1

var errCheckpoint = errors.New("malformed checkpoint")

// Packer compresses checkpoints. Its codecs cost memory, so each is created when it is first needed.
type Packer struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

// maxStateBytes bounds the memory that decompressing one received checkpoint may take.
const maxStateBytes = 1 << 30

func (p *Packer) pack(b []byte) []byte {
	if p.enc == nil {
		enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithLowerEncoderMem(true))
		step.Assert(err == nil, "a zstd encoder needs nothing: %v", err)
		p.enc = enc
	}
	return p.enc.EncodeAll(b, nil)
}

func (p *Packer) unpack(b []byte) ([]byte, error) {
	if p.dec == nil {
		dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxStateBytes))
		step.Assert(err == nil, "a zstd decoder needs nothing: %v", err)
		p.dec = dec
	}
	return p.dec.DecodeAll(b, nil)
}

// encodeCheckpoint returns the bytes of a checkpoint.
func (p *Packer) encodeCheckpoint(c checkpoint) []byte { return p.pack(append(c.head(), c.state...)) }

// head is what comes before the state.
func (c *checkpoint) head() []byte {
	return binary.AppendUvarint(appendConf([]byte{checkpointVersion}, c.conf), c.confIndex)
}

// checkpoint is a checkpoint after decoding.
type checkpoint struct {
	conf      *pb.ConfState
	confIndex uint64
	state     []byte
}

func (p *Packer) decodeCheckpoint(data []byte) (checkpoint, error) {
	b, err := p.unpack(data)
	if err != nil {
		return checkpoint{}, fmt.Errorf("%w: %w", errCheckpoint, err)
	}
	r := newReader(b)
	if v := r.byte(); v != checkpointVersion {
		return checkpoint{}, fmt.Errorf("%w: version %d, this broker knows %d", errCheckpoint, v, checkpointVersion)
	}
	c := checkpoint{conf: r.conf(), confIndex: r.uvarint()}
	if r.bad {
		return checkpoint{}, errCheckpoint
	}
	c.state = r.b
	return c, nil
}

// decode decodes a checkpoint and builds its state in a machine that nobody uses yet.
func (p *Packer) decode(data []byte, into machine) (checkpoint, error) {
	c, err := p.decodeCheckpoint(data)
	if err != nil {
		return c, err
	}
	err = into.restore([][]byte{c.state})
	c.state = nil
	return c, err
}

// repack replaces the replicas in a checkpoint.
func (p *Packer) repack(data []byte, conf *pb.ConfState, confIndex uint64) ([]byte, error) {
	c, err := p.decodeCheckpoint(data)
	if err != nil {
		return nil, err
	}
	c.conf, c.confIndex = conf, confIndex
	return p.encodeCheckpoint(c), nil
}

// appendConf appends a configuration: four lists of raft ids and whether raft leaves a joint
// configuration by itself.
func appendConf(b []byte, c *pb.ConfState) []byte {
	for _, ids := range [][]uint64{c.GetVoters(), c.GetLearners(), c.GetVotersOutgoing(), c.GetLearnersNext()} {
		b = binary.AppendUvarint(b, uint64(len(ids)))
		for _, id := range ids {
			b = binary.AppendUvarint(b, id)
		}
	}
	if c.GetAutoLeave() {
		return append(b, 1)
	}
	return append(b, 0)
}

func (r *reader) conf() *pb.ConfState {
	c := &pb.ConfState{}
	for _, ids := range []*[]uint64{&c.Voters, &c.Learners, &c.VotersOutgoing, &c.LearnersNext} {
		for range r.count(1) {
			*ids = append(*ids, r.uvarint())
		}
	}
	if r.byte() != 0 {
		c.AutoLeave = new(true)
	}
	return c
}

// isDue reports whether the group has applied enough since its newest checkpoint for another one.
func (g *group) isDue() bool {
	since, large := g.applied-g.checkpointed, g.largeState()
	return since >= uint64(g.node.cfg.CheckpointEntries) && since >= uint64(large/largePerEntry) ||
		g.bytesSince >= spanBytes && g.bytesSince >= g.checkpointBytes() && g.bytesSince >= largePerByte*large
}

// A large state is written less often: only after the entries applied since have cost much more than writing it does.
// Bytes of a compressed state beyond largeStateBytes make it large.
const (
	largeStateBytes = 64 << 10
	largePerEntry   = 32
	largePerByte    = 4
)

func (g *group) largeState() int64 { return max(g.stateBytes-largeStateBytes, 0) }

// checkpointIsSmall reports whether so little happened since the checkpoint before the newest one that one new
// checkpoint can replace the newest.
func (g *group) checkpointIsSmall(kept []wal.CheckpointInfo) bool {
	from := uint64(0)
	if n := len(kept); n > 1 {
		from = kept[n-2].Index
	} else if st, _ := g.node.log.State(g.id); n == 1 && kept[0].Index+1 == st.First {
		return false // the log begins after it
	}
	return g.applied-from < uint64(g.node.cfg.CheckpointEntries) && g.bytesBefore+g.bytesSince < g.checkpointBytes()
}

// checkpointBytes is how many bytes of entries lie between two checkpoints. The log of a partition is released up to a
// checkpoint, so where little is retained they are closer together.
func (g *group) checkpointBytes() int64 { return g.withinRetention(g.node.cfg.CheckpointBytes) }

// withinRetention bounds a number of bytes by a quarter of what the partition's topic retains.
func (g *group) withinRetention(bytes int64) int64 {
	if p := g.node.partitions[g.id]; p != nil && p.deletes() {
		if limit := g.node.topicNumber(p.meta.Topic, retentionBytesConfig); limit >= 0 {
			bytes = min(bytes, max(limit/4, spanBytes))
		}
	}
	return bytes
}

// release moves the start of the group's log to the newest checkpoint up to which nobody needs an entry. The machine
// needs its records; followers that lag slightly need the newest entries (newest); a follower that fetches a
// checkpoint needs the entries after it next. A checkpoint that is about to be replaced doesn't count: the log has to
// begin after its oldest one.
func (g *group) release() {
	limit := g.machine.retain()
	if !g.scarce() {
		limit = min(limit, g.newest())
	}
	if g.outgoing != nil {
		limit = min(limit, g.outgoing.index+1)
	}
	st, _ := g.node.log.State(g.id)
	first := st.First
	for _, c := range g.node.log.Checkpoints(g.id) {
		if c.Index < limit && (g.saving == nil || c.Index != g.saving.replaces) {
			first = max(first, c.Index+1)
		}
	}
	if first == st.First {
		return
	}
	g.node.log.Release(g.id, first)
	g.view.release(first)
	g.node.event(Event{Kind: EventReleased, Group: g.id, Term: g.term, N: int64(first)})
}

// releaseNow is release for callers outside of advance. Inside, advance itself keeps the node's sum of hot bytes.
func (g *group) releaseNow() {
	before := g.view.hotBytes
	g.release()
	g.node.hotBytes += g.view.hotBytes - before
}

// newest returns the first of the newest entries, which are kept although the machine needs none of them: at most
// RetainEntries, RetainBytes, and a quarter of what the topic retains. A follower that lags slightly then needs no
// checkpoint.
func (g *group) newest() uint64 {
	bytes := g.withinRetention(g.node.cfg.RetainBytes)
	return min(g.applied+1, g.node.log.Tail(g.id, uint64(g.node.cfg.RetainEntries), bytes))
}

// loadCheckpoint reads a checkpoint, one record after the other.
func (g *group) loadCheckpoint(index uint64, load func(wal.Op) wal.Result) ([]byte, error) {
	r, err := g.node.log.ReadCheckpoint(g.id, index)
	for more := err == nil; more; {
		op, err := r.Next()
		if err != nil {
			return nil, err
		}
		if more, err = r.Take(load(op)); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	return r.Data(), nil
}

// loadCheckpoints restores the machine from the log's checkpoints of the group and returns the
// index of the newest.
func (g *group) loadCheckpoints(load func(wal.Op) wal.Result) (uint64, error) {
	var states [][]byte
	last := uint64(0)
	for _, c := range g.node.log.Checkpoints(g.id) {
		data, err := g.loadCheckpoint(c.Index, load)
		if err != nil {
			return 0, err
		}
		parts, err := g.node.packer.decodeCheckpoint(data)
		if err != nil {
			return 0, fmt.Errorf("checkpoint of group %d at entry %d: %w", g.id, c.Index, err)
		}
		states, last = append(states, parts.state), c.Index
		g.stateBytes = int64(c.Size)
		g.setConf(parts.conf)
		g.confIndex = parts.confIndex
	}
	if len(states) == 0 {
		return 0, nil
	}
	g.checkpointed = last
	if err := g.machine.restore(states); err != nil {
		return 0, fmt.Errorf("checkpoint of group %d at entry %d: %w", g.id, last, err)
	}
	return last, nil
}

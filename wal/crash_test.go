// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// world drives a log at random, crashes it, and compares what comes back to every state that the
// log went through.
type world struct {
	t    rapid.TB
	rng  *rand.Rand
	fs   *disk
	opt  Options
	ids  []GroupID
	busy int  // so many of ids are in use at the moment
	even bool // sizes of entries are such that old records often begin where new ones end
	log  *Log
	past []version // past[0] is what the last Open found
	ops  []Op      // under way
	asks map[uint64]ask
	safe LSN // end of the last write that was carried out, told to the log or not
	next byte
	used map[entryID]bool

	staged map[GroupID]Checkpoint // since Open, perhaps given up
}

type entryID struct {
	group       GroupID
	index, term uint64
}

// version is a state that a crash may bring back: all of it is on the disk once everything below
// end is.
type version struct {
	model model
	end   LSN
}

// ask is a read under way, of entries or of a checkpoint.
type ask struct {
	group      GroupID
	first      Entry
	durable    bool // first was durable when it was asked for
	checkpoint *Checkpoint
	reads      *CheckpointRead
}

func (w *world) now() model { return w.past[len(w.past)-1].model }

// step records the states that one call went through.
func (w *world) step(models ...model) {
	for _, m := range models {
		w.past = append(w.past, version{m, w.log.End()})
	}
}

func (w *world) chance(n int) bool { return w.rng.IntN(n) == 0 }

// anyGroup returns a group, for a while out of a few only, so that others are idle.
func (w *world) anyGroup() GroupID {
	if w.busy == 0 || w.chance(100) {
		w.busy = 1 + w.rng.IntN(len(w.ids))
	}
	return w.ids[w.rng.IntN(w.busy)]
}

// newWorld returns a world with a log that was just opened.
func newWorld(t rapid.TB, seed uint64, groups int, opt Options) *world {
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 0)), fs: newDisk(), opt: opt, asks: map[uint64]ask{}, past: []version{{model{}, 0}}, used: map[entryID]bool{}, staged: map[GroupID]Checkpoint{}}
	w.fs.pick = w.rng.IntN
	for i := range groups {
		w.ids = append(w.ids, GroupID(i)<<(7*i%50))
	}
	return w
}

func (w *world) append() {
	g := w.anyGroup()
	m := w.now()
	s := m.group(g).State
	i := s.Last + 1
	if w.chance(3) {
		i -= uint64(w.rng.IntN(int(s.Last - s.Commit + 1)))
	}
	term := m.term(g, i-1)
	if i <= s.Last {
		term = max(term, m.term(g, i)+1)
	}
	var entries []Entry
	var models []model
	for range 1 + w.rng.IntN(6) {
		if w.chance(8) {
			term += uint64(w.rng.IntN(3))
		}
		for w.used[entryID{g, i, term}] { // raft never writes two entries of the same index and term
			term++
		}
		w.used[entryID{g, i, term}] = true
		size := w.rng.IntN(300)
		if w.chance(40) {
			size = w.rng.IntN(9000)
		}
		if w.even {
			size = recordHead*(1+size/recordHead) - entryHead
		}
		w.next++
		e := entry(i, term, size)
		for k := range e.Data {
			e.Data[k] ^= w.next
		}
		e.Kind = EntryKind(w.next)
		entries = append(entries, e)
		m = m.append(g, e)
		models = append(models, m)
		i++
	}
	w.log.Append(g, entries)
	w.step(models...)
}

// replace puts other data in the place of a committed entry.
func (w *world) replace() {
	g := w.anyGroup()
	mg := w.now().group(g)
	n := int(mg.State.Commit + 1 - mg.State.First)
	if n == 0 {
		return
	}
	e := mg.Entries[w.rng.IntN(n)]
	if r, _, _ := w.log.groups[g].locate(e.Index); r.packed > 0 || !w.readable(e.Index, r) {
		return
	}
	e.Data = w.state()[:w.rng.IntN(8)+1]
	w.log.Replace(g, e)
	w.step(w.now().replace(g, e))
}

func (w *world) readable(i uint64, r *run) bool {
	_, _, _, ok := w.log.readable(i, r)
	return ok
}

// pack puts one record in the place of some committed entries, of which some get other data.
func (w *world) pack() {
	g := w.anyGroup()
	mg := w.now().group(g)
	n := int(mg.State.Commit + 1 - mg.State.First)
	if n == 0 {
		return
	}
	i := mg.State.First + uint64(w.rng.IntN(n))
	if first, _, ok := w.log.Packed(g, i); ok {
		i = first
	}
	m := w.now()
	var entries []Entry
	for most := uint64(1 + w.rng.IntN(8)); i <= mg.State.Commit && uint64(len(entries)) < most; {
		r, _, _ := w.log.groups[g].locate(i)
		last := i
		if r.packed > 0 {
			last = r.end() - 1
		}
		if len(entries) > 0 && r.term != entries[0].Term || !w.readable(i, r) {
			break
		}
		for ; i <= last; i++ {
			e := mg.Entries[i-mg.State.First]
			if w.chance(3) {
				e.Data = w.state()[:w.rng.IntN(8)+1]
			}
			m = m.replace(g, e)
			entries = append(entries, e)
		}
	}
	if len(entries) > 1 {
		w.log.Pack(g, packed(entries))
		w.step(m)
	}
}

func (w *world) vote() {
	g := w.anyGroup()
	term := w.now().group(g).State.Term + 1
	vote := uint64(w.rng.IntN(3))
	w.log.SetVote(g, term, vote)
	w.step(w.now().vote(g, term, vote))
}

func (w *world) commit() {
	g := w.anyGroup()
	s := w.now().group(g).State
	if n := int(s.Last - s.Commit); n > 0 {
		c := s.Commit + 1 + uint64(w.rng.IntN(n))
		w.log.SetCommit(g, c)
		w.step(w.now().commit(g, c))
	}
}

func (w *world) release() {
	g := w.anyGroup()
	s := w.now().group(g).State
	if n := int(s.Last + 1 - s.First); n > 0 {
		first := s.First + 1 + uint64(w.rng.IntN(n))
		w.log.Release(g, first)
		w.step(w.now().release(g, first))
	}
}

// state returns bytes like no other's, for a checkpoint.
func (w *world) state() []byte {
	size := w.rng.IntN(600)
	if w.chance(20) {
		size = w.rng.IntN(10000)
	}
	return append(binary.LittleEndian.AppendUint64(nil, uint64(w.log.End())), bytes.Repeat([]byte{8, byte(size)}, size/2)...)
}

func (w *world) checkpoint() {
	g := w.anyGroup()
	s := w.now().group(g).State
	index := s.First - 1 + uint64(w.rng.IntN(int(s.Commit+2-s.First)))
	c := Checkpoint{index, w.now().term(g, index), w.state()}
	w.log.AddCheckpoint(g, c)
	w.step(w.now().checkpoint(g, c))
}

// stage begins to put a checkpoint into the log in pieces: one of the group's, or one in its place.
func (w *world) stage() {
	g := w.anyGroup()
	mg, there := w.now()[g]
	data := append(w.state(), w.state()...)
	if !there || !w.log.Large(len(data)) {
		return
	}
	s := mg.State
	c := Checkpoint{s.Commit + uint64(w.rng.IntN(20)), max(s.LastTerm, s.PrevTerm) + uint64(w.rng.IntN(2)), data}
	if w.chance(2) {
		c.Index = s.First - 1 + uint64(w.rng.IntN(int(s.Commit+2-s.First)))
		c.Term = w.now().term(g, c.Index)
	}
	w.log.Stage(g, c)
	w.staged[g] = c
}

// endStaged does one of the things that can be done with what is staged.
func (w *world) endStaged() {
	g := w.anyGroup()
	c, s := w.staged[g], w.now().group(g).State
	if w.chance(5) {
		w.log.Unstage(g)
		return
	}
	if !w.log.Staged(g) {
		return
	}
	switch last := w.now().group(g); {
	case c.Index+1 >= s.First && c.Index <= s.Commit && c.Term == w.now().term(g, c.Index):
		w.log.AddCheckpoint(g, c)
		w.step(w.now().checkpoint(g, c))
	case c.Index >= s.Commit && c.Term >= max(last.State.LastTerm, last.State.PrevTerm):
		w.log.Install(g, c)
		w.step(w.now().install(g, c))
	}
	delete(w.staged, g)
}

func (w *world) install() {
	g := w.anyGroup()
	s := w.now().group(g).State
	c := Checkpoint{s.Commit + uint64(w.rng.IntN(20)), max(s.LastTerm, s.PrevTerm) + uint64(w.rng.IntN(2)), w.state()}
	w.log.Install(g, c)
	w.step(w.now().install(g, c))
}

func (w *world) drop() {
	g := w.anyGroup()
	all := w.now().group(g).Checkpoints
	if len(all) == 0 {
		w.log.DropCheckpoint(g, 1)
		return
	}
	index := all[w.rng.IntN(len(all))].Index
	w.log.DropCheckpoint(g, index)
	w.step(w.now().drop(g, index))
}

func (w *world) remove() {
	g := w.anyGroup()
	w.log.RemoveGroup(g)
	w.step(w.now().remove(g))
}

func (w *world) read() {
	g := w.anyGroup()
	mg := w.now().group(g)
	if len(mg.Entries) == 0 {
		return
	}
	k := w.rng.IntN(len(mg.Entries))
	lo := mg.Entries[k].Index
	op, err := w.log.Read(g, lo, lo+1+uint64(w.rng.IntN(9)), int64(w.rng.IntN(3000)))
	if errors.Is(err, ErrMissing) {
		for _, v := range w.past { // then it must be new
			if v.end <= w.log.Durable() {
				if v.model.group(g).has(mg.Entries[k]) && w.unbroken(g, mg.Entries[k], v) {
					w.t.Fatalf("entry %d of group %d is durable: %v", lo, g, err)
				}
			}
		}
		return
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.begin(op)
	w.asks[op.ID] = ask{group: g, first: mg.Entries[k], durable: w.durableModel().group(g).has(mg.Entries[k])}
}

func (w *world) readCheckpoint() {
	g := w.anyGroup()
	all := w.now().group(g).Checkpoints
	if len(all) == 0 {
		return
	}
	c := all[w.rng.IntN(len(all))]
	r, err := w.log.ReadCheckpoint(g, c.Index)
	if errors.Is(err, ErrMissing) {
		for _, v := range w.past { // then it must be new
			if v.end > w.log.Durable() && !v.model.group(g).hasCheckpoint(c) {
				return
			}
		}
		if w.durableModel().group(g).hasCheckpoint(c) {
			w.t.Fatalf("checkpoint at entry %d of group %d is durable: %v", c.Index, g, err)
		}
		return
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.readOn(ask{group: g, checkpoint: &c, reads: r})
}

// readOn goes on reading a checkpoint.
func (w *world) readOn(a ask) {
	op, err := a.reads.Next()
	switch {
	case errors.Is(err, ErrMissing) && !w.now().group(a.group).hasCheckpoint(*a.checkpoint):
	case err != nil:
		w.t.Fatal(err)
	default:
		w.begin(op)
		w.asks[op.ID] = a
	}
}

// durableModel is the newest state that the log says is durable.
func (w *world) durableModel() model {
	i := len(w.past) - 1
	for w.past[i].end > w.log.Durable() {
		i--
	}
	return w.past[i].model
}

// unbroken says that a group has had an entry in every state from v on.
func (w *world) unbroken(g GroupID, e Entry, v version) bool {
	seen := false
	for _, x := range w.past {
		seen = seen || x.end == v.end
		if seen && !x.model.group(g).has(e) {
			return false
		}
	}
	return true
}

// answered checks the result of a read.
func (w *world) answered(res Result) {
	a := w.asks[res.Op.ID]
	delete(w.asks, res.Op.ID)
	if a.checkpoint != nil {
		w.answeredCheckpoint(a, res)
		return
	}
	entries, err := w.log.Entries(a.group, a.first.Index, res)
	entries = unpacked(entries, a.first.Index)
	mg := w.now().group(a.group)
	lo := a.first.Index
	switch {
	case errors.Is(err, ErrMissing) && (!(mg.has(a.first) && a.durable) || w.isPacked(a)):
	case err != nil:
		w.t.Fatal(err)
	case len(entries) == 0:
		w.t.Fatal("no entries and no error")
	default:
		for k, e := range entries { // until the new data of a replaced entry is durable, it is the old
			if old := w.durableModel().group(a.group); e.Index != lo+uint64(k) || !mg.has(e) && !(mg.hasIndex(e) && old.has(e)) {
				w.t.Fatal(cmp.Diff(mg.Entries[lo-mg.State.First:], entries))
			}
		}
	}
}

// isPacked says that the entry that was to be read is packed now; perhaps with the data that it had.
func (w *world) isPacked(a ask) bool {
	_, _, ok := w.log.Packed(a.group, a.first.Index)
	return ok
}

func (w *world) answeredCheckpoint(a ask, res Result) {
	more, err := a.reads.Take(res)
	there := w.now().group(a.group).hasCheckpoint(*a.checkpoint)
	switch {
	case errors.Is(err, ErrMissing) && !there:
	case err != nil:
		w.t.Fatal(err)
	case more:
		w.readOn(a)
	case !bytes.Equal(a.reads.Data(), a.checkpoint.Data):
		w.t.Fatalf("checkpoint at entry %d of group %d: other data than was written", a.checkpoint.Index, a.group)
	}
}

// run carries out an operation that is under way, and tells the log unless quiet.
func (w *world) run(i int, quiet bool) {
	op := w.ops[i]
	w.ops = slices.Delete(w.ops, i, i+1)
	res := Do(w.fs, op)
	if res.Err == nil && op.Kind == OpWrite {
		w.safe = max(w.safe, endOf(w.t, op))
	}
	switch {
	case quiet:
	case op.Kind == OpRead:
		w.answered(res)
	case op.Kind == OpScrub:
		if damages, err := w.log.Scrubbed(res); err != nil || len(damages) > 0 {
			w.t.Fatal(damages, err)
		}
	default:
		if err := w.log.Done(res); err != nil {
			w.t.Fatal(err)
		}
	}
}

// endOf returns the position after the records of a write.
func endOf(t rapid.TB, op Op) LSN {
	var first *Record
	if err := Walk(op.Data, func(rec *Record) {
		if first == nil {
			first = &Record{LSN: rec.LSN}
		}
	}); err != nil {
		t.Fatal(err)
	}
	if op.Off == 0 {
		return first.LSN + LSN(len(op.Data)) - headerBytes
	}
	return first.LSN + LSN(len(op.Data))
}

func (w *world) act() {
	switch n := w.rng.IntN(100); {
	case n < 30:
		w.append()
	case n < 35:
		w.vote()
	case n < 45:
		w.commit()
	case n < 55:
		w.release()
	case n < 56:
		w.install()
	case n < 57:
		w.remove()
	case n < 60:
		w.checkpoint()
	case n < 61:
		w.stage()
	case n < 63:
		w.drop()
	case n < 64:
		w.replace()
	case n < 66:
		w.pack()
	case n < 67:
		w.log.RequestSync()
	case n < 68:
		w.endStaged()
	case n < 75:
		w.read()
	case n < 77:
		w.readCheckpoint()
	case n < 80:
		if op, ok := w.log.ScrubOp(); ok {
			w.begin(op)
		}
	case n < 87:
		w.take()
	case len(w.ops) > 0:
		w.run(w.rng.IntN(len(w.ops)), false)
	}
	if w.chance(40) {
		w.fs.room = w.rng.IntN(2) * w.rng.IntN(int(w.opt.SegmentBytes))
	}
	if w.chance(20) {
		w.fs.room = -1
		w.log.Retry(false)
	}
	if w.chance(20) {
		w.log.Retry(w.chance(2)) // on a disk that may be full
	}
	if w.chance(12) {
		if err := w.drain(); err != nil {
			w.t.Fatal(err)
		}
	}
}

// take asks the log for everything that it wants done.
func (w *world) take() {
	for op, ok := w.log.Next(); ok; op, ok = w.log.Next() {
		w.begin(op)
	}
}

// begin adds an operation to those under way, which must never touch the same bytes.
func (w *world) begin(op Op) {
	span := func(o Op) (int64, int64) {
		switch o.Kind {
		case OpWrite:
			return o.Off, o.Off + int64(len(o.Data))
		case OpRead, OpMove, OpScrub:
			return o.Off, o.Off + o.N
		}
		return 0, 1 << 40
	}
	if _, end := span(op); op.Kind == OpWrite && w.opt.SegmentBytes >= 16<<10 && end > int64(len(w.fs.names[op.File].data)) {
		w.t.Fatalf("write up to offset %d of %s, which has %d bytes", end, op.File, len(w.fs.names[op.File].data))
	}
	for _, o := range w.ops {
		a, b := span(o)
		c, d := span(op)
		if o.File == op.File && a < d && c < b && !(reads(o) && reads(op)) {
			w.t.Fatalf("%v of %s from %d to %d while a %v from %d to %d is under way", op.Kind, op.File, c, d, o.Kind, a, b)
		}
	}
	w.ops = append(w.ops, op)
}

func reads(o Op) bool { return o.Kind == OpRead || o.Kind == OpMove || o.Kind == OpScrub }

func (w *world) drain() error {
	w.fs.room = -1
	w.log.Retry(false)
	for n := 0; ; n++ {
		w.log.RequestSync() // moves append more
		w.take()
		if n > 10_000 {
			w.t.Fatal("the log never comes to rest")
		}
		if len(w.ops) == 0 {
			break
		}
		w.run(w.rng.IntN(len(w.ops)), false)
	}
	if w.log.Durable() != w.log.End() {
		w.t.Fatalf("durable %d of %d though nothing is left to do", w.log.Durable(), w.log.End())
	}
	if w.chance(4) {
		m, err := load(w.log, w.fs)
		if err != nil {
			return err
		}
		if !same(w.now(), m) {
			w.t.Fatal(diff(w.now(), m))
		}
	}
	return nil
}

// crash stops everything in the middle of the operations under way.
func (w *world) crash() {
	w.rng.Shuffle(len(w.ops), func(i, j int) { w.ops[i], w.ops[j] = w.ops[j], w.ops[i] })
	for len(w.ops) > 0 && !w.fs.down {
		switch w.rng.IntN(4) {
		case 0: // carried out, not told
			w.run(0, true)
		case 1: // not begun
			w.ops = slices.Delete(w.ops, 0, 1)
		case 2: // in the middle of it
			w.fs.fuse = w.rng.IntN(4)
			w.run(0, true)
		case 3: // the sync fails: written, there to read, and lost with the power
			w.fs.failSync = true
			w.run(0, true)
			w.fs.failSync = false
		}
	}
	w.ops, w.asks = nil, map[uint64]ask{}
	w.lose()
}

func (w *world) lose() {
	if w.chance(3) {
		w.fs.restart()
	} else {
		w.fs.powerLoss()
	}
}

// reopen opens the log, with crashes in the middle of it, and finds out which state came back.
func (w *world) reopen() {
	for {
		if w.chance(2) {
			w.fs.fuse = w.rng.IntN(8)
		}
		l, _, err := Open(w.fs, w.opt)
		if err == nil {
			w.log = l
			break
		}
		if !errors.Is(err, errCrashed) {
			w.t.Fatalf("Open: %v", err)
		}
		w.lose()
	}
	w.fs.fuse, w.fs.room = -1, -1
	clear(w.staged)
	m, err := load(w.log, w.fs)
	if err != nil {
		w.t.Fatal(err)
	}
	for len(w.past) > 1 && w.past[1].end <= w.safe {
		w.past = w.past[1:]
	}
	if !slices.ContainsFunc(w.past, func(v version) bool { return same(v.model, m) }) {
		w.t.Fatalf("what came back is none of the %d states since position %d was durable; from the first of them:\n%s",
			len(w.past), w.safe, diff(w.past[0].model, m))
	}
	w.past = []version{{m, w.log.Durable()}}
	w.safe = w.log.Durable()
}

func TestCrashes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, rapid.Uint64().Draw(t, "seed"), rapid.SampledFrom([]int{2, 4, 20}).Draw(t, "groups"), Options{
			SegmentBytes: rapid.SampledFrom([]int64{4096, 5000, 16384, 65536}).Draw(t, "segment"),
			FlushBytes:   rapid.SampledFrom([]int{1, 500, 3000, 1 << 20}).Draw(t, "flush"),
			ReadBytes:    rapid.SampledFrom([]int64{1, 700, 1 << 20}).Draw(t, "read"),
			ReadThrough:  rapid.SampledFrom([]int64{1, 60, 4096}).Draw(t, "read through"),
			PieceBytes:   rapid.SampledFrom([]int{20, 100, 1 << 20}).Draw(t, "piece"),
		})
		w.even = rapid.Bool().Draw(t, "even")
		w.reopen()
		for range rapid.IntRange(1, 5).Draw(t, "incarnations") {
			for range rapid.IntRange(0, 400).Draw(t, "actions") {
				w.act()
				if err := w.log.Check(); err != nil {
					t.Fatal(err)
				}
			}
			w.crash()
			w.reopen()
			if w.chance(3) { // what Open found is durable
				w.fs.powerLoss()
				w.reopen()
			}
		}
	})
}

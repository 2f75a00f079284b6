// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"testing"
)

// images returns every disk that a power loss may leave, each once.
func (d *disk) images() []*disk {
	var names []string
	for _, name := range d.union() {
		if d.names[name] != d.synced[name] {
			names = append(names, name)
		}
	}
	var out []*disk
	seen := map[uint64]bool{}
	add := func(c *disk) {
		if h := c.hash(); !seen[h] {
			seen[h] = true
			out = append(out, c)
		}
	}
	for mask := range 1 << len(names) {
		c := d.clone()
		c.before = nil
		for i, name := range names {
			f := c.names[name]
			if mask>>i&1 == 0 {
				f = c.synced[name]
			}
			if f == nil {
				delete(c.names, name)
			} else {
				c.names[name] = f
			}
		}
		c.synced = maps.Clone(c.names)
		c.sectors(add)
	}
	return out
}

// sector is one that a power loss may take away.
type sector struct {
	name string
	n    int
}

// unsynced lists the sectors whose loss makes a difference.
func (d *disk) unsynced() []sector {
	var out []sector
	for _, name := range slices.Sorted(maps.Keys(d.names)) {
		f := d.names[name]
		for _, n := range slices.Sorted(maps.Keys(f.dirty)) {
			start, end := n*sectorBytes, min((n+1)*sectorBytes, len(f.data))
			blank := start >= len(f.stable) && bytes.Equal(f.data[start:end], zeros[:end-start])
			same := end <= len(f.stable) && bytes.Equal(f.data[start:end], f.stable[start:end])
			if same || blank && n > 0 && end < len(f.data) {
				continue // of a row of zeros, the first and last may stand for all
			}
			out = append(out, sector{name, n})
		}
	}
	return out
}

// sectors calls add for every choice of unsynced sectors.
func (d *disk) sectors(add func(*disk)) {
	dirty := d.unsynced()
	for mask := range 1 << len(dirty) {
		c := d.clone()
		for _, f := range c.names {
			f.data = slices.Clone(f.stable)
			f.dirty = map[int]bool{}
		}
		for i, s := range dirty {
			if mask>>i&1 == 1 {
				whole := d.names[s.name].data
				f := c.names[s.name]
				f.data = put(f.data, whole[s.n*sectorBytes:min((s.n+1)*sectorBytes, len(whole))], int64(s.n*sectorBytes))
			}
		}
		for _, f := range c.names {
			f.stable = slices.Clone(f.data)
		}
		add(c)
	}
}

func (d *disk) hash() uint64 {
	h := fnv.New64a()
	for _, name := range slices.Sorted(maps.Keys(d.names)) {
		fmt.Fprintf(h, "%s %d ", name, len(d.names[name].data))
		h.Write(d.names[name].data)
	}
	return h.Sum64()
}

// moment is a machine between two calls to its disk.
type moment struct {
	disk *disk
	from int // the states of the log from here on may come back
}

// watch makes w.fs record a moment before each call that changes something.
func (w *world) watch(moments *[]moment) {
	w.fs.before = func() {
		from := 0
		for i, v := range w.past {
			if w.log != nil && v.end <= w.log.Durable() {
				from = i
			}
		}
		*moments = append(*moments, moment{w.fs.clone(), from})
	}
}

// TestAllCrashImages runs short logs and pulls the plug between any two calls to the disk, with
// every outcome that sectors and names can have, and again while Open recovers from that.
func TestAllCrashImages(t *testing.T) {
	run := func(seed uint64, opt Options, depth int, before, drive func(w *world)) (moments, images int) {
		w := newWorld(t, seed, 14, opt)
		var all []moment
		if before == nil {
			w.watch(&all)
		}
		w.log, _ = mustOpen(t, w.fs, w.opt)
		if before != nil {
			before(w)
			w.watch(&all)
		}
		drive(w)
		e := explorer{world: w, seen: map[imageKey]bool{}}
		for _, m := range all {
			m.disk.before = nil
			if len(m.disk.unsynced()) > 9 {
				continue // too many images; TestCrashes draws from them
			}
			for _, image := range m.disk.images() {
				e.try(image, m.from, depth)
			}
			e.try(m.disk, m.from, depth) // killed: all that was written is there, nothing of it is synced
		}
		return len(all), len(e.seen)
	}
	moments, images := run(0, Options{SegmentBytes: 4096, FlushBytes: 2500}, 2, nil, (*world).script)
	t.Logf("script: %d moments, %d images", moments, images)
	if images < 300 {
		t.Fatal("that is hardly all")
	}
	moments, images = run(0, Options{SegmentBytes: 16 << 10, FlushBytes: 2500, ReadBytes: 400}, 1, (*world).beforeMoves, (*world).moves)
	t.Logf("moves: %d moments, %d images", moments, images)
	if images < 40 {
		t.Fatal("that is hardly all")
	}
	moments, images = 0, 0
	for seed := range uint64(9) {
		var before func(w *world)
		if seed%4 == 3 {
			before = func(w *world) {
				for range 150 {
					w.act()
				}
			}
		}
		m, i := run(seed, Options{SegmentBytes: 4096, FlushBytes: 1000, ReadBytes: 600}, 1, before, func(w *world) {
			for range 60 {
				w.act()
			}
		})
		moments, images = moments+m, images+i
	}
	t.Logf("random: %d moments, %d images", moments, images)
	if images < 1000 {
		t.Fatal("that is hardly all")
	}
}

// explorer opens images of a world's disk, each once.
type explorer struct {
	*world
	seen map[imageKey]bool
}

type imageKey struct {
	hash uint64
	from int
}

// try opens an image and compares what comes back to the states that may, and does the same with
// the images that a kill or power losses during Open leave.
func (e *explorer) try(d *disk, from, depth int) {
	k := imageKey{d.hash(), from}
	if e.seen[k] {
		return
	}
	e.seen[k] = true
	var later []*disk
	d = d.clone()
	if depth > 0 {
		d.before = func() { later = append(later, d.clone()) }
	}
	l, _, err := Open(d, e.opt)
	if err != nil {
		e.t.Fatalf("Open: %v", err)
	}
	d.before = nil
	m, err := load(l, d)
	if err != nil {
		e.t.Fatal(err)
	}
	if !slices.ContainsFunc(e.past[from:], func(v version) bool { return same(v.model, m) }) {
		e.t.Fatalf("what came back is no state since %d was durable:\n%s", from, diff(e.past[from].model, m))
	}
	for _, x := range later {
		e.try(x, from, depth-1) // killed
		for _, image := range x.images() {
			e.try(image, from, depth-1)
		}
	}
}

// script fills two segments and a half, replaces, commits, votes, releases and recycles.
func (w *world) script() {
	must := func() {
		if err := w.drain(); err != nil {
			w.t.Fatal(err)
		}
	}
	add := func(g GroupID, e Entry) {
		w.log.Append(g, []Entry{e})
		w.step(w.now().append(g, e))
	}
	w.log.SetVote(1, 1, 1)
	w.step(w.now().vote(1, 1, 1))
	add(1, entry(1, 1, 600))
	must()
	add(2, entry(1, 1, 100))
	add(1, entry(2, 1, 900))
	add(1, entry(3, 1, 300))
	must()
	add(1, entry(3, 2, 700))
	w.log.SetCommit(1, 3)
	w.step(w.now().commit(1, 3))
	add(1, entry(4, 2, 1000)) // the second segment
	must()
	w.log.Release(1, 4)
	w.step(w.now().release(1, 4))
	w.log.RemoveGroup(2) // nothing in the first segment is needed any more
	w.step(w.now().remove(2))
	add(1, entry(5, 2, 700))
	must()
	add(1, entry(6, 3, 1500)) // the third segment
	must()
	add(1, entry(7, 3, 1500))
	add(1, entry(8, 3, 500))
	must()
	c := Checkpoint{8, 3, bytes.Repeat([]byte("state"), 20)}
	w.log.SetCommit(1, 8)
	w.step(w.now().commit(1, 8))
	w.log.AddCheckpoint(1, c)
	w.step(w.now().checkpoint(1, c))
	must()
	c = Checkpoint{20, 3, bytes.Repeat([]byte("other"), 150)}
	w.log.Install(1, c)
	w.step(w.now().install(1, c))
	add(1, entry(21, 4, 10))
	must()
}

// beforeMoves makes a log whose oldest segment has only a few bytes of idle groups left and is as
// old as it must be to be emptied.
func (w *world) beforeMoves() {
	add := func(g GroupID, e Entry) {
		w.log.Append(g, []Entry{e})
		w.step(w.now().append(g, e))
	}
	c := Checkpoint{0, 0, []byte("idle")}
	add(1, entry(1, 1, 13000))
	for i := uint64(1); i <= 4; i++ {
		add(2, entry(i, 1, 200))
		add(GroupID(4+i), entry(1, 1, 100))
	}
	w.log.AddCheckpoint(3, c)
	w.step(w.now().checkpoint(3, c))
	for i := uint64(2); w.log.cur.seq < 1+moveAge; i++ {
		add(1, entry(i, 1, 13000))
	}
	if err := w.drain(); err != nil {
		w.t.Fatal(err)
	}
	w.log.Release(1, 2)
	w.step(w.now().release(1, 2))
}

// moves empties the oldest segment piece by piece while other things happen.
func (w *world) moves() {
	for i := uint64(3); w.log.segs[0].seq == 1 || w.log.Stats().Recycled == 0; i++ {
		if err := w.drain(); err != nil {
			w.t.Fatal(err)
		}
		w.log.SetVote(4, i, 1)
		w.step(w.now().vote(4, i, 1))
	}
	if w.log.Stats().Moved == 0 {
		w.t.Fatal("nothing was moved")
	}
	w.log.Append(2, []Entry{entry(2, 2, 60)}) // in place of an entry that was moved
	w.step(w.now().append(2, entry(2, 2, 60)))
	if err := w.drain(); err != nil {
		w.t.Fatal(err)
	}
}

// TestFlippedBits flips bits all over a log. Below the last flush that must never change
// what comes back: Open refuses, or a read fails. In the last flush it may look like a torn tail.
func TestFlippedBits(t *testing.T) {
	var sum [3]int
	for seed := range uint64(3) {
		w := newWorld(t, seed, 4, Options{SegmentBytes: 4096, FlushBytes: []int{700, 5000, 1 << 20}[seed]})
		w.log, _ = mustOpen(t, w.fs, w.opt)
		for len(w.past) < 150 || w.log.Stats().Recycled == 0 {
			w.act()
		}
		if err := w.drain(); err != nil {
			t.Fatal(err)
		}
		last := w.lastFlush(seed == 2)
		before := 0
		for i, v := range w.past {
			if v.end <= w.log.Durable()-LSN(len(last.Data)) {
				before = i
			}
		}
		refused, found, same := w.flipAll(last, before)
		t.Logf("seed %d: %d flips refused, %d found by reads, %d harmless", seed, refused, found, same)
		sum[0], sum[1], sum[2] = sum[0]+refused, sum[1]+found, sum[2]+same
	}
	if sum[0] < 1000 || sum[1] < 1000 || sum[2] < 1000 {
		t.Fatal("that is too one-sided to be a test")
	}
}

// lastFlush makes one more flush, by opening the log again or by an append, and returns it.
func (w *world) lastFlush(open bool) Op {
	if open {
		var err error
		if w.log, _, err = Open(w.fs, w.opt); err != nil {
			w.t.Fatal(err)
		}
		return Op{File: w.log.cur.slot.name, Off: w.log.cur.end - recordHead, Data: zeros[:recordHead]}
	}
	w.append()
	w.log.RequestSync()
	op, _ := w.log.Next()
	if err := w.log.Done(Do(w.fs, op)); err != nil {
		w.t.Fatal(err)
	}
	return op
}

func (w *world) flipAll(last Op, before int) (refused, found, harmless int) {
	d := w.fs.clone()
	l, _ := mustOpen(w.t, d, w.opt)
	durable := mustLoad(w.t, l, d)
	for _, name := range slices.Sorted(maps.Keys(w.fs.names)) {
		for off := w.rng.IntN(5); off < len(w.fs.names[name].data); off += 1 + w.rng.IntN(9) {
			d := w.fs.clone()
			d.names[name].data[off] ^= 1 << w.rng.IntN(8)
			l, _, err := Open(d, w.opt)
			if errors.Is(err, ErrCorrupt) {
				refused++
				continue
			}
			if err != nil {
				w.t.Fatalf("%s, offset %d: %v", name, off, err)
			}
			m, err := load(l, d)
			if errors.Is(err, ErrCorrupt) { // Open doesn't read the entries of segments that ended
				found++
				continue
			}
			if err != nil {
				w.t.Fatal(err)
			}
			tail := name == last.File && int64(off) >= last.Off && int64(off) < last.Off+int64(len(last.Data))
			switch {
			case same(m, durable):
				harmless++
			case !tail || !slices.ContainsFunc(w.past[before:], func(v version) bool { return same(v.model, m) }):
				w.t.Fatalf("%s, offset %d: a flipped bit is not noticed:\n%s", name, off, diff(durable, m))
			}
		}
	}
	return refused, found, harmless
}

// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// scrub makes one round and returns what it finds.
func scrub(t *testing.T, l *Log, fs FS) (damages []*Damage, errs []error) {
	t.Helper()
	for rounds := l.Stats().Scrubs; ; {
		op, ok := l.ScrubOp()
		if !ok {
			if l.Stats().Scrubs != rounds+1 {
				t.Fatalf("%+v", l.Stats())
			}
			return damages, errs
		}
		if _, ok := l.ScrubOp(); ok {
			t.Fatal("two at once")
		}
		d, err := l.Scrubbed(Do(fs, op))
		damages = append(damages, d...)
		if err != nil {
			errs = append(errs, err)
		}
	}
}

// scrubLog returns a log with entries and checkpoints of several groups in a few segments.
func scrubLog(t *testing.T, opt Options) (*disk, *Log) {
	t.Helper()
	fs := newDisk()
	l, _ := mustOpen(t, fs, opt)
	for i := uint64(1); i <= 60; i++ {
		for g := range GroupID(3) {
			l.Append(g, []Entry{entry(i, 1, 40)})
			l.SetCommit(g, i)
			if i%20 == 0 {
				l.AddCheckpoint(g, Checkpoint{i, 1, []byte("some state")})
			}
		}
		mustFlush(t, l, fs)
	}
	l.Release(2, 30)
	mustFlush(t, l, fs)
	if len(l.segs) < 3 {
		t.Fatal("too few segments")
	}
	return fs, l
}

// Rot anywhere in what is live in a segment that ended, in its header or in its seal is found, and
// named. Rot elsewhere there does no harm.
func TestScrubFindsRot(t *testing.T) {
	opt := Options{SegmentBytes: 8192, ReadBytes: 700}
	fs, l := scrubLog(t, opt)
	if damages, errs := scrub(t, l, fs); len(damages)+len(errs) > 0 {
		t.Fatal(damages, errs)
	}
	seg := l.segs[1]
	items := seg.items(0, 1<<30)
	data := fs.names[seg.slot.name].data
	found := [4]int{}
	for off := 0; off < len(data); off += 3 {
		data[off] ^= 8
		damages, errs := scrub(t, l, fs)
		data[off] ^= 8
		i := slices.IndexFunc(items, func(it item) bool { return int64(it.at.off) <= int64(off) && int64(off) < it.at.end() })
		ends := off < headerBytes || int64(off) >= seg.sealAt && int64(off) < seg.end
		switch {
		case i >= 0:
			found[0]++
			it := items[i]
			if len(errs) != 0 || len(damages) != 1 {
				t.Fatal(off, damages, errs)
			}
			if d := damages[0]; d.Group != it.group.id || d.Index != it.index || d.Checkpoint != (it.checkpoint != nil) || d.File != seg.slot.name || d.Off != int64(it.at.off) || !errors.Is(d, ErrCorrupt) {
				t.Fatal(off, d)
			}
		case ends:
			found[1]++
			if len(damages) != 0 || len(errs) != 1 || !errors.Is(errs[0], ErrCorrupt) || !strings.Contains(errs[0].Error(), seg.slot.name) {
				t.Fatal(off, damages, errs)
			}
			seg.spoiled = false
		default:
			found[2]++
			if len(damages)+len(errs) > 0 {
				t.Fatal(off, damages, errs)
			}
		}
	}
	if found[0] < 1000 || found[1] < 50 || found[2] < 100 {
		t.Fatal(found)
	}
}

// A segment whose seal is damaged would keep the broker from starting, so it is given up.
func TestSpoiledSegmentIsEmptied(t *testing.T) {
	for _, where := range []string{"header", "seal"} {
		opt := Options{SegmentBytes: 8192}
		fs, l := scrubLog(t, opt)
		m := mustLoad(t, l, fs)
		seg := l.segs[1]
		off := int64(20)
		if where == "seal" {
			off = seg.sealAt + 50
		}
		fs.names[seg.slot.name].data[off] ^= 1
		if _, _, err := Open(fs.clone(), opt); !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
		if _, errs := scrub(t, l, fs); len(errs) != 1 || !strings.Contains(errs[0].Error(), where) {
			t.Fatal(errs)
		}
		mustFlush(t, l, fs)
		if slices.Contains(l.segs, seg) {
			t.Fatal("the segment is still part of the log")
		}
		for range 2 {
			if d := diff(m, mustLoad(t, l, fs)); d != "" {
				t.Fatal(d)
			}
			l, _ = mustOpen(t, fs, opt)
		}
	}
}

// A scrub reads what is live, and not more than a piece at a time.
func TestScrubReadsPieces(t *testing.T) {
	fs, l := scrubLog(t, Options{SegmentBytes: 8192, ReadBytes: 500})
	total := int64(0)
	for {
		op, ok := l.ScrubOp()
		if !ok {
			break
		}
		if op.N > 500 {
			t.Fatalf("%d bytes at once", op.N)
		}
		total += op.N
		if _, err := l.Scrubbed(Do(fs, op)); err != nil {
			t.Fatal(err)
		}
	}
	live := int64(0)
	for _, s := range l.segs[:len(l.segs)-1] {
		live += s.live
	}
	if total < live || uint64(total) != l.Stats().Scrubbed {
		t.Fatalf("%d bytes of %d", total, live)
	}
}

// A disk that fails to read is not rot, and the scrub goes on behind it.
func TestScrubThatCannotRead(t *testing.T) {
	fs, l := scrubLog(t, Options{SegmentBytes: 8192})
	op, _ := l.ScrubOp()
	if _, err := l.Scrubbed(Result{Op: op, Err: errDisk}); !errors.Is(err, errDisk) || errors.Is(err, ErrCorrupt) {
		t.Fatal(err)
	}
	if damages, errs := scrub(t, l, fs); len(damages)+len(errs) > 0 {
		t.Fatal(damages, errs)
	}
}

// A sector that can't be read is found by a scrub, and is told of as the entry in it, however much was read at once. In a header or a
// seal it has the segment emptied.
func TestScrubFindsUnreadableSector(t *testing.T) {
	opt := Options{SegmentBytes: 8192}
	fs, l := scrubLog(t, opt)
	seg := l.segs[0]
	for what, c := range map[string]struct {
		at      int64
		damages int
		says    string
	}{
		"entry":  {int64(seg.items(0, 1<<20)[5].at.off) + 10, 1, ""},
		"header": {3, 0, "the header of segment 1"},
		"seal":   {seg.sealAt + 50, 0, "the seal of segment 1"},
	} {
		var damages []*Damage
		said := ""
		for op, ok := l.ScrubOp(); ok; op, ok = l.ScrubOp() {
			res := Do(fs, op)
			if op.File == seg.slot.name && op.Off <= c.at && c.at < op.Off+op.N {
				res = Result{Op: op, Err: fmt.Errorf("%w: EIO", ErrUnreadable)}
			}
			d, err := l.Scrubbed(res)
			damages = append(damages, d...)
			if err != nil {
				said = err.Error()
			}
		}
		if len(damages) != c.damages || c.says == "" != (said == "") || !strings.Contains(said, c.says) {
			t.Errorf("%s: %v %s", what, damages, said)
		}
		for _, d := range damages {
			if d.Off > c.at || !errors.Is(d, ErrCorrupt) || !strings.Contains(d.Error(), "EIO") {
				t.Errorf("%s: %v", what, d)
			}
		}
		if spoiled := seg.spoiled; spoiled != (c.says != "") {
			t.Errorf("%s: spoiled %v", what, spoiled)
		}
		seg.spoiled = false
	}
}

// Whoever reads one record that the disk can't give back is told whose it is; of several read together only that something can't be read.
func TestUnreadableRecordIsNamed(t *testing.T) {
	fs, l := scrubLog(t, Options{SegmentBytes: 8192})
	unreadable := fmt.Errorf("%w: EIO", ErrUnreadable)
	for _, hi := range []uint64{41, 45} {
		op, err := l.Read(1, 40, hi, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		_, err = l.Entries(1, 40, Result{Op: op, Err: unreadable})
		if d, named := errors.AsType[*Damage](err); named != (hi == 41) || named && (d.Group != 1 || d.Index != 40 || d.Checkpoint) || !named && !errors.Is(err, ErrUnreadable) {
			t.Errorf("entries 40 to %d: %v", hi-1, err)
		}
	}
	r, err := l.ReadCheckpoint(0, 40)
	if err != nil {
		t.Fatal(err)
	}
	op, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Take(Result{Op: op, Err: unreadable})
	if d, named := errors.AsType[*Damage](err); !named || d.Group != 0 || d.Index != 40 || !d.Checkpoint {
		t.Error(err)
	}
	if damages, errs := scrub(t, l, fs); len(damages)+len(errs) > 0 {
		t.Error(damages, errs)
	}
}

// A replica with a damaged entry is removed and comes back with another replica's state. Nothing of
// the old one is left, neither now nor after a restart, and other groups never notice.
func TestDamagedReplicaComesBack(t *testing.T) {
	opt := Options{SegmentBytes: 8192}
	fs, l := scrubLog(t, opt)
	at := l.groups[1].runs[0].at[3]
	fs.names[l.segs[0].slot.name].data[at.off+45] ^= 1

	l, _ = mustOpen(t, fs, opt) // not noticed
	damages, errs := scrub(t, l, fs)
	if len(damages) != 1 || len(errs) != 0 || damages[0].Group != 1 || damages[0].Index != 4 {
		t.Fatal(damages, errs)
	}
	op, err := l.Read(1, 1, 10, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var damage *Damage
	if _, err := l.Entries(1, 1, Do(fs, op)); !errors.As(err, &damage) || damage.Index != 4 {
		t.Fatal(err)
	}
	others := mustLoad(t, without(t, fs, opt, 1), fs)

	l, _ = mustOpen(t, fs, opt)
	l.RemoveGroup(1)
	c := Checkpoint{55, 1, []byte("from another replica")}
	l.Install(1, c)
	l.Append(1, []Entry{entry(56, 1, 40), entry(57, 2, 40)})
	want := others.install(1, c).append(1, entry(56, 1, 40)).append(1, entry(57, 2, 40))
	for range 3 {
		mustFlush(t, l, fs)
		if damages, errs := scrub(t, l, fs); len(damages)+len(errs) > 0 {
			t.Fatal(damages, errs)
		}
		if d := diff(want, mustLoad(t, l, fs)); d != "" {
			t.Fatal(d)
		}
		fs.powerLoss()
		l, _ = mustOpen(t, fs, opt)
	}
}

// without returns a log opened on the same files that lacks a group, in memory only.
func without(t *testing.T, fs *disk, opt Options, g GroupID) *Log {
	t.Helper()
	l, _ := mustOpen(t, fs.clone(), opt)
	l.forget(g)
	return l
}

// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// What is written to a shadow is read there as it would be read from the disk, and the disk stays what it was.
func TestShadow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		real := newDisk()
		for _, name := range []string{"a", "b"} {
			f, err := real.Create(name)
			if err != nil {
				t.Fatal(err)
			}
			f.WriteAt(rapid.SliceOfN(rapid.Byte(), 0, 3*pageBytes).Draw(t, name), 0)
		}
		before, copied := real.clone().hash(), real.clone()
		s := Shadow(real)
		name := rapid.SampledFrom([]string{"a", "b", "c"})
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			step(t, name.Draw(t, "name"), s, copied)
		}
		if real.hash() != before {
			t.Fatal("the disk has changed")
		}
	})
}

// step does the same to two file systems and compares what comes of it.
func step(t *rapid.T, name string, fss ...FS) {
	op := rapid.IntRange(0, 4).Draw(t, "op")
	off := rapid.Int64Range(0, 3*pageBytes).Draw(t, "offset")
	data := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 0, 0, 1, 2}), 1, 2*pageBytes).Draw(t, "data")
	var outcomes []string
	for _, fs := range fss {
		outcomes = append(outcomes, outcomeOf(fs, op, name, off, data))
	}
	if outcomes[0] != outcomes[1] {
		t.Fatalf("operation %d of %s: %s and %s", op, name, outcomes[0], outcomes[1])
	}
}

func outcomeOf(fs FS, op int, name string, off int64, data []byte) string {
	switch op {
	case 0:
		_, err := fs.Create(name)
		return fmt.Sprint(err == nil)
	case 1:
		return fmt.Sprint(fs.Remove(name) == nil)
	}
	names, err := fs.List()
	f, openErr := fs.Open(name)
	if err != nil || openErr != nil {
		return fmt.Sprint(names, err, openErr != nil)
	}
	defer f.Close()
	if op == 2 {
		_, err := f.WriteAt(data, off)
		return fmt.Sprint(err)
	}
	size, err := f.Size()
	p := make([]byte, len(data))
	n, readErr := f.ReadAt(p, off)
	return fmt.Sprint(names, size, err, n, readErr, p[:n])
}

// A log is read whole and left as it is, rot in it is found, and what a start would refuse is refused.
func TestVerify(t *testing.T) {
	opt := Options{SegmentBytes: 8192, ReadBytes: 700}
	fs, l := scrubLog(t, opt)
	sealed := l.segs[1]
	name, other := sealed.slot.name, l.segs[2].slot.name
	record := sealed.items(0, 1<<20)[3].at
	whole := fs.clone()
	before := whole.hash()
	told := 0
	v, err := Verify(whole, opt, func(done, total int) { told = total })
	if err != nil || len(v.Damages)+len(v.Spoiled) > 0 || v.Groups != 3 || v.Entries == 0 || v.Live == 0 || told != len(l.segs)-1 {
		t.Fatalf("%+v %v, %d segments", v, err, told)
	}
	if whole.hash() != before {
		t.Fatal("the files have changed")
	}
	for what, c := range map[string]struct {
		harm   func(d *disk)
		refuse string // what Open says; empty if the log can be opened
		found  int
	}{
		"an entry":     {func(d *disk) { d.names[name].data[record.off+recordHead+20] ^= 1 }, "", 1},
		"a seal":       {func(d *disk) { d.names[name].data[sealed.sealAt+recordHead] ^= 1 }, "log is corrupt", 0},
		"a header":     {func(d *disk) { d.names[name].data[20] ^= 1 }, "log is corrupt", 0},
		"a short file": {func(d *disk) { d.names[name].data = d.names[name].data[:2000] }, "log is corrupt", 0},
		"a lost file":  {func(d *disk) { delete(d.names, name) }, "log is corrupt", 0},
		"another's":    {func(d *disk) { d.names[name].data = slices.Clone(d.names[other].data) }, "segment", 0},
		"something":    {func(d *disk) { d.names["notes.txt"] = &inode{} }, "notes.txt", 0},
	} {
		d := fs.clone()
		c.harm(d)
		before := d.hash()
		v, err := Verify(d, opt, nil)
		switch {
		case d.hash() != before:
			t.Errorf("%s: the files have changed", what)
		case c.refuse == "" && (err != nil || len(v.Damages) != c.found):
			t.Errorf("%s: %+v %v", what, v, err)
		case c.refuse != "" && (err == nil || !strings.Contains(err.Error(), c.refuse)):
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A dump shows every record that was written, and where the segment ends.
func TestDump(t *testing.T) {
	opt := Options{SegmentBytes: 8192}
	fs, l := scrubLog(t, opt)
	seg := l.segs[0]
	var types []string
	at := int64(headerBytes)
	h, end, err := Dump(fs, seg.slot.name, func(p Place, rec *Record) error {
		if p.Off != at || rec.LSN != seg.base+LSN(at) {
			t.Fatalf("%+v, not %d", p, at)
		}
		at += int64(p.Size)
		if len(types) == 0 || types[len(types)-1] != rec.Type.String() {
			types = append(types, rec.Type.String())
		}
		return nil
	})
	if err != nil || end != seg.end || h.Sequence != 1 || h.Version != formatVersion || h.Bytes != 8192 {
		t.Fatalf("%+v %d %v", h, end, err)
	}
	if diff := cmp.Diff([]string{"manifest", "open"}, types[:2]); diff != "" || types[len(types)-1] != "seal" {
		t.Fatal(types)
	}
	for _, what := range []string{"entry", "commit"} {
		if !slices.Contains(types, what) {
			t.Errorf("no %s in %v", what, types)
		}
	}
	enough := errors.New("enough")
	if _, _, err := Dump(fs, seg.slot.name, func(Place, *Record) error { return enough }); !errors.Is(err, enough) {
		t.Error(err)
	}
	fs.names[seg.slot.name].data[0]++
	if _, _, err := Dump(fs, seg.slot.name, nil); !errors.Is(err, ErrMissing) {
		t.Error(err)
	}
}

// badDisk cannot read a sector of one file.
type badDisk struct {
	*disk
	name string
	at   int64
}

type badHandle struct {
	File
	at int64
}

func (d badDisk) Open(name string) (File, error) {
	f, err := d.disk.Open(name)
	if err == nil && name == d.name {
		f = badHandle{f, d.at}
	}
	return f, err
}

func (h badHandle) ReadAt(p []byte, off int64) (int, error) {
	if h.at >= off && h.at < off+int64(len(p)) {
		return 0, ErrUnreadable
	}
	return h.File.ReadAt(p, off)
}

// A sector that can't be read keeps the log from being opened only where it is needed: not in a free file, nor in an entry of a
// segment that has ended.
func TestOpenWithUnreadableSector(t *testing.T) {
	opt := Options{SegmentBytes: 8192}
	fs, l := scrubLog(t, opt)
	l.RemoveGroup(0) // so that files become free
	l.RemoveGroup(1)
	for i := uint64(61); i <= 160; i++ {
		l.Append(2, []Entry{entry(i, 1, 40)})
		l.SetCommit(2, i)
		l.Release(2, i-5)
		mustFlush(t, l, fs)
	}
	if len(l.free) == 0 {
		t.Fatal("no file is free")
	}
	for _, c := range []struct {
		what, file string
		at         int64
		ok         bool
	}{
		{"a free file", l.free[0].name, 4000, true},
		{"the header of a free file", l.free[0].name, 10, false}, // nobody can know that it is free
		{"the newest segment", l.cur.slot.name, 600, false},
		{"its header", l.cur.slot.name, 10, false},
	} {
		if _, _, err := Open(badDisk{fs.clone(), c.file, c.at}, opt); err == nil != c.ok {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

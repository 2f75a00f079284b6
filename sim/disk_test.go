// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"bytes"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"chronik/sim/keyed"
	"chronik/wal"
)

func readAll(t testing.TB, d wal.FS, name string) []byte {
	f, err := d.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

func create(t testing.TB, d wal.FS, name string) wal.File {
	f, err := d.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestDiskModel holds the disk against a plain slice: what a process sees is what it wrote, and
// after a power loss every sector is as synced or as last written.
func TestDiskModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newDisk(keyed.Seed(rapid.Uint64().Draw(t, "seed")), 1)
		f, _ := d.Create("a")
		if err := d.SyncDir(); err != nil {
			t.Fatal(err)
		}
		var written, synced []byte
		for range rapid.IntRange(1, 20).Draw(t, "calls") {
			switch rapid.IntRange(0, 4).Draw(t, "call") {
			case 0:
				if err := f.Sync(); err != nil {
					t.Fatal(err)
				}
				synced = bytes.Clone(written)
			case 1:
				d.powerLoss()
				got := readAll2(t, d)
				checkTorn(t, synced, written, got)
				written, synced = got, bytes.Clone(got)
			default:
				off := rapid.IntRange(0, 3*pageBytes).Draw(t, "off")
				p := bytes.Repeat([]byte{rapid.Byte().Draw(t, "byte")}, rapid.IntRange(0, 2*pageBytes).Draw(t, "n"))
				f.WriteAt(p, int64(off))
				if len(p) > 0 && off+len(p) > len(written) {
					written = append(written, make([]byte, off+len(p)-len(written))...)
				}
				copy(written[min(off, len(written)):], p)
			}
			if got := readAll2(t, d); !bytes.Equal(got, written) {
				t.Fatalf("a process reads %d bytes that are not the %d it wrote", len(got), len(written))
			}
			if img := readAll2(t, d.image()); !bytes.Equal(img, synced) {
				t.Fatal("image is not what was synced")
			}
		}
	})
}

func readAll2(t *rapid.T, d *disk) []byte {
	b := make([]byte, d.cached[0].file.size)
	if _, err := d.cached[0].file.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

func checkTorn(t *rapid.T, synced, written, got []byte) {
	if len(got) < len(synced) || len(got) > len(written) {
		t.Fatalf("%d bytes after a power loss, synced %d, written %d", len(got), len(synced), len(written))
	}
	synced = append(bytes.Clone(synced), make([]byte, len(written)-len(synced))...)
	for s := 0; s < len(got); s += sectorBytes {
		e := min(s+sectorBytes, len(got))
		if !bytes.Equal(got[s:e], synced[s:e]) && !bytes.Equal(got[s:e], written[s:e]) {
			t.Fatalf("sector at %d is neither as synced nor as written", s)
		}
	}
}

// TestPowerLossReachesEveryFate counts, over many seeds, what became of one unsynced write of eight
// sectors and of one unsynced name.
func TestPowerLossReachesEveryFate(t *testing.T) {
	fates := make(map[string]int)
	for s := range keyed.Seed(400) {
		d := newDisk(s, 1)
		f := create(t, d, "a")
		d.SyncDir()
		f.WriteAt(make([]byte, pageBytes), 0)
		f.Sync()
		f.WriteAt(bytes.Repeat([]byte{1}, pageBytes), 0)
		create(t, d, "b")
		d.powerLoss()
		switch n := bytes.Count(readAll(t, d, "a"), []byte{1}) / sectorBytes; n {
		case 0:
			fates["lost"]++
		case sectorsPerPage:
			fates["kept"]++
		default:
			fates["torn"]++
		}
		fates[fmt.Sprint("names ", len(d.cached))]++
	}
	for _, fate := range []string{"lost", "kept", "torn", "names 1", "names 2"} {
		if fates[fate] < 20 {
			t.Errorf("%s: %d of 400", fate, fates[fate])
		}
	}
}

func TestKillKeepsWhatWasWritten(t *testing.T) {
	d := newDisk(1, 1)
	f := create(t, d, "a")
	f.WriteAt([]byte("unsynced"), 0)
	d.kill()
	if got := readAll(t, d, "a"); string(got) != "unsynced" {
		t.Fatalf("%q after kill -9", got)
	}
}

// TestFailedSync shows both things that a page cache does after a failed sync: to drop what was
// written, and to keep it as if it were synced.
func TestFailedSync(t *testing.T) {
	dropped, kept := 0, 0
	for s := range keyed.Seed(200) {
		d := newDisk(s, 1)
		f := create(t, d, "a")
		f.WriteAt(make([]byte, pageBytes), 0)
		f.Sync()
		d.SyncDir()
		ones := bytes.Repeat([]byte{1}, pageBytes)
		f.WriteAt(ones, 0)
		d.failSyncs = 1
		if f.Sync() == nil {
			t.Fatal("the sync did not fail")
		}
		if err := f.Sync(); err != nil {
			t.Fatal("a second sync must succeed, as on Linux:", err)
		}
		cached := bytes.Equal(readAll(t, d, "a"), ones)
		durable := d.durablePrefix("a", 0, ones) == pageBytes
		d.powerLoss()
		if !durable && bytes.Equal(readAll(t, d, "a"), ones) {
			t.Fatal("what was not durable survived a power loss")
		}
		switch {
		case cached && !durable:
			kept++
		case !cached:
			dropped++
		}
	}
	if dropped < 40 || kept < 40 {
		t.Fatalf("of 200 failed syncs %d dropped pages and %d kept them", dropped, kept)
	}
}

// TestDieDuring shows that a write under way at a crash is found undone, half done and done.
func TestDieDuring(t *testing.T) {
	var none, some, all int
	for s := range keyed.Seed(200) {
		d := newDisk(s, 1)
		create(t, d, "a").WriteAt(make([]byte, pageBytes), 0)
		d.dieDuring(wal.Op{Kind: wal.OpWrite, File: "a", Data: bytes.Repeat([]byte{1}, pageBytes)})
		switch n := bytes.Count(readAll(t, d, "a"), []byte{1}); n {
		case 0:
			none++
		case pageBytes:
			all++
		default:
			some++
		}
	}
	if none == 0 || some < 20 || all < 20 {
		t.Fatalf("none %d, some %d, all %d of 200", none, some, all)
	}
}

func TestFuseStopsRecovery(t *testing.T) {
	d := newDisk(1, 1)
	create(t, d, "a")
	d.fuse = 2
	if _, err := d.Create("b"); err != nil {
		t.Fatal(err)
	}
	if err := d.SyncDir(); err != errCrashed {
		t.Fatalf("second call: %v", err)
	}
	if _, err := d.List(); err != errCrashed {
		t.Fatalf("a dead process lists files: %v", err)
	}
}

func TestZeroSegmentsAreCheap(t *testing.T) {
	d := newDisk(1, 1)
	res := wal.Do(d, wal.Op{Kind: wal.OpPrepare, File: "seg", N: 64 << 20})
	if res.Err != nil {
		t.Fatal(res.Err)
	}
	for i, pg := range d.cached[0].file.durable {
		if pg != nil {
			t.Fatalf("page %d of a zero-filled segment takes memory", i)
		}
	}
	if f := d.cached[0].file; f.durableSize != 64<<20 {
		t.Fatalf("durable size %d", f.durableSize)
	}
}

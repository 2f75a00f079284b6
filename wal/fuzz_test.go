// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"encoding/binary"
	"hash/crc32"
	"testing"
)

func FuzzWalk(f *testing.F) {
	l, _ := mustOpen(f, newDisk(), Options{SegmentBytes: 4096})
	l.Append(7, []Entry{entry(1, 1, 50), entry(2, 1, 3000), entry(3, 1, 1000)})
	l.SetVote(7, 2, 1)
	l.Release(7, 2)
	fs := newDisk()
	l.RequestSync()
	for op, ok := l.Next(); ok; op, ok = l.Next() {
		if op.Kind == OpWrite {
			f.Add(op.Data, false)
		}
		if err := l.Done(Do(fs, Op{Kind: OpPrepare, File: op.File, N: 0})); err == nil {
			break
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, mend bool) {
		if mend {
			mendChecksums(data)
		}
		_ = Walk(data, func(rec *Record) {
			if rec.Type == 0 || rec.Type >= recordTypes {
				t.Fatalf("record of type %d", rec.Type)
			}
		})
	})
}

// FuzzOpen opens two files with any content. Whatever it accepts must be readable, must be the
// same after a second Open, and must take a new entry.
func FuzzOpen(f *testing.F) {
	fs := newDisk()
	l, _ := mustOpen(f, fs, Options{SegmentBytes: 4096})
	one := append([]byte(nil), fs.names["0001.wal"].data...)
	f.Add(one, []byte{}, true)
	l.SetVote(7, 2, 1)
	l.Append(7, []Entry{entry(1, 1, 50), entry(2, 1, 3000), entry(3, 1, 1000)})
	l.SetCommit(7, 3)
	l.Release(7, 2)
	l.Append(8, []Entry{entry(1, 1, 5)})
	l.Install(8, Checkpoint{9, 2, []byte("state")})
	l.AddCheckpoint(7, Checkpoint{2, 1, []byte("another")})
	l.AddCheckpoint(7, Checkpoint{3, 1, nil})
	l.DropCheckpoint(7, 2)
	l.SetVote(9, 1, 1)
	l.RemoveGroup(9)
	mustFlush(f, l, fs)
	f.Add(fs.names["0001.wal"].data, fs.names["0002.wal"].data, true)
	f.Add(fs.names["0002.wal"].data, one, false)
	f.Fuzz(func(t *testing.T, a, b []byte, mend bool) {
		d := newDisk()
		for name, data := range map[string][]byte{"0001.wal": a, "0002.wal": b} {
			data = append([]byte(nil), data...)
			if mend {
				mendChecksums(data)
			}
			d.names[name] = &inode{data, append([]byte(nil), data...), map[int]bool{}}
			d.synced[name] = d.names[name]
		}
		opt := Options{SegmentBytes: 4096}
		l, _, err := Open(d, opt)
		if err != nil {
			return
		}
		m := mustLoad(t, l, d)
		d.powerLoss()
		l, _ = mustOpen(t, d, opt)
		if again := mustLoad(t, l, d); !same(m, again) {
			t.Fatal(diff(m, again))
		}
		s, _ := l.State(7)
		e := Entry{Index: s.Last + 1, Term: s.LastTerm, Data: []byte("new")}
		l.Append(7, []Entry{e})
		mustFlush(t, l, d)
		l, _ = mustOpen(t, d, opt)
		if got := mustLoad(t, l, d); !got.group(7).has(e) {
			t.Fatal("the new entry is gone")
		}
	})
}

// mendChecksums makes the checksums right, so that what is behind them is tested, too.
func mendChecksums(data []byte) {
	le := binary.LittleEndian
	off := 0
	if len(data) >= headerBytes && string(data[:8]) == magic {
		le.PutUint32(data[8:], crc32.Checksum(data[12:headerBytes], castagnoli))
		off = headerBytes
	}
	for len(data)-off >= recordHead {
		n := int(le.Uint32(data[off+4:]))
		if n > len(data) || recordBytes(n) > len(data)-off {
			return
		}
		size := recordBytes(n)
		le.PutUint32(data[off:], crc32.Checksum(data[off+4:off+size], castagnoli))
		off += size
	}
}

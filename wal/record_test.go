// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// unhex reads the bytes of a drawing: hex digits, with comments after a bar.
func unhex(t *testing.T, drawing string) []byte {
	t.Helper()
	var digits strings.Builder
	for line := range strings.Lines(drawing) {
		line, _, _ = strings.Cut(line, "|")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestBytes holds the format: what each call writes, byte by byte. Only the checksums are
// computed, with the bytes after them.
func TestBytes(t *testing.T) {
	const g = 0x0807060504030201
	for _, c := range []struct {
		name string
		do   func(l *Log)
		want string // without checksum, LSN and durable position
		rec  Record
	}{
		{
			"entry", func(l *Log) {
				l.Append(g, []Entry{{Index: 1, Term: 0x1122334455667788, Kind: 9, Data: []byte("hello")}})
			},
			`15000000 |length 16 + 5
			01000000 |epoch
			04 09 0000 |type, kind
			0102030405060708 |group
			0100000000000000 |index
			8877665544332211 |term
			68656c6c6f |data
			000000 |padding`,
			Record{Type: RecordEntry, Entry: Entry{Index: 1, Term: 0x1122334455667788, Kind: 9, Data: []byte("hello")}},
		},
		{
			"vote", func(l *Log) { l.SetVote(g, 5, 3) },
			`10000000 01000000 05000000 0102030405060708
			0500000000000000 |term
			0300000000000000 |vote`,
			Record{Type: RecordVote, State: State{Term: 5, Vote: 3}},
		},
		{
			"commit", func(l *Log) {
				l.Append(g, []Entry{{Index: 1, Term: 1}, {Index: 2, Term: 1}})
				l.SetCommit(g, 2)
			},
			`08000000 01000000 06000000 0102030405060708
			0200000000000000 |commit`,
			Record{Type: RecordCommit, State: State{Commit: 2}},
		},
		{
			"release", func(l *Log) {
				l.Append(g, []Entry{{Index: 1, Term: 1}, {Index: 2, Term: 4}, {Index: 3, Term: 4}})
				l.Release(g, 3)
			},
			`10000000 01000000 07000000 0102030405060708
			0300000000000000 |first
			0400000000000000 |prevTerm`,
			Record{Type: RecordRelease, State: State{First: 3, PrevTerm: 4}},
		},
		{
			"remove", func(l *Log) {
				l.SetVote(g, 1, 1)
				l.RemoveGroup(g)
			},
			`00000000 01000000 08000000 0102030405060708`,
			Record{Type: RecordRemove},
		},
		{
			"checkpoint", func(l *Log) {
				l.Append(g, []Entry{{Index: 1, Term: 1}, {Index: 2, Term: 4}})
				l.SetCommit(g, 2)
				l.AddCheckpoint(g, Checkpoint{2, 4, []byte("state")})
			},
			`15000000 01000000 0a000000 0102030405060708
			0200000000000000 |index
			0400000000000000 |term
			7374617465 |data
			000000 |padding`,
			Record{Type: RecordCheckpoint, Checkpoint: Checkpoint{2, 4, []byte("state")}},
		},
		{
			"moved entry", func(l *Log) {
				l.Append(g, []Entry{{Index: 1, Term: 4, Kind: 9, Data: []byte("hello")}})
				l.moveEntry(item{group: l.groups[g], index: 1}, l.cur, Entry{Index: 1, Term: 4, Kind: 9, Data: []byte("hello")})
			},
			`15000000 01000000 0d090000 0102030405060708
			0100000000000000 |index
			0400000000000000 |term
			68656c6c6f |data
			000000 |padding`,
			Record{Type: RecordMoved, Entry: Entry{Index: 1, Term: 4, Kind: 9, Data: []byte("hello")}},
		},
		{
			"packed entries", func(l *Log) {
				l.Append(g, []Entry{{Index: 1, Term: 4}, {Index: 2, Term: 4}, {Index: 3, Term: 4}})
				l.SetCommit(g, 3)
				durable := l.durable
				l.durable = l.End()
				l.Pack(g, Entry{Index: 2, Last: 3, Term: 4, Data: []byte("both")})
				l.durable = durable
			},
			`1c000000 01000000 0e000000 0102030405060708
			0200000000000000 |first
			0300000000000000 |last
			0400000000000000 |term
			626f7468 |data
			00000000 |padding`,
			Record{Type: RecordPacked, Entry: Entry{Index: 2, Last: 3, Term: 4, Data: []byte("both")}},
		},
		{
			"install", func(l *Log) {
				l.SetVote(g, 5, 3)
				l.Install(g, Checkpoint{10, 4, []byte("received")})
			},
			`18000000 01000000 0b000000 0102030405060708
			0a00000000000000 |index
			0400000000000000 |term
			7265636569766564 |data`,
			Record{Type: RecordInstall, Checkpoint: Checkpoint{10, 4, []byte("received")}},
		},
		{
			"drop", func(l *Log) {
				l.Install(g, Checkpoint{10, 4, nil})
				l.DropCheckpoint(g, 10)
			},
			`08000000 01000000 0c000000 0102030405060708
			0a00000000000000 |index`,
			Record{Type: RecordDrop, Checkpoint: Checkpoint{Index: 10}},
		},
		{
			"piece", func(l *Log) { l.putPart(g, &Checkpoint{10, 4, []byte("some")}, Piece{ID: 8, Part: 1, Parts: 3}) },
			`2c000000 01000000 0f000000 0102030405060708
			0a00000000000000 |index
			0400000000000000 |term
			0800000000000000 |id
			0100000000000000 |part
			0300000000000000 |parts
			736f6d65 |data
			00000000 |padding`,
			Record{Type: RecordPiece, Checkpoint: Checkpoint{10, 4, []byte("some")}, Piece: Piece{ID: 8, Part: 1, Parts: 3}},
		},
		{
			"end", func(l *Log) {
				l.SetVote(g, 1, 1)
				l.groups[g].staged = []checkpoint{{index: 10, term: 4, id: 8}}
				l.putEnd(g, &l.groups[g].staged[0], endInstall)
			},
			`20000000 01000000 10000000 0102030405060708
			0a00000000000000 |index
			0400000000000000 |term
			0800000000000000 |id
			0200000000000000 |it is an install`,
			Record{Type: RecordEnd, Checkpoint: Checkpoint{Index: 10, Term: 4}, Piece: Piece{ID: 8, End: endInstall}},
		},
		{
			"state with ids", func(l *Log) {
				l.SetVote(g, 5, 3)
				l.groups[g].checkpoints = []checkpoint{{index: 0, pieces: make([]piece, 1), id: 7}, {index: 10, id: 8}}
				l.putGroup(l.room(128), l.groups[g])
			},
			`58000000 01000000 03010000 0102030405060708
			0500000000000000 0300000000000000 0000000000000000 0100000000000000 0000000000000000 0000000000000000 0000000000000000
			0000000000000000 0000000000000000 |checkpoint at 0, in one record
			0a00000000000000 0800000000000000 |checkpoint at 10, and its id`,
			Record{Type: RecordState, Entry: Entry{Kind: 1}, State: State{Term: 5, Vote: 3, First: 1}, Checkpoints: []uint64{0, 10}, IDs: []LSN{0, 8}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, _ := mustOpen(t, newDisk(), Options{SegmentBytes: 4096})
			durable := l.Durable()
			c.do(l)
			l.RequestSync()
			op, _ := l.Next()
			want := unhex(t, c.want)
			start := len(op.Data) - len(want) - 20
			checkRecord(t, op.Data[start:], want, l.End()-LSN(len(want)+20), durable)

			c.rec.Group, c.rec.Epoch, c.rec.Durable, c.rec.LSN = g, 1, durable, l.End()-LSN(len(want)+20)
			var got Record
			if err := Walk(op.Data, func(rec *Record) { got = *rec }); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.rec, got); d != "" {
				t.Fatal(d)
			}
		})
	}
}

// checkRecord compares a record to a drawing that lacks checksum, LSN and durable position.
func checkRecord(t *testing.T, got, want []byte, lsn, durable LSN) {
	t.Helper()
	le := binary.LittleEndian
	full := le.AppendUint32(nil, crc32.Checksum(got[4:], crc32.MakeTable(crc32.Castagnoli)))
	full = append(full, want[:4]...)
	full = le.AppendUint64(full, uint64(lsn))
	full = le.AppendUint64(full, uint64(durable))
	full = append(full, want[4:]...)
	if !bytes.Equal(full, got) {
		t.Fatalf("got\n%s\nwant\n%s", hex.Dump(got), hex.Dump(full))
	}
}

// TestFirstBytes holds what Open writes into an empty directory, checksums included.
func TestFirstBytes(t *testing.T) {
	fs := newDisk()
	mustOpen(t, fs, Options{SegmentBytes: 4096})
	want := unhex(t, `
		4348524f4e57414c |"CHRONWAL"
		2e5c4249 |checksum
		05000000 |format version
		0100000000000000 |sequence number
		0000000000000000 |base
		00000000 |epoch
		00000000 |state records
		000000000000000000000000000000000000000000000000

		2d4b97c7 00000000 |checksum, length: a manifest without runs
		4000000000000000 |LSN
		0000000000000000 |durable
		00000000 02000000 |epoch, type
		0000000000000000

		d1a861f0 00000000 |open
		6800000000000000
		6800000000000000 |all before it is durable
		01000000 01000000
		0000000000000000`)
	got := fs.names["0001.wal"].data
	if len(got) != 4096 || !bytes.Equal(got[:len(want)], want) || !bytes.Equal(got[len(want):], zeros[:4096-len(want)]) {
		t.Fatalf("got\n%s\nwant\n%s", hex.Dump(got[:len(want)]), hex.Dump(want))
	}
}

// TestRollBytes holds the seal and the beginning of the next segment.
func TestRollBytes(t *testing.T) {
	fs := newDisk()
	l, _ := mustOpen(t, fs, Options{SegmentBytes: 4096})
	l.SetVote(7, 5, 3)
	l.Install(7, Checkpoint{10, 4, []byte("state")})
	l.Append(7, []Entry{{Index: 11, Term: 4, Data: make([]byte, 3100)}})
	l.SetCommit(7, 11)
	l.AddCheckpoint(7, Checkpoint{11, 4, nil})
	l.Append(7, []Entry{{Index: 12, Term: 6, Data: make([]byte, 600)}})
	op := nextWrite(t, l, fs)
	seal := op.Data[len(op.Data)-recordHead-24:]
	base := LSN(op.Off) + LSN(len(op.Data))
	sealAt := op.Off + int64(len(op.Data)-len(seal))
	checkRecord(t, seal, unhex(t, `
		15000000 01000000 09000000 0000000000000000
		01 07 |one group: 7
		01 0b 04 01 |one run from entry 11 on, of term 4, with one entry
		21 8b03 |264 bytes from the beginning of the file, 395 times 8 bytes long
		00 |no packed entries
		02 |two checkpoints
		0a 04 05 19 |at entry 10 of term 4: 5 bytes, in the record at offset 200
		0b 04 00 b203 |at entry 11 of term 4: nothing, in the record at offset 3472
		00 |no pieces of checkpoints
		000000 |padding`), base-LSN(len(seal)), LSN(op.Off))
	if err := l.Done(Do(fs, op)); err != nil {
		t.Fatal(err)
	}
	op = nextWrite(t, l, fs)
	h, ok := parseHeader(op.Data)
	if want := (header{version: formatVersion, seq: 2, base: base, epoch: 1, groups: 1, sealAt: uint64(sealAt)}); !ok || h != want {
		t.Fatalf("%+v", h)
	}
	b := op.Data[headerBytes:]
	checkRecord(t, b[:64], append(unhex(t, `
		18000000 01000000 02000000 0000000000000000
		0100000000000000 0100000000000000 |one segment from 1 on, whose seal is at`), binary.LittleEndian.AppendUint64(nil, uint64(sealAt))...), base+headerBytes, base)
	checkRecord(t, b[64:176], unhex(t, `
		48000000 01000000 03000000 0700000000000000
		0500000000000000 |term
		0300000000000000 |vote
		0b00000000000000 |commit
		0b00000000000000 |first
		0400000000000000 |prevTerm
		0b00000000000000 |last
		0400000000000000 |lastTerm
		0a00000000000000 |checkpoint at entry 10
		0b00000000000000 |checkpoint at entry 11`), base+headerBytes+64, base)
}

func TestWalkRefusesWhatIsNoRecord(t *testing.T) {
	l, _ := mustOpen(t, newDisk(), Options{SegmentBytes: 4096})
	l.Append(7, []Entry{entry(1, 1, 50), entry(2, 1, 50)})
	l.RequestSync()
	op, _ := l.Next()
	for _, i := range []int{6, 28} { // the first record's length and type
		bad := bytes.Clone(op.Data)
		bad[i] ^= 0xff
		if err := Walk(bad, func(*Record) {}); err == nil {
			t.Fatalf("byte %d changed and not noticed", i)
		}
	}
	for i := range op.Data {
		if i > 0 && i != len(op.Data)/2 {
			if err := Walk(op.Data[:i], func(*Record) {}); err == nil {
				t.Fatalf("cut at byte %d and not noticed", i)
			}
		}
	}
}

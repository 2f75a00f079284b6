// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

// forge appends a record of numbers.
func forge(g GroupID, typ RecordType, fields ...uint64) func(l *Log) {
	return func(l *Log) {
		p := l.add(typ, 0, g, 8*len(fields))
		for i, v := range fields {
			binary.LittleEndian.PutUint64(p[8*i:], v)
		}
	}
}

// TestOpenRefusesContradictions writes records that are whole and that no caller's call could
// have written. Open must refuse each, and say where: it never clamps, skips or guesses.
func TestOpenRefusesContradictions(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(l *Log)
		want string // in the error
	}{
		"commit beyond the last entry":  {forge(1, RecordCommit, 4), "contradicts"},
		"commit goes back":              {forge(1, RecordCommit, 1), "contradicts"},
		"gap before an entry":           {forge(1, RecordEntry, 5, 2), "entry 5"},
		"committed entry replaced":      {forge(1, RecordEntry, 2, 2), "entry 2"},
		"term of an entry falls":        {forge(1, RecordEntry, 4, 1), "entry 4"},
		"replacement's term falls":      {forge(1, RecordEntry, 3, 0), "term of entry 3 falls"},
		"release beyond the last entry": {forge(1, RecordRelease, 5, 2), "contradicts"},
		"release with a wrong term":     {forge(1, RecordRelease, 4, 9), "last entry"},
		"term goes back":                {forge(1, RecordVote, 4, 0), "contradicts"},
		"unknown group released":        {forge(99, RecordRelease, 2, 1), "contradicts"},
		"unknown group removed":         {forge(99, RecordRemove), "contradicts"},
		"state without entries":         {forge(99, RecordState, 1, 1, 1, 1, 0, 2, 1), "entry 1 is missing"},
		"state with a higher last":      {forge(1, RecordState, 5, 1, 2, 1, 0, 4, 2), "entry 4 is missing"},
		"state with another term":       {forge(1, RecordState, 5, 1, 2, 1, 0, 3, 3), "term 2, not 3"},
		"state without first":           {forge(1, RecordState, 5, 1, 0, 0, 0, 0, 0), "contradict"},
		"state's commit":                {forge(1, RecordState, 5, 1, 4, 1, 0, 3, 2), "commit index 4"},
		"state's terms":                 {forge(1, RecordState, 5, 1, 3, 4, 2, 3, 1), "term"},
		"state of the wrong length":     {forge(1, RecordState, 5, 1, 2, 1, 0, 3), "impossible"},
		"state without its checkpoint":  {forge(1, RecordState, 5, 1, 2, 1, 0, 3, 2, 1), "checkpoint at entry 1 is missing"},
		"state's checkpoint too far":    {forge(1, RecordState, 5, 1, 2, 1, 0, 3, 2, 3), "checkpoint at entry 3 contradicts"},
		"state's checkpoint twice":      {forge(1, RecordState, 5, 1, 2, 1, 0, 3, 2, 1, 1), "checkpoint at entry 1 contradicts"},
		"checkpoint is not committed":   {forge(1, RecordCheckpoint, 3, 2), "checkpoint at 3"},
		"checkpoint with a wrong term":  {forge(1, RecordCheckpoint, 2, 2), "checkpoint at entry 2 has term 2, not 1"},
		"checkpoint of nobody":          {forge(99, RecordCheckpoint, 2, 2), "checkpoint at 2"},
		"checkpoint of wrong length":    {forge(1, RecordCheckpoint, 2), "impossible"},
		"install drops the committed":   {forge(1, RecordInstall, 1, 1), "checkpoint at 1"},
		"install at the end of numbers": {forge(1, RecordInstall, 1<<64-1, 1), "contradicts"},
		"drop of nothing":               {forge(1, RecordDrop, 2), "checkpoint at 2"},
		"drop of nobody's":              {forge(99, RecordDrop, 2), "checkpoint at 2"},
		"drop of wrong length":          {forge(1, RecordDrop), "impossible"},
		"moved entry of nobody":         {forge(99, RecordMoved, 1, 1), "moved entry 1"},
		"moved entry is not there":      {forge(1, RecordMoved, 4, 2), "moved entry 4"},
		"moved entry with other term":   {forge(1, RecordMoved, 1, 2), "falls from 2 to 1"},
		"moved last entry, other term":  {forge(1, RecordMoved, 3, 3), "moved entry 3"},
		"moved entry of wrong length":   {forge(1, RecordMoved, 3), "impossible"},
		"seal with another table":       {forge(0, RecordSeal, 1), "table contradicts"},
		"unknown type":                  {forge(1, recordTypes), "impossible"},
		"vote of the wrong length":      {forge(1, RecordVote, 1), "impossible"},
		"commit of the wrong length":    {forge(1, RecordCommit, 1, 2), "impossible"},
		"release of the wrong length":   {forge(1, RecordRelease, 1), "impossible"},
		"entry of the wrong length":     {forge(1, RecordEntry, 4), "impossible"},
		"manifest of the wrong length":  {forge(1, RecordManifest, 1, 2), "impossible"},
		"manifest of what is not there": {forge(1, RecordManifest, 7, 2, 99), "segments 7 to 8"},
		"manifest of itself":            {forge(1, RecordManifest, 1, 1, 99), "segments 1 to 1"},
	} {
		t.Run(name, func(t *testing.T) {
			checkForged(t, c.do, c.want)
		})
	}
}

// checkForged demands that a log with three entries, two of them committed, and a record behind them is refused.
func checkForged(t *testing.T, do func(l *Log), want string) {
	t.Helper()
	fs := newDisk()
	l, _ := mustOpen(t, fs, Options{SegmentBytes: 4096})
	l.SetVote(1, 5, 1)
	l.Append(1, []Entry{entry(1, 1, 1), entry(2, 1, 1), entry(3, 2, 1)})
	l.SetCommit(1, 2)
	do(l)
	mustFlush(t, l, fs)
	checkRefusal(t, fs, want)
}

// checkRefusal opens a log that must be refused, twice: a refusal changes nothing.
func checkRefusal(t *testing.T, fs *disk, want string) {
	t.Helper()
	before := fs.hash()
	for range 2 {
		_, _, err := Open(fs, Options{SegmentBytes: 4096})
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), ".wal, offset ") {
			t.Fatalf("%v, want something about %q", err, want)
		}
	}
	if fs.hash() != before {
		t.Fatal("a log that was refused was changed")
	}
}

// threeSegments returns a disk with entries in files 0001 to 0003 of which all are live.
func threeSegments(t *testing.T) *disk {
	fs := newDisk()
	l, _ := mustOpen(t, fs, Options{SegmentBytes: 4096})
	for i := uint64(1); i <= 8; i++ {
		l.Append(1, []Entry{entry(i, 1, 1000)})
		mustFlush(t, l, fs)
	}
	if l.cur.slot.name != "0003.wal" || len(l.segs) != 3 {
		t.Fatal(l.cur.slot.name)
	}
	return fs
}

func TestOpenRefusesLostFiles(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(fs *disk)
		want string
	}{
		"first gone":   {func(fs *disk) { delete(fs.names, "0001.wal") }, "segment 1 is in no file"},
		"middle gone":  {func(fs *disk) { delete(fs.names, "0002.wal") }, "segment 2 is in no file"},
		"middle twice": {func(fs *disk) { fs.names["0009.wal"] = fs.names["0002.wal"] }, "segment 2 is in"},
		"middle ends early": {func(fs *disk) {
			f := fs.names["0002.wal"]
			f.data = f.data[:3000]
		}, "the seal of segment 2: no valid record"},
		"last ends early": {func(fs *disk) {
			f := fs.names["0003.wal"]
			copy(f.data[300:], zeros[:8])
		}, "says that there was one"},
		"last has no header": {func(fs *disk) { copy(fs.names["0003.wal"].data, zeros[:headerBytes]) }, "header is invalid"},
		"middle of another log": {func(fs *disk) {
			h, _ := parseHeader(fs.names["0002.wal"].data)
			h.epoch++
			copy(fs.names["0002.wal"].data, appendHeader(nil, h))
		}, "0002.wal, offset 0"},
	} {
		t.Run(name, func(t *testing.T) {
			fs := threeSegments(t)
			c.do(fs)
			checkRefusal(t, fs, c.want)
		})
	}
}

// Nobody writes anything but open records behind a seal. If it is there, it isn't part of the log.
func TestRecordBehindASeal(t *testing.T) {
	fs := newDisk()
	opt := Options{SegmentBytes: 4096}
	l, _ := mustOpen(t, fs, opt)
	l.SetVote(1, 1, 1)
	l.putSeal()
	binary.LittleEndian.PutUint64(l.put(l.newChunk(), RecordVote, 0, 1, 16), 7)
	mustFlush(t, l, fs)
	for range 2 {
		l, _ = mustOpen(t, fs, opt)
		if s, _ := l.State(1); s.Term != 1 || !l.cur.sealed() {
			t.Fatalf("%+v", s)
		}
	}
}

func TestOptionsOutOfRange(t *testing.T) {
	for _, opt := range []Options{{SegmentBytes: 4095}, {SegmentBytes: 1<<30 + 1}, {FlushBytes: -1}} {
		if _, _, err := Open(newDisk(), opt); err == nil {
			t.Fatalf("%+v was accepted", opt)
		}
	}
}

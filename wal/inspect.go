// SPDX-License-Identifier: Apache-2.0

package wal

import "fmt"

// Verified is what Verify found.
type Verified struct {
	Report
	Groups int
	Live   int64 // bytes of segments that ended which were read and compared with their checksums
	// Damages are entries and checkpoints that are not what was written. A broker can start with them.
	Damages []*Damage
	// Spoiled says of segments that can't be read, or whose header or seal is damaged, what is wrong.
	Spoiled []error
}

// Verify opens the log in a directory as a start would, and then verifies everything live in it. It changes no file. It
// fails if Open does. progress is called with the segments that are verified and their total; it may be nil.
func Verify(fs FS, opt Options, progress func(done, total int)) (Verified, error) {
	fs = Shadow(fs)
	l, report, err := Open(fs, opt)
	if err != nil {
		return Verified{}, err
	}
	v := Verified{Report: report, Groups: len(l.groups)}
	total, last := len(l.segs)-1, uint64(0)
	for done := 0; ; {
		op, ok := l.ScrubOp()
		if !ok {
			break
		}
		if l.scrub.seq != last {
			if last = l.scrub.seq; progress != nil {
				progress(done, total)
			}
			done++
		}
		damages, err := l.Scrubbed(Do(fs, op))
		v.Damages = append(v.Damages, damages...)
		if err != nil {
			v.Spoiled = append(v.Spoiled, err)
		}
	}
	v.Live = int64(l.stats.Scrubbed)
	return v, nil
}

// SegmentHeader is what a segment's file begins with.
type SegmentHeader struct {
	Version  uint32 // of its format
	Sequence uint64
	Base     LSN    // of the file's first byte
	Epoch    uint32 // of the records that follow
	Owner    Owner
	Bytes    int64 // of the file
}

// Place is where a record lies in its file.
type Place struct {
	Off  int64
	Size int
}

// Dump reads a segment's file and calls fn with each of its valid records, one after the other. rec and what it points to
// are valid during the call. It returns the offset after the last of them: there may be zeros, a torn write, damage, or
// what is left of an earlier life of the file. A file that never was a segment has no header; that is ErrMissing.
func Dump(fs FS, name string, fn func(at Place, rec *Record) error) (SegmentHeader, int64, error) {
	f, err := fs.Open(name)
	if err != nil {
		return SegmentHeader{}, 0, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return SegmentHeader{}, 0, err
	}
	data := make([]byte, size)
	if err := readFull(f, data, 0); err != nil {
		return SegmentHeader{}, 0, err
	}
	h, ok := parseHeader(data)
	if !ok {
		return SegmentHeader{}, 0, fmt.Errorf("%w: %s has no valid header: it is a free file, or damaged", ErrMissing, name)
	}
	if h.version < oldestVersion || h.version > formatVersion {
		return SegmentHeader{}, 0, fmt.Errorf("%s has version %d of the log's format; this program knows %d to %d", name, h.version, oldestVersion, formatVersion)
	}
	var told error
	end, _, err := (&recovery{}).walk(&segmentFile{slot: slot{name, size}, head: h}, data, func(_ int, off int64, size int, rec *Record) error {
		told = fn(Place{off, size}, rec)
		return told
	})
	if told != nil {
		err = told
	}
	return SegmentHeader{h.version, h.seq, h.base, h.epoch, h.owner, size}, end, err
}

// recordNames are those of the types, from 1.
var recordNames = [...]string{
	"open", "manifest", "state", "entry", "vote", "commit", "release", "remove", "seal", "checkpoint", "install", "drop", "moved", "packed", "piece", "end",
}

func (t RecordType) String() string {
	if t < 1 || int(t) > len(recordNames) {
		return fmt.Sprintf("type %d", t)
	}
	return recordNames[t-1]
}

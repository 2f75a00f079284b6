// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
)

// Report says what Open found.
type Report struct {
	Entries   int64 // entry records that are live
	CutBytes  int64 // bytes of a torn tail that were cut, as far as they can be told from older ones; 0 after a clean stop
	CutFile   string
	CutOffset int64
	Segments  int    // that are part of the log
	Epoch     uint32 // how often the log was opened
	End       LSN    // where the log ended before this time
}

// corrupt says where the log is corrupt and what an operator has to do.
func corrupt(file string, off int64, why error) error {
	return fmt.Errorf("%w: %s, offset %d: %w. This broker can't be trusted with its data any more: "+
		"don't edit or shorten the file; move the broker's data folder away and let the broker come back as a new, empty replica, "+
		"which copies what it lost from the others", ErrCorrupt, file, off, why)
}

// recovery is the state of one Open. It reads everything and decides before it writes anything,
// and each of its writes may be torn: the next Open then decides the same.
type recovery struct {
	fs    FS
	log   *Log
	files []*segmentFile // valid header, by sequence number
	blank []*segmentFile // no valid header

	last    *segmentFile // the segment that the log ends in
	data    []byte       // its content; until it is found, of the one that was looked at
	end     int64        // where the log ends in it
	durable LSN          // highest durable position that a record speaks of
	epoch   uint32       // of the last record
	drop    *segmentFile // a segment whose first flush was torn

	manifest   []SegmentRun // the newest, from last
	manifestAt int64
	live       []*segmentFile // part of the log, by sequence number; last is not in it
	stray      []*segmentFile // not part of the log

	report Report
	buf    []byte
}

// segmentFile is a file as Open found it.
type segmentFile struct {
	slot   slot
	head   header
	sealAt int64 // of a live segment
}

// Open recovers the log in a directory, cuts the torn tail that a crash may have left, and makes
// durable all that it found. It refuses with ErrCorrupt what was durable once and isn't what was
// written. Open may be killed at any point and called again.
func Open(fs FS, opt Options) (*Log, Report, error) {
	if err := opt.validate(); err != nil {
		return nil, Report{}, err
	}
	r := &recovery{fs: fs, log: &Log{
		opt:      opt,
		groups:   make(map[GroupID]*group),
		reads:    make(map[uint64]*reading),
		copies:   copies{from: make(map[LSN]origin)},
		move:     mover{look: true},
		nextSlot: 1,
	}}
	if s := opt.Scratch; s != nil {
		r.data, r.buf = s.last, s.other
		defer func() { s.last, s.other = r.data, r.buf }()
	}
	for _, step := range []func() error{
		r.list, r.findLast, r.findLive, r.strays, r.replay, // read
		r.bootstrap, r.write,
	} {
		if err := step(); err != nil {
			return nil, Report{}, err
		}
	}
	return r.log, r.report, nil
}

// list reads the names and headers of all files.
func (r *recovery) list() error {
	names, err := r.fs.List()
	if err != nil {
		return fmt.Errorf("listing the log's directory: %w", err)
	}
	for _, name := range names {
		n, ok := slotNumber(name)
		if !ok {
			return fmt.Errorf("%s in the log's directory is not a segment of the log; move it away, nothing else may be in there", name)
		}
		r.log.nextSlot = max(r.log.nextSlot, n+1)
		f := &segmentFile{slot: slot{name: name}}
		b, err := r.read(f, r.buf, headerBytes)
		if err != nil {
			return err
		}
		r.buf = b
		f.head, ok = parseHeader(b)
		switch {
		case !ok:
			r.blank = append(r.blank, f)
		case f.head.version < oldestVersion || f.head.version > formatVersion:
			return fmt.Errorf("%s has log format %d, this program knows %d to %d; use the program that wrote it, or a newer one", name, f.head.version, oldestVersion, formatVersion)
		case f.head.owner != Owner{} && r.log.opt.Owner != Owner{} && f.head.owner != r.log.opt.Owner:
			return &ForeignError{name, f.head.owner}
		default:
			r.files = append(r.files, f)
		}
	}
	return r.order()
}

// order sorts the files by sequence number. Two may have the same one: if the first flush of a
// segment was torn, the one that takes its place begins after an open record, in a new epoch.
func (r *recovery) order() error {
	slices.SortFunc(r.files, func(a, b *segmentFile) int {
		return cmp.Or(cmp.Compare(a.head.seq, b.head.seq), cmp.Compare(a.head.base, b.head.base))
	})
	for i := 0; i+1 < len(r.files); {
		a, b := r.files[i], r.files[i+1]
		switch {
		case a.head.seq != b.head.seq:
			i++
		case a.head.base == b.head.base || a.head.epoch >= b.head.epoch:
			return corrupt(b.slot.name, 0, fmt.Errorf("segment %d is in %s, too", b.head.seq, a.slot.name))
		default:
			r.stray = append(r.stray, a)
			r.files = slices.Delete(r.files, i, i+1)
		}
	}
	return nil
}

// read returns the first limit bytes of a file, or as many as there are, in buf if it fits.
func (r *recovery) read(f *segmentFile, buf []byte, limit int64) ([]byte, error) {
	return r.readFrom(f, buf, 0, limit)
}

func (r *recovery) readFrom(f *segmentFile, buf []byte, from, limit int64) ([]byte, error) {
	file, err := r.fs.Open(f.slot.name)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", f.slot.name, err)
	}
	defer file.Close()
	if f.slot.size, err = file.Size(); err != nil {
		return nil, fmt.Errorf("size of %s: %w", f.slot.name, err)
	}
	if f.slot.size > maxFileBytes {
		return nil, fmt.Errorf("%s has %d bytes, more than any segment; move it away if it isn't one", f.slot.name, f.slot.size)
	}
	n := int(max(0, min(limit, f.slot.size-from)))
	buf = slices.Grow(buf[:0], n)[:n]
	if err := readFull(file, buf, from); err != nil {
		return nil, fmt.Errorf("reading %s: %w; a disk that can't be read may be well after a restart, otherwise this replica is lost", f.slot.name, err)
	}
	return buf, nil
}

const (
	maxFileBytes = int64(1)<<32 - 1 // an offset in a segment has 32 bits
	wholeFile    = maxFileBytes
)

// findLast finds the segment that the log ends in: the newest whose beginning is whole. A
// segment begins with one flush, so if its beginning is torn, nothing in it was ever durable.
func (r *recovery) findLast() error {
	for n := len(r.files) - 1; n >= 0; n-- {
		f := r.files[n]
		data, bad, err := r.readLegible(f, r.data, 0, wholeFile)
		if err != nil {
			return err
		}
		r.data = data
		whole := false
		end, sealAt, err := r.walk(f, data, func(k int, off int64, _ int, rec *Record) error {
			whole = whole || k == int(f.head.groups)
			if rec.Type == RecordManifest {
				r.manifest, r.manifestAt = rec.Live, off
			}
			return checkPreamble(f, k, rec)
		})
		if err != nil {
			return err
		}
		if bad.at >= 0 && bad.at < end+recordThere(data[end:]) {
			return bad.err
		}
		if at := findRecord(data, end+8, f.head.base+LSN(end), f.head.base, true, f.head.owner.seed(f.head.version)); at >= 0 {
			return corrupt(f.slot.name, end, fmt.Errorf("no valid record, though the record at offset %d says that there was one", at))
		}
		if whole {
			return r.setLast(f, end, sealAt)
		}
		if r.drop != nil {
			return corrupt(f.slot.name, end, fmt.Errorf("segment %d is incomplete though segment %d follows it", f.head.seq, r.drop.head.seq))
		}
		r.drop, r.manifest = f, nil
		r.cut(f, data, headerBytes, f.head.epoch)
	}
	if r.drop != nil && r.drop.head.seq != 1 {
		return corrupt(r.drop.slot.name, 0, fmt.Errorf("segment %d is incomplete and the one before it is missing", r.drop.head.seq))
	}
	return nil
}

func (r *recovery) setLast(f *segmentFile, end, sealAt int64) error {
	r.last, r.end, f.sealAt = f, end, sealAt
	d := r.drop
	if d == nil {
		if sealAt == 0 {
			r.cut(f, r.data, end, r.epoch)
		}
		return nil
	}
	h, pos := d.head, f.head.base+LSN(end)
	old := h.base < pos && h.epoch < r.epoch // dropped by an earlier Open, whose open record is in the way
	if sealAt == 0 || h.seq != f.head.seq+1 || h.base <= f.head.base+LSN(sealAt) || !old && (h.base != pos || h.epoch != r.epoch) {
		return corrupt(f.slot.name, end, fmt.Errorf("segment %d in %s doesn't follow segment %d, which ends here", h.seq, d.slot.name, f.head.seq))
	}
	if old {
		r.report = Report{}
	}
	return nil
}

// cut reports what will be cut from a segment at an offset. Only records of the last epoch count:
// others were cut before, or belong to an earlier life of the file.
func (r *recovery) cut(f *segmentFile, data []byte, from int64, epoch uint32) {
	to := from
	for off := from; off+recordHead <= int64(len(data)); off += 8 {
		if n := zerosAt(data, off+8); n > 0 { // no position
			off += n - 8
			continue
		}
		b := data[off:]
		if plausible(b, f.head.base+LSN(off)) && binary.LittleEndian.Uint32(b[24:]) == epoch {
			n := int64(binary.LittleEndian.Uint32(b[4:]))
			to = max(to, min(off+recordHead+n, int64(len(data))))
		}
	}
	if to > from {
		r.report.CutFile, r.report.CutOffset, r.report.CutBytes = f.slot.name, from, to-from
	}
}

// zerosAt returns how many bytes from an offset on are zero, counted in blocks of 64: most of a new segment is.
func zerosAt(data []byte, off int64) (n int64) {
	u64 := binary.LittleEndian.Uint64
	for b := data[off:]; len(b) >= 64 && u64(b) == 0; b = b[64:] {
		if u64(b[8:])|u64(b[16:])|u64(b[24:])|u64(b[32:])|u64(b[40:])|u64(b[48:])|u64(b[56:]) != 0 {
			break
		}
		n += 64
	}
	return n
}

// findRecord returns the offset of the first valid record at from or later that says that
// everything up to a position beyond after was durable; -1 if there is none. The records' place
// in the log is checked against base if that is known. Otherwise a third of all places in compressed records may be the head of
// a record by their numbers, some of them of megabytes. The checksum has one of the seeds.
func findRecord(data []byte, from int64, after, base LSN, known bool, seeds ...uint32) int64 {
	check := sums{data: data}
	for off := from; off+recordHead <= int64(len(data)); off += 8 {
		if n := zerosAt(data, off+16); n > 0 { // no durable position
			off += n - 8
			continue
		}
		b := data[off:]
		durable := LSN(binary.LittleEndian.Uint64(b[16:]))
		if durable <= after {
			continue
		}
		lsn := LSN(binary.LittleEndian.Uint64(b[8:]))
		if durable > lsn || known && lsn != base+LSN(off) {
			continue
		}
		size, ok := sizeOfRecord(b)
		if ok && slices.ContainsFunc(seeds, func(seed uint32) bool { return check.check(off, size, seed) }) {
			return off
		}
	}
	return -1
}

// findLive finds the segments that the newest manifest says are part of the log, and their ends.
func (r *recovery) findLive() error {
	next := uint64(1)
	for _, run := range r.manifest {
		if run.First < next || run.Count == 0 || run.Count > uint64(len(r.files)) || run.First+run.Count > r.last.head.seq {
			return corrupt(r.last.slot.name, r.manifestAt, fmt.Errorf("segments %d to %d can't all be there", run.First, run.First+run.Count-1))
		}
		next = run.First + run.Count
		for seq := run.First; seq < next; seq++ {
			i, ok := slices.BinarySearchFunc(r.files, seq, func(f *segmentFile, seq uint64) int { return cmp.Compare(f.head.seq, seq) })
			if !ok {
				return corrupt(r.last.slot.name, r.manifestAt, fmt.Errorf("segment %d is in no file", seq))
			}
			if seq > run.First {
				r.live[len(r.live)-1].sealAt = int64(r.files[i].head.sealAt)
			}
			r.live = append(r.live, r.files[i])
		}
		r.live[len(r.live)-1].sealAt = int64(run.SealAt)
	}
	for _, f := range r.files {
		if f != r.last && !slices.Contains(r.live, f) {
			r.stray = append(r.stray, f)
		}
	}
	r.stray = append(r.stray, r.blank...)
	return nil
}

// strays looks into the files that are not part of the log for records from beyond its end: then
// a header is lost.
func (r *recovery) strays() error {
	end := LSN(0)
	var seeds []uint32 // that newer records may have
	if owner := r.log.opt.Owner; owner != (Owner{}) {
		seeds = append(seeds, owner.seed(formatVersion))
	}
	if r.last == nil {
		seeds = append(seeds, 0) // of all formats
	} else {
		end = r.last.head.base + LSN(r.end)
		seeds = append(seeds, r.last.head.owner.seed(r.last.head.version))
	}
	seeds = slices.Compact(seeds)
	for _, f := range r.stray {
		data, _, err := r.readLegible(f, r.buf, 0, wholeFile)
		if err != nil {
			return err
		}
		r.buf = data
		if at := findRecord(data, 0, end, 0, false, seeds...); at >= 0 {
			return corrupt(f.slot.name, 0, fmt.Errorf("the segment header is invalid or old, but the record at offset %d was written behind the end of the log that is left", at))
		}
	}
	return nil
}

// bootstrap makes the first segment if there is none. Its records have epoch 0.
func (r *recovery) bootstrap() error {
	if err := r.fs.SyncDir(); err != nil {
		return fmt.Errorf("syncing the log's directory: %w", err)
	}
	if r.last != nil {
		return nil
	}
	l := r.log
	if err := r.firstFile(); err != nil {
		return err
	}
	l.cur = &segment{version: formatVersion, seed: l.opt.Owner.seed(formatVersion), seq: 1, slot: r.last.slot}
	l.segs = append(l.segs, l.cur)
	l.beginSegment(0)
	r.end, r.epoch = l.cur.end, 0
	if err := r.flush(); err != nil {
		return err
	}
	r.durable = l.End()
	return nil
}

// firstFile chooses the file for the first segment: the one that a dropped segment 1 is in, or one
// that a process left that died while it prepared more.
func (r *recovery) firstFile() error {
	l := r.log
	i := slices.IndexFunc(r.stray, func(f *segmentFile) bool { return f == r.drop || r.drop == nil && f.slot.size >= l.opt.SegmentBytes })
	if i >= 0 {
		r.last = r.stray[i]
		r.stray = slices.Delete(r.stray, i, i+1)
		return nil
	}
	r.last = &segmentFile{slot: slot{slotName(l.nextSlot), l.opt.SegmentBytes}}
	l.nextSlot++
	if err := Do(r.fs, Op{Kind: OpPrepare, File: r.last.slot.name, N: l.opt.SegmentBytes}).Err; err != nil {
		return fmt.Errorf("preparing %s: %w", r.last.slot.name, err)
	}
	return nil
}

// write makes what was found durable and marks the beginning of a new epoch.
func (r *recovery) write() error {
	l := r.log
	if from := int64(max(r.durable, l.cur.base) - l.cur.base); from < r.end {
		if err := r.writeAt(l.cur.slot.name, from, r.data[from:r.end]); err != nil {
			return err
		}
	}
	l.cur.end = r.end
	l.durable = l.End()
	r.report.End = l.durable
	l.epoch = r.epoch + 1
	l.put(l.newChunk(), RecordOpen, 0, 0, 0)
	if err := r.flush(); err != nil {
		return err
	}
	l.durable = l.End()
	for _, f := range r.stray {
		l.addSlot(f.slot)
	}
	r.report.Segments = len(l.segs)
	r.report.Epoch = l.epoch
	return nil
}

// flush writes the log's only chunk.
func (r *recovery) flush() error {
	l := r.log
	c := l.chunks[0]
	l.chunks = nil
	l.seal(&c)
	return r.writeAt(c.seg.slot.name, c.off, c.buf)
}

func (r *recovery) writeAt(name string, off int64, data []byte) error {
	if err := Do(r.fs, Op{Kind: OpWrite, File: name, Off: off, Data: data}).Err; err != nil {
		return fmt.Errorf("writing %s at offset %d: %w", name, off, err)
	}
	return nil
}

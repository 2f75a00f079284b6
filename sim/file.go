// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"bytes"
	"fmt"
	"io"

	"chronik/sim/keyed"
	"chronik/wal"
)

// page is nil where all bytes are zero, so that segments filled with zeros cost next to nothing.
// Invariant: a page is written only while it is dirty; a clean one may be shared by cache, durable
// bytes and clones.
type page *[pageBytes]byte

type file struct {
	disk        *disk
	pages       []page
	size        int64
	durable     []page
	durableSize int64
	dirty       []bool  // per page of pages: differs, or may differ, from durable
	bad         []int64 // bytes that can't be read
	dirtyPages  []int   // those pages, in the order in which they were first written
}

// ReadAt implements wal.File.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if f.disk.fuse == 0 {
		return 0, errCrashed
	}
	if f.unreadable(off, int64(len(p))) {
		return 0, fmt.Errorf("%w: %w", wal.ErrUnreadable, errInjected)
	}
	off = f.misread(off, int64(len(p)))
	n := 0
	for n < len(p) && off < f.size {
		i, at := off/pageBytes, off%pageBytes
		m := min(int64(len(p)-n), pageBytes-at, f.size-off)
		if pg := f.pages[i]; pg == nil {
			clear(p[n : n+int(m)])
		} else {
			copy(p[n:n+int(m)], pg[at:])
		}
		n += int(m)
		off += m
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements wal.File.
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	d := f.disk
	if d.blow() {
		n := d.draw(domainDiskCrash).Between(0, int64(len(p)))
		f.write(p[:n], off)
		return int(n), errCrashed
	}
	if d.full && off+int64(len(p)) > f.size {
		return 0, wal.ErrNoSpace
	}
	if d.failWrites > 0 {
		d.failWrites--
		n := d.draw(domainDiskCrash).Between(0, int64(len(p)))
		f.write(p[:n], off)
		return int(n), errInjected
	}
	f.write(p, off)
	return len(p), nil
}

var zeroPage [pageBytes]byte

func (f *file) write(p []byte, off int64) {
	if len(p) == 0 {
		return
	}
	end := off + int64(len(p))
	f.rewrite(off, int64(len(p)))
	f.size = max(f.size, end)
	for int64(len(f.pages))*pageBytes < end {
		f.pages = append(f.pages, nil)
		f.dirty = append(f.dirty, false)
	}
	for len(p) > 0 {
		i, at := int(off/pageBytes), off%pageBytes
		n := min(int64(len(p)), pageBytes-at)
		f.writePage(i, at, p[:n])
		p = p[n:]
		off += n
	}
}

func (f *file) writePage(i int, at int64, p []byte) {
	old := f.pages[i]
	wasDirty := f.dirty[i]
	if !wasDirty {
		f.dirty[i] = true
		f.dirtyPages = append(f.dirtyPages, i)
	}
	if bytes.Equal(p, zeroPage[:len(p)]) && (old == nil || len(p) == pageBytes) {
		f.pages[i] = nil
		return
	}
	if old == nil || !wasDirty {
		fresh := new([pageBytes]byte)
		if old != nil {
			*fresh = *old
		}
		f.pages[i] = fresh
	}
	copy(f.pages[i][at:], p)
}

// Size implements wal.File.
func (f *file) Size() (int64, error) {
	if f.disk.fuse == 0 {
		return 0, errCrashed
	}
	return f.oldSize(), nil
}

// Sync implements wal.File.
func (f *file) Sync() error {
	if f.disk.blow() {
		return errCrashed
	}
	if f.disk.failSyncs > 0 {
		f.disk.failSyncs--
		fate := f.disk.draw(domainFailedSync)
		f.tear(fate)
		if fate.Next().Ratio(1, 2) {
			f.forget()
		} else {
			f.clean()
		}
		return errInjected
	}
	if f.disk.phantom > 0 {
		f.disk.unkept += len(f.dirtyPages)
		f.clean()
		return nil
	}
	f.grow()
	f.disk.covered = max(f.disk.covered, len(f.dirtyPages)*pageBytes)
	kept := f.misdirect()
	for _, i := range f.dirtyPages {
		if i != kept {
			f.durable[i] = f.pages[i]
		}
	}
	f.durableSize = f.size
	f.clean()
	return nil
}

// clean takes all pages for synced.
func (f *file) clean() {
	for _, i := range f.dirtyPages {
		f.dirty[i] = false
	}
	f.dirtyPages = f.dirtyPages[:0]
}

// Close implements wal.File. Open files need nothing: a handle is the file itself.
func (f *file) Close() error { return nil }

func (f *file) grow() {
	for len(f.durable) < len(f.pages) {
		f.durable = append(f.durable, nil)
	}
}

// powerLoss makes some of the unsynced sectors durable and forgets the others.
func (f *file) powerLoss() {
	if len(f.dirtyPages) > 0 || f.size != f.durableSize {
		f.tear(f.disk.draw(domainDiskCrash))
	}
	f.forget()
}

// tear makes each unsynced sector durable or not: all, none, or each with some chance.
func (f *file) tear(fate keyed.Draw) {
	chances := []int64{0, 8, 4, 4, 1, 7}
	chance := chances[fate.Below(int64(len(chances)))] // in eighths
	fate = fate.Next()
	f.grow()
	for _, i := range f.dirtyPages {
		f.durable[i] = tearPage(f.durable[i], f.pages[i], chance, fate)
		fate = fate.Next()
	}
	if f.size > f.durableSize {
		f.tearSize(chance, fate)
	}
}

// tearSize lets an unsynced growth of the file survive up to some sector.
func (f *file) tearSize(chance int64, fate keyed.Draw) {
	switch grown := f.size - f.durableSize; chance {
	case 0:
	case 8:
		f.durableSize = f.size
	default:
		f.durableSize += fate.Below(grown/sectorBytes+1) * sectorBytes
	}
	for i := range f.durable {
		f.durable[i] = cutPage(f.durable[i], f.durableSize-int64(i)*pageBytes)
	}
}

// cutPage returns pg with zeros from byte n on.
func cutPage(pg page, n int64) page {
	switch {
	case pg == nil || n >= pageBytes:
		return pg
	case n <= 0:
		return nil
	}
	cut := new([pageBytes]byte)
	copy(cut[:n], pg[:n])
	return cut
}

func tearPage(durable, cached page, chance int64, fate keyed.Draw) page {
	if durable == cached {
		return durable
	}
	torn := new([pageBytes]byte)
	if durable != nil {
		*torn = *durable
	}
	if cached == nil {
		cached = &zeroPage
	}
	for s := 0; s < pageBytes; s += sectorBytes {
		if fate.Ratio(chance, 8) {
			copy(torn[s:s+sectorBytes], cached[s:])
		}
		fate = fate.Next()
	}
	return torn
}

// forget makes the page cache what is durable.
func (f *file) forget() {
	f.size = f.durableSize
	n := int((f.size + pageBytes - 1) / pageBytes)
	f.durable = f.durable[:n]
	f.pages = append(f.pages[:0], f.durable...)
	f.dirty = append(f.dirty[:0], make([]bool, n)...)
	f.dirtyPages = f.dirtyPages[:0]
}

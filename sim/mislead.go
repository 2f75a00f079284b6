// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"chronik/sim/keyed"
	"chronik/sim/plan"
)

// What a device does wrong without an error: it loses a page that it was to keep, puts it into another place, reads another
// place, or tells a size that a file had before. Checksums, and what a record says of itself, have to show it. A cluster doesn't
// survive it for certain, so it belongs to profile beyond.

// misled counts down the calls that may be misled. The last of them is, and so the count spreads over a file's life.
type misled struct {
	left   int
	always bool   // each call is
	tell   func() // that it happened
}

func (m *misled) hit() bool {
	if m.left == 0 {
		return false
	}
	m.left--
	return m.always || m.left == 0
}

// mislead lets some of the next calls go wrong.
func (d *disk) mislead(kind plan.FaultKind, calls int, tell func()) {
	switch kind {
	case plan.FaultLostWrite:
		d.lost = misled{calls, false, tell}
	case plan.FaultMiswrite:
		d.misput = misled{calls, false, tell}
	case plan.FaultMisread:
		d.misread = misled{calls, true, tell}
	case plan.FaultStaleSize:
		d.oldSize = misled{calls, true, tell}
	}
}

// trust ends all of it.
func (d *disk) trust() {
	d.lost, d.misput, d.misread, d.oldSize = misled{}, misled{}, misled{}, misled{}
}

// misdirect chooses a page of a sync that doesn't reach its place, -1 if all do. The page cache has it, until the power fails.
// A page that is put elsewhere shows there at once.
func (f *file) misdirect() int {
	d := f.disk
	if len(f.dirtyPages) == 0 {
		return -1
	}
	lost := d.lost.hit()
	if !d.misput.hit() && !lost {
		return -1
	}
	draw := d.draw(domainMisled)
	i := f.dirtyPages[draw.Below(int64(len(f.dirtyPages)))]
	if f.pages[i] == f.durable[i] {
		return -1 // zeros as before
	}
	if lost {
		d.lost.tell()
		return i
	}
	to, j := d.elsewhere(draw.Next())
	if to == nil || to == f && j == i {
		return -1
	}
	content := f.pages[i]
	if content != nil { // the page cache goes on with its own
		copied := *content
		content = &copied
	}
	to.durable[j], to.pages[j] = content, content
	d.misput.tell()
	return i
}

// elsewhere draws a page that is durable and has nothing else under way; nil if it doesn't hit one.
func (d *disk) elsewhere(draw keyed.Draw) (*file, int) {
	if len(d.durable) == 0 {
		return nil, 0
	}
	f := d.durable[draw.Below(int64(len(d.durable)))].file
	if len(f.durable) == 0 {
		return nil, 0
	}
	j := int(draw.Next().Below(int64(len(f.durable))))
	if j >= len(f.pages) || f.dirty[j] {
		return nil, 0
	}
	return f, j
}

// misread returns where a read reads: mostly what was asked for.
func (f *file) misread(off, n int64) int64 {
	if f.size <= n || !f.disk.misread.hit() {
		return off
	}
	other := f.disk.draw(domainMisled).Below((f.size-n)/sectorBytes+1) * sectorBytes
	if other != off {
		f.disk.misread.tell()
	}
	return other
}

// oldSize is the size of the file, or one that it may have had.
func (f *file) oldSize() int64 {
	if f.size == 0 || !f.disk.oldSize.hit() {
		return f.size
	}
	f.disk.oldSize.tell()
	f.disk.shortened++
	return f.disk.draw(domainMisled).Below(f.size/sectorBytes+1) * sectorBytes
}

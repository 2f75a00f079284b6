// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"chronik/sim/keyed"
	"chronik/wal"
)

// disk is one broker's simulated directory. It keeps two truths: the page cache, which a running
// process sees, and the durable bytes, which survive a power loss.
//
// Injected:
//   - power loss: each sector (512 bytes) written and not synced is there or not, independently;
//     so is each name created or removed without SyncDir, and the growth of an unsynced file
//   - kill -9: nothing written is lost, but an operation under way stops anywhere, in the middle of
//     a write too
//   - a failing sync: some of the sectors reach the disk, a second sync would succeed, and the page
//     cache either drops the others, so that they read as before the write, or keeps them as if they
//     were synced, so that they are read until the power fails (ext4 and XFS do one or the other)
//   - a failing write that wrote a part
//   - recovery that dies at its k-th call
//   - a sync that is reported and keeps nothing, as by a device whose write cache loses its power; only beyond what is survivable
//   - a full disk: files can't be made and can't grow, what is there can be written
//   - a durable bit that changes, or a byte that can't be read any more (rot.go says which may)
//   - reads that fail for another reason, for a while (broker.do)
//   - slow and stalled operations (see world.startOp)
//   - a page that a sync loses or puts elsewhere, a read of another place, a size of earlier (mislead.go); only beyond what is survivable
//
// Never injected: of several unsynced writes to one sector any but the last.
type disk struct {
	seed    keyed.Seed
	who     uint64
	counter uint64 // of decisions

	cached  []dirent // sorted by name
	durable []dirent

	// fuse counts down with each call that changes something. The process dies in the middle of the
	// call with which it becomes 0, and every call fails from then on; negative: it doesn't die.
	fuse       int
	failWrites int // so many of the next writes fail
	failSyncs  int
	full       bool // no file can be made or grow
	phantom    int  // so many faults are on by which a sync is reported and keeps nothing
	lost       misled
	misput     misled
	misread    misled
	oldSize    misled
	shortened  int // how often a file was said to be shorter than it is
	unkept     int // pages that such syncs should have made durable
	covered    int // the most bytes that a sync made durable since this was set to 0, in whole pages
}

type dirent struct {
	name string
	file *file
}

const (
	sectorBytes    = 512
	pageBytes      = 4096
	sectorsPerPage = pageBytes / sectorBytes
)

var (
	errCrashed   = errors.New("simulated crash")
	errInjected  = errors.New("simulated input/output error")
	errNotExist  = errors.New("no such file")
	errNameTaken = errors.New("file exists")
)

func newDisk(s keyed.Seed, who uint64) *disk { return &disk{seed: s, who: who, fuse: -1} }

// draw makes the disk's next decision in a domain.
func (d *disk) draw(dom keyed.Domain) keyed.Draw {
	d.counter++
	return d.seed.Draw(dom, d.who, d.counter)
}

// blow counts one call that changes something; true means that the process dies in this one.
func (d *disk) blow() bool {
	if d.fuse > 0 {
		d.fuse--
	}
	return d.fuse == 0
}

func find(names []dirent, name string) (int, bool) {
	return slices.BinarySearchFunc(names, name, func(e dirent, name string) int {
		return strings.Compare(e.name, name)
	})
}

// List implements wal.FS.
func (d *disk) List() ([]string, error) {
	if d.fuse == 0 {
		return nil, errCrashed
	}
	names := make([]string, len(d.cached))
	for i, e := range d.cached {
		names[i] = e.name
	}
	return names, nil
}

// Create implements wal.FS.
func (d *disk) Create(name string) (wal.File, error) {
	if d.blow() {
		return nil, errCrashed
	}
	i, ok := find(d.cached, name)
	switch {
	case ok:
		return nil, fmt.Errorf("create %s: %w", name, errNameTaken)
	case d.full:
		return nil, fmt.Errorf("create %s: %w", name, wal.ErrNoSpace)
	}
	f := &file{disk: d}
	d.cached = slices.Insert(d.cached, i, dirent{name, f})
	return f, nil
}

// Open implements wal.FS.
func (d *disk) Open(name string) (wal.File, error) {
	if d.fuse == 0 {
		return nil, errCrashed
	}
	i, ok := find(d.cached, name)
	if !ok {
		return nil, fmt.Errorf("open %s: %w", name, errNotExist)
	}
	return d.cached[i].file, nil
}

// Remove implements wal.FS.
func (d *disk) Remove(name string) error {
	if d.blow() {
		return errCrashed
	}
	i, ok := find(d.cached, name)
	if !ok {
		return fmt.Errorf("remove %s: %w", name, errNotExist)
	}
	d.cached = slices.Delete(d.cached, i, i+1)
	return nil
}

// SyncDir implements wal.FS.
func (d *disk) SyncDir() error {
	if d.blow() {
		return errCrashed
	}
	if d.phantom > 0 {
		return nil
	}
	d.durable = append(d.durable[:0], d.cached...)
	return nil
}

// powerLoss leaves what may be on the disk when the power comes back.
func (d *disk) powerLoss() {
	d.fuse, d.failWrites, d.failSyncs = -1, 0, 0
	var after []dirent
	i, j := 0, 0
	for i < len(d.cached) || j < len(d.durable) {
		c, s := dirent{}, dirent{}
		switch {
		case j == len(d.durable) || i < len(d.cached) && d.cached[i].name < d.durable[j].name:
			c, i = d.cached[i], i+1
		case i == len(d.cached) || d.durable[j].name < d.cached[i].name:
			s, j = d.durable[j], j+1
		default:
			c, s, i, j = d.cached[i], d.durable[j], i+1, j+1
		}
		keep := s
		if c.file != s.file && d.draw(domainDiskDir).Ratio(1, 2) {
			keep = c
		}
		if keep.file != nil {
			keep.file.powerLoss()
			after = append(after, keep)
		}
	}
	d.cached = after
	d.durable = slices.Clone(after)
}

// kill leaves what is there after kill -9: everything that was written.
func (d *disk) kill() { d.fuse, d.failWrites, d.failSyncs = -1, 0, 0 }

// dieDuring carries out a part of op, as much as it did when the process died: between nothing and
// all of it, without an answer.
func (d *disk) dieDuring(op wal.Op) {
	switch op.Kind {
	case wal.OpRead:
		return
	case wal.OpWrite:
		d.fuse = int(d.draw(domainDiskCrash).Below(4)) // of two calls: write and sync
	default:
		d.fuse = int(d.draw(domainDiskCrash).Below(6))
	}
	if d.fuse > 0 { // else it had not begun
		wal.Do(d, op)
	}
	d.fuse = -1
}

// image returns a disk that holds just the durable bytes.
func (d *disk) image() *disk {
	img := newDisk(d.seed, d.who)
	for _, e := range d.durable {
		f := &file{
			disk:        img,
			pages:       slices.Clone(e.file.durable),
			size:        e.file.durableSize,
			durable:     slices.Clone(e.file.durable),
			durableSize: e.file.durableSize,
			dirty:       make([]bool, len(e.file.durable)),
		}
		img.cached = append(img.cached, dirent{e.name, f})
	}
	img.durable = slices.Clone(img.cached)
	return img
}

// commits opens a log as it would be after a power loss, and returns a group's commit index in it.
func (d *disk) commits(opt wal.Options) func(wal.GroupID) uint64 {
	log, _, err := wal.Open(d.image(), opt)
	return func(g wal.GroupID) uint64 {
		if err != nil { // nothing was ever written
			return 0
		}
		st, _ := log.State(g)
		return st.Commit
	}
}

// durablePrefix returns how many bytes of data are durable at an offset of a file, up to the first
// that differs.
func (d *disk) durablePrefix(name string, off int64, data []byte) int {
	i, ok := find(d.durable, name)
	if !ok {
		return 0
	}
	f, n := d.durable[i].file, 0
	for n < len(data) && off < f.durableSize {
		at := off % pageBytes
		m := min(int64(len(data)-n), pageBytes-at, f.durableSize-off)
		pg := f.durable[off/pageBytes]
		if pg == nil {
			pg = &zeroPage
		}
		for range m {
			if pg[at] != data[n] {
				return n
			}
			at++
			n++
		}
		off += m
	}
	return n
}

// unsynced says whether a power loss now could lose something.
func (d *disk) unsynced() bool {
	return !slices.Equal(d.cached, d.durable) ||
		slices.ContainsFunc(d.cached, func(e dirent) bool { return len(e.file.dirtyPages) > 0 })
}

// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

const sectorBytes = 512

var (
	errCrashed = errors.New("the machine is down")
	errDisk    = errors.New("disk says no")
)

// disk is an FS in memory with a power switch. It keeps what was synced apart from what was only
// written, in sectors.
type disk struct {
	names  map[string]*inode // as a running machine sees them
	synced map[string]*inode // as of the last SyncDir

	// fuse counts down with each call that changes something; the call that finds it at 0 is
	// carried out in part, and from then on everything fails. Negative: never.
	fuse int
	pick func(n int) int // 0 <= result < n: what the machine decides at a crash
	down bool

	before func() // called before each call that changes something, if set

	failSync bool // Sync fails and the pages are lost for the disk but still there to read

	room int // by how many bytes files may still grow; negative: by any number

	bytesRead int64
}

type inode struct {
	data   []byte // as a running machine sees it
	stable []byte // as of the last Sync
	dirty  map[int]bool
}

func newDisk() *disk {
	return &disk{names: map[string]*inode{}, synced: map[string]*inode{}, fuse: -1, room: -1, pick: func(int) int { return 0 }}
}

// burn reports whether the machine is up and whether it goes down during this call.
func (d *disk) burn() (up, last bool) {
	if d.before != nil {
		d.before()
	}
	if d.down {
		return false, false
	}
	if d.fuse == 0 {
		d.down = true
		return true, true
	}
	if d.fuse > 0 {
		d.fuse--
	}
	return true, false
}

// powerLoss decides for every sector and name that isn't synced whether it is there afterwards.
func (d *disk) powerLoss() {
	for _, name := range d.union() {
		if d.names[name] != d.synced[name] && d.pick(2) == 0 {
			if d.synced[name] == nil {
				delete(d.names, name)
			} else {
				d.names[name] = d.synced[name]
			}
		}
	}
	d.synced = maps.Clone(d.names)
	for _, name := range slices.Sorted(maps.Keys(d.names)) {
		f := d.names[name]
		image := slices.Clone(f.stable)
		for _, s := range slices.Sorted(maps.Keys(f.dirty)) {
			if d.pick(2) == 1 {
				image = put(image, f.data[s*sectorBytes:min((s+1)*sectorBytes, len(f.data))], int64(s*sectorBytes))
			}
		}
		d.names[name].data, d.names[name].stable, d.names[name].dirty = image, slices.Clone(image), map[int]bool{}
	}
	d.restart()
}

// restart brings the machine up after a kill: everything written is there, synced or not.
func (d *disk) restart() { d.down, d.fuse = false, -1 }

func (d *disk) union() []string {
	all := maps.Clone(d.names)
	maps.Copy(all, d.synced)
	return slices.Sorted(maps.Keys(all))
}

func (d *disk) clone() *disk {
	c := *d
	seen := map[*inode]*inode{}
	copyAll := func(m map[string]*inode) map[string]*inode {
		out := map[string]*inode{}
		for name, f := range m {
			if seen[f] == nil {
				seen[f] = &inode{slices.Clone(f.data), slices.Clone(f.stable), maps.Clone(f.dirty)}
			}
			out[name] = seen[f]
		}
		return out
	}
	c.names, c.synced = copyAll(d.names), copyAll(d.synced)
	return &c
}

func (d *disk) List() ([]string, error) {
	if d.down {
		return nil, errCrashed
	}
	return slices.Sorted(maps.Keys(d.names)), nil
}

func (d *disk) Create(name string) (File, error) {
	up, last := d.burn()
	if !up || last && d.pick(2) == 0 {
		return nil, errCrashed
	}
	if d.names[name] != nil {
		return nil, fmt.Errorf("%s exists", name)
	}
	d.names[name] = &inode{dirty: map[int]bool{}}
	if last {
		return nil, errCrashed
	}
	return &handle{d, d.names[name]}, nil
}

func (d *disk) Open(name string) (File, error) {
	if d.down {
		return nil, errCrashed
	}
	if d.names[name] == nil {
		return nil, fmt.Errorf("%s doesn't exist", name)
	}
	return &handle{d, d.names[name]}, nil
}

func (d *disk) Remove(name string) error {
	up, last := d.burn()
	if !up || last && d.pick(2) == 0 {
		return errCrashed
	}
	if d.names[name] == nil {
		return fmt.Errorf("%s doesn't exist", name)
	}
	if d.room >= 0 {
		d.room += len(d.names[name].data)
	}
	delete(d.names, name)
	if last {
		return errCrashed
	}
	return nil
}

func (d *disk) SyncDir() error {
	up, last := d.burn()
	if !up {
		return errCrashed
	}
	if last {
		for _, name := range d.union() {
			if d.pick(2) == 0 {
				continue
			}
			if f := d.names[name]; f != nil {
				d.synced[name] = f
			} else {
				delete(d.synced, name)
			}
		}
		return errCrashed
	}
	d.synced = maps.Clone(d.names)
	return nil
}

type handle struct {
	d *disk
	f *inode
}

func (h *handle) ReadAt(p []byte, off int64) (int, error) {
	if h.d.down {
		return 0, errCrashed
	}
	if off >= int64(len(h.f.data)) {
		return 0, io.EOF
	}
	n := copy(p, h.f.data[off:])
	h.d.bytesRead += int64(n)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (h *handle) WriteAt(p []byte, off int64) (int, error) {
	up, last := h.d.burn()
	if !up {
		return 0, errCrashed
	}
	if grow := int(off) + len(p) - len(h.f.data); grow > 0 && h.d.room >= 0 {
		fits := min(grow, h.d.room)
		h.d.room -= fits
		if grow > fits {
			n := len(p) - (grow - fits)
			h.write(p[:max(n, 0)], off, last)
			return max(n, 0), fmt.Errorf("write of %d bytes: %w", len(p), ErrNoSpace)
		}
	}
	size := len(p)
	h.write(p, off, last)
	if last {
		return 0, errCrashed
	}
	return size, nil
}

// write carries out a write, in part if the machine goes down.
func (h *handle) write(p []byte, off int64, last bool) {
	for len(p) > 0 {
		s := int(off / sectorBytes)
		n := min(len(p), (s+1)*sectorBytes-int(off))
		if !last || h.d.pick(2) == 1 {
			h.f.data = put(h.f.data, p[:n], off)
			h.f.dirty[s] = true
		}
		p, off = p[n:], off+int64(n)
	}
}

func (h *handle) Size() (int64, error) {
	if h.d.down {
		return 0, errCrashed
	}
	return int64(len(h.f.data)), nil
}

func (h *handle) Sync() error {
	up, last := h.d.burn()
	if !up {
		return errCrashed
	}
	if h.d.failSync {
		h.f.dirty = map[int]bool{}
		return errDisk
	}
	for _, s := range slices.Sorted(maps.Keys(h.f.dirty)) {
		if last && h.d.pick(2) == 0 {
			continue
		}
		h.f.stable = put(h.f.stable, h.f.data[s*sectorBytes:min((s+1)*sectorBytes, len(h.f.data))], int64(s*sectorBytes))
		delete(h.f.dirty, s)
	}
	if last {
		return errCrashed
	}
	return nil
}

func (h *handle) Close() error { return nil }

// put writes p at off into data, which grows with zeros if need be.
func put(data, p []byte, off int64) []byte {
	if end := int(off) + len(p); end > len(data) {
		data = append(data, bytes.Repeat([]byte{0}, end-len(data))...)
	}
	copy(data[off:], p)
	return data
}

// SPDX-License-Identifier: Apache-2.0

package host

import (
	"container/list"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"chronik/wal"
)

// keepHandles is how many files stay open that nobody uses right now.
const keepHandles = 256

// dirFS is the directory of a log on a real disk. Handles stay open, because every operation opens
// its file anew; it is safe for concurrent use.
type dirFS struct {
	path  string
	dir   *os.File // for SyncDir
	flags int      // to open a file with

	// between is called between the stints of a read. It gives way to others, but nil while the log is opened: of this broker
	// nobody waits for a CPU then, and each time is as long as all others of a busy machine need.
	between func()

	mu     sync.Mutex
	files  map[string]*handle
	unused list.List // of *handle, the longest unused first
}

// handle is one open file, shared by all who opened it.
type handle struct {
	fs    *dirFS
	f     *os.File
	name  string
	users int
	idle  *list.Element // in fs.unused if users == 0
	gone  bool          // removed: close when the last user does
}

func openDir(path string) (*dirFS, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, err
	}
	d, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &dirFS{path: path, dir: d, flags: os.O_RDWR, files: make(map[string]*handle)}, nil
}

func (d *dirFS) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, h := range d.files {
		h.f.Close()
		delete(d.files, name)
	}
	d.dir.Close()
}

// List implements wal.FS.
func (d *dirFS) List() ([]string, error) {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

// Create implements wal.FS.
func (d *dirFS) Create(name string) (wal.File, error) {
	return d.open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

// Open implements wal.FS.
func (d *dirFS) Open(name string) (wal.File, error) { return d.open(name, d.flags) }

func (d *dirFS) open(name string, flags int) (wal.File, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if h := d.files[name]; h != nil && flags&os.O_CREATE == 0 {
		d.use(h)
		return h, nil
	}
	f, err := os.OpenFile(filepath.Join(d.path, name), flags, 0o644)
	if err != nil {
		return nil, markFull(err)
	}
	h := &handle{fs: d, f: f, name: name, users: 1}
	d.files[name] = h
	return h, nil
}

func (d *dirFS) use(h *handle) {
	if h.users++; h.idle != nil {
		d.unused.Remove(h.idle)
		h.idle = nil
	}
}

// Remove implements wal.FS. A file that is still being read goes with its last reader.
func (d *dirFS) Remove(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(d.path, name), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	used := false
	d.mu.Lock()
	if h := d.files[name]; h != nil {
		used = h.users > 0
		d.forget(h)
	}
	d.mu.Unlock()
	if err := os.Remove(f.Name()); err != nil || used {
		return err
	}
	return shrink(f)
}

// shrunkAtOnce is how many bytes of a removed file are freed with one sync.
const shrunkAtOnce = 1 << 20

// shrink gives back the space of a file without a name, a piece at a time. A file system that is mounted with `discard`
// tells the device what became free before it answers any other sync; with 64 MiB at once that took 45 ms.
func shrink(f *os.File) error {
	info, err := f.Stat()
	for size := int64(0); err == nil && size < info.Size(); size += shrunkAtOnce {
		if err = f.Truncate(max(0, info.Size()-size-shrunkAtOnce)); err == nil {
			err = f.Sync()
		}
	}
	return err
}

// forget drops a handle; its file is closed now or by its last user.
func (d *dirFS) forget(h *handle) {
	delete(d.files, h.name)
	h.gone = true
	if h.idle != nil {
		d.unused.Remove(h.idle)
		h.idle = nil
	}
	if h.users == 0 {
		h.f.Close()
	}
}

// SyncDir implements wal.FS.
func (d *dirFS) SyncDir() error { return markFull(d.dir.Sync()) }

func checkName(name string) error {
	if name == "" || name[0] == '.' || strings.ContainsAny(name, "/\\\x00") {
		return fmt.Errorf("%q is no name for a file of the log", name)
	}
	return nil
}

// ReadAt implements wal.File.
func (h *handle) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) && err == nil {
		var k int
		k, err = h.f.ReadAt(p[n:min(len(p), n+stint)], off+int64(n))
		err = markUnreadable(err)
		if n += k; n < len(p) && h.fs.between != nil {
			h.fs.between()
		}
	}
	return n, err
}

func (h *handle) Sync() error { return markFull(syncData(h.f)) }
func (h *handle) WriteAt(p []byte, off int64) (int, error) {
	n, err := h.f.WriteAt(p, off)
	return n, markFull(err)
}

// markFull says in the log's words that a disk is full, or this user's share of it.
func markFull(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", wal.ErrNoSpace, err)
	}
	return err
}

// markUnreadable says in the log's words that the medium doesn't give bytes back. EBADMSG is a file system's word for it.
func markUnreadable(err error) error {
	if errors.Is(err, syscall.EIO) || errors.Is(err, syscall.EBADMSG) {
		return fmt.Errorf("%w: %w", wal.ErrUnreadable, err)
	}
	return err
}

func (h *handle) Size() (int64, error) {
	info, err := h.f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Close gives the handle back. The file stays open for the next user, unless too many do.
func (h *handle) Close() error {
	d := h.fs
	d.mu.Lock()
	defer d.mu.Unlock()
	if h.users--; h.users > 0 {
		return nil
	}
	if h.users < 0 {
		panic("host: a file of the log was closed twice")
	}
	if h.gone {
		return h.f.Close()
	}
	h.idle = d.unused.PushBack(h)
	if d.unused.Len() > keepHandles {
		d.forget(d.unused.Front().Value.(*handle))
	}
	return nil
}

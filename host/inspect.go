// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"chronik/node"
	"chronik/wal"
)

// Inspected is the data folder of a broker that doesn't run, to be read and not to be written.
type Inspected struct {
	Meta
	Dir      string
	Outdated string // what the other brokers said when they refused the folder

	files *dirFS
	lock  *os.File
}

// Inspect opens a data folder. It refuses one that a process uses: what is on the disk is not all of its log.
func Inspect(dir string) (*Inspected, error) {
	m, err := readMeta(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is no data folder of a broker: %w; name the folder that `dir` says in the broker's configuration", dir, err)
	}
	if err != nil {
		return nil, err
	}
	lock, err := os.Open(filepath.Join(dir, lockName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // a copy of a folder may have none
		return nil, err
	}
	if lock != nil && errors.Is(syscall.Flock(int(lock.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK) {
		lock.Close()
		return nil, folderInUse(dir)
	}
	f := folder{dir: dir, lock: lock, meta: m}
	i := &Inspected{Meta: m, Dir: dir, lock: lock}
	if err := f.checkOutdated(); err != nil {
		i.Outdated = err.Error()
	}
	if err := f.checkLog(); err != nil {
		i.Close()
		return nil, err
	}
	d, err := os.Open(f.logDir())
	if err != nil {
		i.Close()
		return nil, err
	}
	i.files = &dirFS{path: f.logDir(), dir: d, flags: os.O_RDONLY, files: make(map[string]*handle)}
	return i, nil
}

// Close ends the inspection.
func (i *Inspected) Close() {
	if i.files != nil {
		i.files.close()
	}
	if i.lock != nil {
		i.lock.Close()
	}
}

// Verify reads the whole log as wal.Verify does. An error says what a start would say.
func (i *Inspected) Verify(progress func(done, total int)) (wal.Verified, error) {
	names, err := i.Files()
	if err != nil {
		return wal.Verified{}, err
	}
	if len(names) == 0 {
		return wal.Verified{}, nil // wal.Open would begin a log
	}
	owner := node.LogOwner(i.logCluster(), i.BrokerID, i.Folder)
	v, err := wal.Verify(i.files, wal.Options{Owner: owner}, progress)
	return v, node.ExplainForeign(owner, err)
}

// Files lists the files of the log.
func (i *Inspected) Files() ([]string, error) { return i.files.List() }

// Dump reads a file of the log as wal.Dump does.
func (i *Inspected) Dump(name string, fn func(at wal.Place, rec *wal.Record) error) (wal.SegmentHeader, int64, error) {
	names, err := i.Files()
	if err == nil && !slices.Contains(names, name) {
		err = fmt.Errorf("there is no %s in %s; there are %v", name, i.files.path, names)
	}
	if err != nil {
		return wal.SegmentHeader{}, 0, err
	}
	return wal.Dump(i.files, name, fn)
}

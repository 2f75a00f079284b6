// SPDX-License-Identifier: Apache-2.0

package wal

import "errors"

// FS is the directory that holds one broker's log. It is flat, and nothing else lives in it.
//
// The contract is POSIX's, said plainly, because the simulator breaks everything that isn't said:
// bytes written are durable after File.Sync; a created or removed name is durable after SyncDir;
// after a power loss anything not durable is there, gone, or torn at sector size (512 bytes), in
// any combination. A killed process loses nothing that it wrote.
//
// Implementations keep handles open themselves: Open of a known name must be cheap.
type FS interface {
	List() ([]string, error)          // names in the directory, sorted
	Create(name string) (File, error) // a new, empty file; fails if the name exists
	Open(name string) (File, error)   // an existing file, for reading and writing
	Remove(name string) error
	SyncDir() error
}

// File is one open file. ReadAt and WriteAt follow io.ReaderAt and io.WriterAt.
type File interface {
	ReadAt(p []byte, off int64) (int, error)
	WriteAt(p []byte, off int64) (int, error)
	Size() (int64, error)
	Sync() error // file data, and the size if it changed
	Close() error
}

// ErrNoSpace is wrapped by the errors of an FS and its Files that say: the disk is full, or this
// process may not use more of it (ENOSPC, EDQUOT).
var ErrNoSpace = errors.New("no space left on the disk")

// ErrUnreadable is wrapped by the errors of a File's ReadAt that say: the disk can't give these bytes back, now or later (EIO).
// Any other error of a read passes, as that of a process with too many open files.
var ErrUnreadable = errors.New("the disk can't read back what was written")

// ErrReadFailed is wrapped by the errors that say: a read failed for another reason than the data. It may be tried again.
var ErrReadFailed = errors.New("a read of the log failed")

// ErrCorrupt is wrapped by every error that says: these bytes were durable once and are not what
// was written. It is never answered by dropping data; the text names file, offset and what to do.
var ErrCorrupt = errors.New("log is corrupt")

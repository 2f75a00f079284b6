// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"errors"
	"hash/crc32"
)

// OpKind says what an Op does to the directory.
type OpKind uint8

const (
	OpWrite   OpKind = iota + 1 // write Data at Off in File, then sync the file: one group commit
	OpRead                      // read N bytes at Off of File
	OpPrepare                   // create File, fill N bytes with zeros, sync it, sync the directory
	OpRemove                    // remove File, sync the directory
	OpMove                      // read N bytes at Off of File, for the log itself
	OpScrub                     // read N bytes at Off of File, for the log itself (ScrubOp)
)

func (k OpKind) String() string {
	names := [...]string{"no operation", "write", "read", "prepare", "remove", "read to move", "read to scrub"}
	if int(k) < len(names) {
		return names[k]
	}
	return "unknown operation"
}

// Op is one disk operation that a Log wants done. It is plain data: the host carries it out on a
// goroutine, the simulator at a virtual time, both with Do.
//
// A Log has at most one of each kind under way, but any number of OpReads. Ops under way never touch
// the same bytes, unless both read, so the world may carry them out in any order and side by side.
type Op struct {
	ID   uint64 // unique in the life of one Log
	Kind OpKind
	File string
	Off  int64
	N    int64  // reads, OpPrepare: number of bytes; OpWrite: number of records
	Data []byte // OpWrite: must not be changed until the Result came back

	Stretches []Stretch // OpRead: what of the file is read, in order, N bytes in all; none for N bytes at Off

	// Sums are pieces of the bytes that are read (not of the file), in order, each within a stretch. Their checksums are
	// computed where the bytes are still in the processor's cache, by the world, and not by whoever takes the result.
	Sums []Stretch
	Seed uint32 // with which they begin
}

// Stretch is a piece of a file: N bytes at Off.
type Stretch struct{ Off, N int64 }

// Result is what came of one Op.
type Result struct {
	Op   Op
	Data []byte   // reads: the bytes read, owned by the receiver
	Sums []uint32 // OpRead: CRC-32C of each of Op.Sums
	Err  error
}

// zeros is what a prepared segment is filled with, a piece at a time.
var zeros [512 << 10]byte

// Do carries out one Op and blocks until it is done. It is the only code that writes a log's
// files after Open, in production and in the simulator.
func Do(fs FS, op Op) Result {
	res := Result{Op: op}
	switch op.Kind {
	case OpWrite:
		res.Err = doWrite(fs, op)
	case OpRead, OpMove, OpScrub:
		res.Data, res.Sums, res.Err = doRead(fs, op)
	case OpPrepare:
		res.Err = doPrepare(fs, op)
	case OpRemove:
		if res.Err = fs.Remove(op.File); res.Err == nil {
			res.Err = fs.SyncDir()
		}
	default:
		panic("wal: unknown operation kind")
	}
	return res
}

func doWrite(fs FS, op Op) error {
	f, err := fs.Open(op.File)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteAt(op.Data, op.Off); err != nil {
		return err
	}
	return f.Sync()
}

func doRead(fs FS, op Op) (buf []byte, sums []uint32, err error) {
	f, err := fs.Open(op.File)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	buf = make([]byte, op.N)
	if len(op.Stretches) == 0 {
		op.Stretches = []Stretch{{op.Off, op.N}}
	}
	sums = make([]uint32, 0, len(op.Sums))
	at := int64(0)
	for _, s := range op.Stretches {
		if err := readFull(f, buf[at:at+s.N], s.Off); err != nil {
			return nil, nil, err
		}
		for at += s.N; len(sums) < len(op.Sums); {
			p := op.Sums[len(sums)]
			if p.Off+p.N > at {
				break
			}
			sums = append(sums, crc32.Update(op.Seed, castagnoli, buf[p.Off:p.Off+p.N]))
		}
	}
	return buf, sums, nil
}

// readFull fills p or fails. (A ReaderAt may report io.EOF with the last byte that there is.)
func readFull(f File, p []byte, off int64) error {
	n, err := f.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	return err
}

// doPrepare leaves no file if it failed, so that a full disk isn't full because of it. (If it dies,
// Open finds a file that is too small.)
func doPrepare(fs FS, op Op) error {
	f, err := fs.Create(op.File)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := fill(f, op.N); err != nil {
		return errors.Join(err, fs.Remove(op.File), fs.SyncDir())
	}
	return fs.SyncDir()
}

// fill writes n zeros and syncs them, each piece by itself: while a device writes what one sync covers, every group
// commit beside it waits. On an SSD 64 MiB at once made them wait 120 ms, and pieces make them wait 2.
func fill(f File, n int64) error {
	for off := int64(0); off < n; off += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), n-off)], off); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
	}
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package host

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"
)

const (
	commitFile  = 64 << 20
	commitBytes = 5000 // of a group commit, as 128 callers make them
	block       = 4096
)

// BenchmarkGroupCommit measures what one group commit costs the machine, written over a file that was written before, in
// the three ways of docs/adr/0028-write-and-sync.md.
func BenchmarkGroupCommit(b *testing.B) {
	b.Run("pwrite+fdatasync", func(b *testing.B) {
		benchCommit(b, 0, func(fd int, data []byte, at int64) error {
			if _, err := syscall.Pwrite(fd, data, at); err != nil {
				return err
			}
			return syscall.Fdatasync(fd)
		})
	})
	b.Run("pwritev2(RWF_DSYNC)", func(b *testing.B) {
		const pwritev2, dsync = 328, 2 // the number is that of amd64
		benchCommit(b, 0, func(fd int, data []byte, at int64) error {
			v := syscall.Iovec{Base: &data[0], Len: uint64(len(data))}
			if _, _, errno := syscall.Syscall6(pwritev2, uintptr(fd), uintptr(unsafe.Pointer(&v)), 1, uintptr(at), 0, dsync); errno != 0 {
				return errno
			}
			return nil
		})
	})
	b.Run("O_DIRECT|O_DSYNC", func(b *testing.B) {
		array := make([]byte, 64<<10)
		skip := block - int(uintptr(unsafe.Pointer(&array[0]))%block)
		buf, tail := array[skip:skip+32<<10], 0 // tail: what the last block has already
		benchCommit(b, syscall.O_DIRECT|syscall.O_DSYNC, func(fd int, data []byte, at int64) error {
			if at == 0 {
				tail = 0
			}
			n := tail + copy(buf[tail:], data)
			whole := (n + block - 1) &^ (block - 1)
			clear(buf[n:whole])
			_, err := syscall.Pwrite(fd, buf[:whole], at-int64(tail))
			tail = copy(buf, buf[n&^(block-1):n])
			return err
		})
	})
}

func benchCommit(b *testing.B, flags int, commit func(fd int, data []byte, at int64) error) {
	path := filepath.Join(b.TempDir(), "log")
	if err := os.WriteFile(path, make([]byte, commitFile), 0o600); err != nil {
		b.Fatal(err)
	}
	syscall.Sync()
	f, err := os.OpenFile(path, os.O_RDWR|flags, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	data := make([]byte, commitBytes)
	for i := range data {
		data[i] = byte(i)
	}
	before, at := cpu(b), int64(0)
	b.ResetTimer()
	for range b.N {
		if at+commitBytes > commitFile {
			at = 0
		}
		if err := commit(int(f.Fd()), data, at); err != nil {
			b.Fatal(err)
		}
		at += commitBytes
	}
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "cpu-us/op")
}

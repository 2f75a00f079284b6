// SPDX-License-Identifier: Apache-2.0

package host

import (
	"os"
	"syscall"
)

// syncData makes what was written to f durable: its data, and its size if that changed. Linux's
// fdatasync leaves out the times, which a preallocated segment never needs.
func syncData(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var syncErr error
	err = raw.Control(func(fd uintptr) {
		for syncErr = syscall.EINTR; syncErr == syscall.EINTR; {
			syncErr = syscall.Fdatasync(int(fd))
		}
	})
	if err == nil && syncErr != nil {
		err = &os.PathError{Op: "fdatasync", Path: f.Name(), Err: syncErr}
	}
	return err
}

// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package host

import "os"

// syncData makes what was written to f durable: its data, and its size if that changed.
func syncData(f *os.File) error { return f.Sync() }

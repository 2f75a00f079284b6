// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package host

// stepAside does nothing here.
func stepAside() {}

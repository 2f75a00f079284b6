// SPDX-License-Identifier: Apache-2.0

package checker

// LogOptions say what may be demanded of a partition beyond what always holds.
type LogOptions struct {
	// MaxStaleness bounds how old a fetch's high watermark may be, in nanoseconds before the call:
	// a deposed leader may answer with what it knew. Negative: any age is legal.
	MaxStaleness int64
}

// CheckPartition judges one partition. Without a truth (nil) it checks only what observations say
// of each other.
func CheckPartition(h *History, truth *Truth, opt LogOptions) *Violation { panic("not yet") }

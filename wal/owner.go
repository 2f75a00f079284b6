// SPDX-License-Identifier: Apache-2.0

package wal

import "fmt"

// Owner is a name for whoever writes a log.
type Owner [16]byte

// ForeignError says that a file in the log's directory was written by another owner. What it holds may be whole, so
// nothing else would tell, and its votes and entries would count as this owner's.
type ForeignError struct {
	File  string
	Owner Owner
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("%s was written by another owner, %x", e.File, e.Owner)
}

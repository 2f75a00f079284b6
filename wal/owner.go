// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"fmt"
	"hash/crc32"
)

// Owner is a name for whoever writes a log.
type Owner [16]byte

// seed is what the checksums of an owner's records begin with. Clients choose what entries hold, and where a segment ended,
// Open meets what an earlier one left, from the middle of an entry on. What looks like a record there is one only to somebody
// who knows the seed. Earlier formats have none.
func (o Owner) seed(version uint32) uint32 {
	if version < seedVersion || o == (Owner{}) {
		return 0
	}
	return crc32.Checksum(o[:], castagnoli)
}

// ForeignError says that a file in the log's directory was written by another owner. What it holds may be whole, so
// nothing else would tell, and its votes and entries would count as this owner's.
type ForeignError struct {
	File  string
	Owner Owner
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("%s was written by another owner, %x", e.File, e.Owner)
}

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/fnv"

	"chronik/wal"
)

// owner names this broker and its data folder in the log itself: votes and entries of another one must not count as
// its own. 1 | broker id 3 | CRC-32C of the cluster id 4 | FNV-1a of the folder's id 8.
func (c *Config) owner() (o wal.Owner) {
	binary.BigEndian.PutUint32(o[:], uint32(c.BrokerID)|1<<24)
	binary.BigEndian.PutUint32(o[4:], crc32.Checksum([]byte(c.ClusterID), crc32.MakeTable(crc32.Castagnoli)))
	folder := fnv.New64a()
	for _, m := range c.Members {
		if m.ID == c.BrokerID {
			folder.Write([]byte(m.Folder))
		}
	}
	folder.Sum(o[8:8])
	return o
}

// explainForeign says in words whose log it is that Open refused.
func (c *Config) explainForeign(err error) error {
	e, ok := errors.AsType[*wal.ForeignError](err)
	if !ok {
		return err
	}
	self, what := c.owner(), ""
	switch b := BrokerID(binary.BigEndian.Uint32(e.Owner[:]) &^ (1 << 24)); {
	case [4]byte(e.Owner[4:]) != [4]byte(self[4:]):
		what = fmt.Sprintf("broker %d of another cluster", b)
	case b != c.BrokerID:
		what = fmt.Sprintf("broker %d", b)
	default:
		what = "this broker's id in another data folder"
	}
	return fmt.Errorf("%s in the log of broker %d was written by %s: files of different brokers or folders are mixed. "+
		"Nothing was changed. Put back the broker's own log, as a whole; if it is lost, empty the data folder and run: broker start -join -config FILE", e.File, c.BrokerID, what)
}

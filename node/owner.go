// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/fnv"

	"chronik/wal"
)

// LogOwner names a broker and its data folder in the log itself: votes and entries of another one must not count as
// its own. 1 | broker id 3 | CRC-32C of the cluster id 4 | FNV-1a of the folder's id 8.
func LogOwner(cluster string, b BrokerID, folder string) (o wal.Owner) {
	binary.BigEndian.PutUint32(o[:], uint32(b)|1<<24)
	binary.BigEndian.PutUint32(o[4:], crc32.Checksum([]byte(cluster), crc32.MakeTable(crc32.Castagnoli)))
	hash := fnv.New64a()
	hash.Write([]byte(folder))
	hash.Sum(o[8:8])
	return o
}

func (c *Config) owner() wal.Owner {
	folder := ""
	for _, m := range c.Members {
		if m.ID == c.BrokerID {
			folder = m.Folder
		}
	}
	return LogOwner(cmp.Or(c.LogCluster, c.ClusterID), c.BrokerID, folder)
}

// ExplainForeign says in words whose log it is that wal.Open refused, and what to do; any other error stays as it is.
func ExplainForeign(self wal.Owner, err error) error {
	e, ok := errors.AsType[*wal.ForeignError](err)
	if !ok {
		return err
	}
	id, what := binary.BigEndian.Uint32(self[:])&^(1<<24), ""
	switch b := BrokerID(binary.BigEndian.Uint32(e.Owner[:]) &^ (1 << 24)); {
	case [4]byte(e.Owner[4:]) != [4]byte(self[4:]):
		what = fmt.Sprintf("broker %d of another cluster", b)
	case b != BrokerID(id):
		what = fmt.Sprintf("broker %d", b)
	default:
		what = "this broker's id in another data folder"
	}
	return fmt.Errorf("%s in the log of broker %d was written by %s: files of different brokers or folders are mixed. "+
		"Nothing was changed. Put back the broker's own log, as a whole; if it is lost, empty the data folder and run: broker start -join -config FILE", e.File, id, what)
}

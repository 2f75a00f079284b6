// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"encoding/binary"
	"errors"
	"slices"
)

// A start reads more than it needs: free files, and what old bytes are left behind the end of a segment. A sector in there that can't
// be read is no reason to refuse.

// legibleBytes is how much is taken to be unreadable around a sector that is: as little as a disk may lose.
const legibleBytes = 512

// illegible is the first stretch of a file that the disk can't read.
type illegible struct {
	at  int64 // -1 if there is none
	err error
}

// readLegible does what readFrom does, with zeros for what the disk can't read: that may be old bytes that mean nothing.
func (r *recovery) readLegible(f *segmentFile, buf []byte, from, limit int64) ([]byte, illegible, error) {
	bad := illegible{at: -1}
	data, err := r.readFrom(f, buf, from, limit)
	if !errors.Is(err, ErrUnreadable) {
		return data, bad, err
	}
	n := min(limit, f.slot.size-from)
	data = slices.Grow(buf[:0], int(n))[:n]
	for at := int64(0); at < n; {
		piece := data[at:min(n, at+legibleBytes-(from+at)%legibleBytes)] // a sector, or what is wanted of one
		_, err := r.readFrom(f, piece, from+at, int64(len(piece)))
		switch {
		case errors.Is(err, ErrUnreadable):
			if clear(piece); bad.at < 0 {
				bad = illegible{from + at, err}
			}
		case err != nil:
			return nil, bad, err
		}
		at += int64(len(piece))
	}
	return data, bad, nil
}

// recordThere returns how many bytes the record has that b seems to begin with, whether or not it is whole.
func recordThere(b []byte) int64 {
	if len(b) < recordHead || b[28] == 0 {
		return recordHead
	}
	return int64(recordBytes(int(binary.LittleEndian.Uint32(b[4:]))))
}

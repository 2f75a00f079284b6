// SPDX-License-Identifier: Apache-2.0

package host

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
)

// Brokers of different releases talk to each other (ADR 25). A dialer names the lowest and the highest version of the peer protocol that it
// speaks. The listener chooses the highest that both speak, and its answer names that. What is the same in all versions, so that a refusal
// can be read: the hello, the challenge, the response and the answer. What differs by version are the frames behind them.
//
//	10  what a broker of the first release speaks: it names this version alone, and takes no other
//	11  the head of a frame has a checksum of its own, so that a damaged length isn't believed until its data should have come

// versions are those of the peer protocol that a broker speaks.
type versions struct{ lowest, highest uint16 }

// peerVersions are those of this release. A release may leave out one that no release speaks alone that can still be upgraded from.
var peerVersions = versions{10, 11}

const (
	sameHello    = 10 // since this version the parts that can't change are what they are
	checkedHeads = 11
)

// PeerVersions says which versions of the peer protocol this release speaks.
func PeerVersions() string { return peerVersions.String() }

func (v versions) String() string {
	if v.lowest == v.highest {
		return fmt.Sprintf("version %d", v.lowest)
	}
	return fmt.Sprintf("versions %d to %d", v.lowest, v.highest)
}

func (v versions) has(version uint16) bool { return v.lowest <= version && version <= v.highest }

// common is the version that two brokers use; false if there is none.
func (v versions) common(other versions) (uint16, bool) {
	best := min(v.highest, other.highest)
	return best, v.has(best) && other.has(best)
}

// strange says to another broker that there is no version in common.
func (v versions) strange(other versions) string {
	if other.highest < v.lowest {
		return fmt.Sprintf("you speak %v of the peer protocol, this broker %v: your release is too old. "+
			"Start this broker's release there, with the same data folder, or one between the two", other, v)
	}
	return fmt.Sprintf("you speak %v of the peer protocol, this broker %v: your release is too new. "+
		"Start the release before it there again, and upgrade all brokers first to one between the two, which speaks a version of each", other, v)
}

// A broker of version 10 checks that the hello says 10 and has no byte too much. So the highest version stands where such a
// broker looks for nothing but chance: in the last bytes of the dialer's random number, behind a mark.
const (
	spokenMark = "CHRKto"
	spokenAt   = nonceBytes - 2 - len(spokenMark)
)

// tell notes the highest version that the dialer speaks.
func (n *nonce) tell(highest uint16) {
	copy(n[spokenAt:], spokenMark)
	binary.BigEndian.PutUint16(n[nonceBytes-2:], highest)
}

// told is which versions a dialer speaks whose hello names the lowest.
func (n *nonce) told(lowest uint16) versions {
	highest := binary.BigEndian.Uint16(n[nonceBytes-2:])
	if string(n[spokenAt:nonceBytes-2]) != spokenMark || highest < lowest {
		return versions{lowest, lowest}
	}
	return versions{lowest, highest}
}

// headBytes are those before a frame's data.
func headBytes(version uint16) int {
	if version >= checkedHeads {
		return 12
	}
	return 8
}

// frameHead is what stands before a frame's data.
type frameHead struct{ size, sum uint32 }

// headSum covers the head itself.
func (h frameHead) headSum() uint32 {
	var b [8]byte
	binary.BigEndian.PutUint32(b[:], h.size)
	binary.BigEndian.PutUint32(b[4:], h.sum)
	return crc32.Checksum(b[:], castagnoli)
}

func readHead(r io.Reader, version uint16) (frameHead, error) {
	var b [12]byte
	if _, err := io.ReadFull(r, b[:headBytes(version)]); err != nil {
		return frameHead{}, err
	}
	h := frameHead{binary.BigEndian.Uint32(b[:]), binary.BigEndian.Uint32(b[4:])}
	if version >= checkedHeads && h.headSum() != binary.BigEndian.Uint32(b[8:]) {
		return h, errHead
	}
	return h, nil
}

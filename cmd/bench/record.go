// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"time"
)

// A record's value is a stamp and a filling that follows from it, so whoever reads a record knows
// who wrote it, when, and whether each byte is right. All numbers are big-endian:
//
//	0   4  "bnch"
//	4   4  producer, from 0
//	8   8  run: drawn for each step
//	16  8  sequence number, from 0 per run and producer
//	24  8  when it was due, Unix time in ns
//	32     filling
const (
	magic          = "bnch"
	stampSize      = 32
	maxMessageSize = 64 << 20
)

// stamp identifies a record.
type stamp struct {
	run      uint64
	producer uint32
	seq      uint64
	due      int64 // Unix time, ns
}

var (
	errForeign = errors.New("not a record of this program")
	errDamaged = errors.New("the filling is not the one that was written")
)

// value returns a record's value of size bytes.
func (s stamp) value(size int) []byte {
	v := make([]byte, size)
	copy(v, magic)
	binary.BigEndian.PutUint32(v[4:], s.producer)
	binary.BigEndian.PutUint64(v[8:], s.run)
	binary.BigEndian.PutUint64(v[16:], s.seq)
	binary.BigEndian.PutUint64(v[24:], uint64(s.due))
	rest := v[stampSize:]
	for at := s.fillingAt(); len(rest) > 0; at = 0 {
		rest = rest[copy(rest, filling[at:]):]
	}
	return v
}

// parseStamp returns errForeign or errDamaged; with errDamaged the stamp is what it claims to be.
func parseStamp(value []byte) (stamp, error) {
	if len(value) < stampSize || string(value[:4]) != magic {
		return stamp{}, errForeign
	}
	s := stamp{
		producer: binary.BigEndian.Uint32(value[4:]),
		run:      binary.BigEndian.Uint64(value[8:]),
		seq:      binary.BigEndian.Uint64(value[16:]),
		due:      int64(binary.BigEndian.Uint64(value[24:])),
	}
	rest := value[stampSize:]
	for at := s.fillingAt(); len(rest) > 0; at = 0 {
		n := min(len(rest), len(filling)-at)
		if !bytes.Equal(rest[:n], filling[at:at+n]) {
			return s, errDamaged
		}
		rest = rest[n:]
	}
	return s, nil
}

// fillingAt says where in filling a record's begins: neighbours differ, or compression would be
// too easy.
func (s stamp) fillingAt() int {
	return int((s.seq*4099 + uint64(s.producer)*65537) % uint64(len(filling)))
}

// filling is 1 MiB of the 64 letters of base64, drawn from a fixed seed: other processes must
// find the same.
var filling = makeFilling()

func makeFilling() []byte {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	rng := rand.NewPCG(1, 1)
	b := make([]byte, 1<<20)
	for i := 0; i < len(b); i += 8 {
		draw := rng.Uint64()
		for j := range 8 {
			b[i+j] = letters[draw>>(8*j)%64]
		}
	}
	return b
}

// The clock of stamps is the monotonic one, set to Unix time once: a wall clock that jumps during
// a run spoils no latency.
var processStart = time.Now()

func unixNanos(t time.Time) int64 { return processStart.UnixNano() + int64(t.Sub(processStart)) }

func fromUnixNanos(ns int64) time.Time {
	return processStart.Add(time.Duration(ns - processStart.UnixNano()))
}

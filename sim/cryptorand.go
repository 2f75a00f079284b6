// SPDX-License-Identifier: Apache-2.0

package sim

import (
	//det:ok this is the file that replaces the reader that raft draws from by a keyed one
	"crypto/rand"
	"encoding/binary"
	"io"

	"chronik/sim/keyed"
)

// The raft library draws its election timeouts from crypto/rand.Reader, a process global. During a
// run it is this reader, so the same code runs in production with real randomness and here with a
// seed. This file is the only place that touches it, and the reason that a process runs one
// simulation at a time.

// raftRandom is a reader whose bytes are keyed by (seed, broker, incarnation, counter): one more
// election at a broker shifts no draw of another.
type raftRandom struct {
	seed    keyed.Seed
	who     uint64
	counter uint64
	inTurn  bool   // a broker is being stepped or opened
	draws   uint64 // of the whole run
}

// install puts r into crypto/rand and returns how to take it out again.
func (r *raftRandom) install() (restore func()) {
	if _, ok := rand.Reader.(*raftRandom); ok {
		panic("a simulation is already running in this process; run one at a time")
	}
	old := rand.Reader
	rand.Reader = io.Reader(r)
	return func() { rand.Reader = old }
}

// turn begins b's turn: draws belong to it until done.
func (r *raftRandom) turn(b *broker) {
	r.who, r.counter, r.inTurn = keyed.Pair(b.number, int(b.incarnation)), b.raftDraws, true
}

func (r *raftRandom) done(b *broker) { b.raftDraws, r.inTurn = r.counter, false }

// Read implements io.Reader. It never fails: the raft library ignores the error.
func (r *raftRandom) Read(p []byte) (int, error) {
	if !r.inTurn {
		panic("crypto/rand was read outside a broker's turn: the run would depend on it")
	}
	var word [8]byte
	for n := 0; n < len(p); n += len(word) {
		r.counter++
		r.draws++
		binary.LittleEndian.PutUint64(word[:], uint64(r.seed.Draw(domainRaft, r.who, r.counter)))
		copy(p[n:], word[:])
	}
	return len(p), nil
}

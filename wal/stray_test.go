// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestStraysOfAnyContent looks for records in what a file of the log may hold that is free, such as compressed records. That a
// third of all places could be a record must not cost a checksum over megabytes for each of them.
func TestStraysOfAnyContent(t *testing.T) {
	const size, end = 64 << 20, 300 << 20
	data := make([]byte, size)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(data)
	begin := time.Now()
	if at := findRecord(data, 0, end, 0, false); at >= 0 {
		t.Errorf("there is a record at %d", at)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

// SPDX-License-Identifier: Apache-2.0

package wal

import "fmt"

// A log is told what to keep, says which disk operations make it durable, and is told what came of them. Here the
// directory is one in memory; package host has a real one.
func Example() {
	dir := newDisk()
	log, _, err := Open(dir, Options{SegmentBytes: 1 << 20})
	if err != nil {
		fmt.Println(err)
		return
	}
	log.Append(7, []Entry{{Index: 1, Term: 1, Kind: 1, Data: []byte("hello")}})
	log.SetCommit(7, 1)
	log.RequestSync() // somebody waits for it
	for {
		op, more := log.Next() // one write and one sync for all that was buffered
		if !more {
			break
		}
		if err := log.Done(Do(dir, op)); err != nil {
			fmt.Println(err)
			return
		}
	}

	dir.powerLoss()
	log, report, err := Open(dir, Options{SegmentBytes: 1 << 20})
	if err != nil {
		fmt.Println(err)
		return
	}
	read, err := log.Read(7, 1, 2, 1<<20)
	if err != nil {
		fmt.Println(err)
		return
	}
	entries, err := log.Entries(7, 1, Do(dir, read))
	fmt.Println(report.Entries, "entry:", string(entries[0].Data), err)
	// Output: 1 entry: hello <nil>
}

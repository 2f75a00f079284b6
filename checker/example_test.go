// SPDX-License-Identifier: Apache-2.0

package checker_test

import (
	"fmt"

	"chronik/checker"
)

// A client was told that its record has offset 0. A client that begins to read after that is told that
// the partition is empty. No order of the two calls explains both answers.
func ExampleCheckPartition() {
	history := &checker.History{
		Partition: "orders-0",
		Produces: []checker.Produce{{
			Span:    checker.Span{Client: 1, Call: 10, Return: 20},
			Outcome: checker.OK, Values: []checker.RecordID{41}, BaseOffset: 0,
		}},
		Ends: []checker.End{{Span: checker.Span{Client: 2, Call: 30, Return: 40}, Offset: 0}},
	}
	truth := &checker.Truth{Records: []checker.Record{{Offset: 0, Value: 41, LeaderEpoch: 1}}}
	fmt.Println(checker.CheckPartition(history, truth, checker.LogOptions{}).Check)
	// Output: not-linearizable
}

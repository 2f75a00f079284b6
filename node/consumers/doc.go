// SPDX-License-Identifier: Apache-2.0

// Package consumers finds out which member of a consumer group of the new protocol (KIP-848) gets which partitions. That
// takes long when there are many, so it is done in pieces by tasks of the world, beside the loop of the broker: nothing
// here can reach anything of it.
//
// Files: assignment.go sets of partitions and the assignors; assigner.go from subscriptions to targets, piece by piece;
// pattern.go regular expressions of topics' names.
package consumers

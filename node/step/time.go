// SPDX-License-Identifier: Apache-2.0

package step

import "time"

// Time is a number of nanoseconds on the world's monotonic clock. A node never reads a clock.
type Time int64

// Add returns the time d after t.
func (t Time) Add(d time.Duration) Time { return t + Time(d) }

// Sub returns how long t is after u.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t - u) }

// Never is later than any other time.
const Never = Time(1<<63 - 1)

// ConnID names a client connection. A world never uses one twice in the life of a node.
type ConnID uint64

// BrokerID is Kafka's broker id (node_id), at least 0 and at most 65535.
type BrokerID int32

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
)

// comparison is several peers beside each other.
type comparison struct {
	out     io.Writer
	results []compared
}

// compared is what one measurement found.
type compared struct {
	peer, shape string
	round       int
	perSecond   float64
	latency     map[string]float64 // in ms, by percentile
	cpu         float64            // us of the servers per message
	rss         int64              // bytes, of the largest server
	err         error
}

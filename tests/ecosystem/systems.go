// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
)

// system is one row.
type system struct {
	name  string
	setup func(ctx context.Context, b *bench) (*installed, error) // its error says why it can't be had
}

// installed is a system that can be asked.
type installed struct {
	version string
	checks  []check
}

func systems() []system {
	return []system{
		{"kcl", kcl},
		{"kaf", kaf},
		{"kafkactl", kafkactl},
		{"topicctl", topicctl},
		{"kafka_exporter", kafkaExporter},
		{"kminion", kminion},
	}
}

// piece is how many values are written at once.
const piece = 300

// check is one cell of the table.
type check struct {
	column string
	do     func(ctx context.Context) error
}

// SPDX-License-Identifier: Apache-2.0

package main

// shape is a load that is compared.
type shape struct {
	name  string
	args  []string // of bench
	nats  []string // of tests/peers/nats; none: this load has no counterpart there
	reads string   // the shape whose records it reads; empty if it writes
}

func writer(topic, partitions string, args ...string) []string {
	return append([]string{"produce", "--topic", topic, "--partitions", partitions, "--replication-factor", "3", "--validate"}, args...)
}

func transactions(topic, clients string) []string {
	return writer(topic, "12", "--concurrency", clients, "--transactional-id", topic, "--transaction-records", "10")
}

// The records have 256 bytes. Each writes to a topic of its own.
var shapes = []shape{
	{name: "lone producer", args: writer("lone", "12", "--concurrency", "1"), nats: []string{"-clients", "1"}},
	{name: "128 callers", args: writer("callers", "12", "--concurrency", "128")},
	{name: "128 callers, 1 partition", args: writer("single", "1", "--concurrency", "128")},
	{name: "128 callers, 100 partitions", args: writer("hundred", "100", "--concurrency", "128")},
	{name: "128 clients", args: writer("clients", "12", "--concurrency", "128", "--clients", "own"), nats: []string{"-clients", "128"}},
	{name: "8 asynchronous", args: writer("async", "12", "--concurrency", "8", "--clients", "own", "--async", "256"), nats: []string{"-clients", "8", "-async", "256"}},
	{name: "transactions of 10, one client", args: transactions("txn1", "1")},
	{name: "transactions of 10, 16 clients", args: transactions("txn16", "16")},
	{name: "one consumer", args: []string{"consume", "--topic", "async", "--concurrency", "1"}, reads: "8 asynchronous"},
	{name: "three consumers", args: []string{"consume", "--topic", "async", "--concurrency", "3"}, reads: "8 asynchronous"},
}

func shapeNames() (names []string) {
	for _, s := range shapes {
		names = append(names, s.name)
	}
	return names
}

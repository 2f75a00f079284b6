// SPDX-License-Identifier: Apache-2.0

package main

var scenarios = []*scenario{
	{
		name: "catch-up-cut", what: "a broker is cut off from the others, far beyond what they keep in memory, and catches up",
		run: catchUp(cutOff, heal),
	},
	{
		name: "catch-up-stopped", what: "the same with SIGSTOP",
		longOnly: true,
		run:      catchUp(pause3, resume3),
	},
	{
		name: "catch-up-crashed", what: "the same with SIGKILL in the middle of writing",
		longOnly: true,
		run:      catchUp(kill3, restart3),
	},
	{
		name: "behind-retention", what: "a broker is cut off for longer than the records are kept that it lacks",
		settings: map[string]string{"checkpoint_entries": "10", "retain_entries": "5"},
		run:      behindRetention,
	},
	{
		name: "leader-cut", what: "the leader is cut off from a minority, from a majority, and one-way",
		run: leaderCut,
	},
	{
		name: "leader-paused", what: "the leader is frozen with SIGSTOP",
		longOnly: true,
		run:      leaderPaused,
	},
	{
		name: "flapping", what: "links fail and heal, connections break",
		longOnly: true,
		run:      flapping,
	},
	{
		name: "transfers", what: "leadership moves around",
		inOrder:  true,
		longOnly: true,
		run:      transfers,
	},
	{
		name: "rolling-restart", what: "all brokers are stopped in order and started, one after the other",
		inOrder: true,
		run:     rollingRestart,
	},
	{
		name: "all-killed", what: "all brokers are killed at once",
		run: killAll,
	},
	{
		name: "grow-and-shrink", what: "three brokers become five, everything moves, and they become three again",
		run: growAndShrink,
	},
	{
		name: "disk-lost", what: "a broker loses its disk and comes back as a new replica",
		run: loseDisk,
	},
	{
		name: "disk-full", what: "a broker that leads runs out of space, and gets some again",
		settings:   map[string]string{"segment_bytes": "1048576"},
		recordSize: 2000,
		before:     smallDisk,
		run:        fullDisk,
	},
	{
		name: "disks-full", what: "the disks of all brokers are full, and an administrator makes room",
		settings: map[string]string{"segment_bytes": "2097152", "checkpoint_bytes": "2097152", "retain_entries": "10"},
		ownLoad:  true,
		uncut:    true,
		longOnly: true,
		before:   smallDisks,
		run:      allDisksFull,
	},
	{
		name: "late-deletion", what: "a deletion that timed out on a broker that is stopped then must not reach the topic that is made again",
		ownLoad: true,
		uncut:   true,
		run:     lateDeletion,
	},
	{
		name: "start-up", what: "a broker alone with a log of 10 GB is stopped, killed, and started",
		settings: map[string]string{"segment_bytes": "67108864", "raft_log_retention": "10000", "cache_bytes": "16777216"}, // the defaults
		brokers:  1,
		longOnly: true,
		ownLoad:  true,
		run:      startUp,
	},
	{
		name: "many-producers", what: "400,000 idempotent producers write once each: memory, the longest step, the time of a start",
		settings: map[string]string{"segment_bytes": "67108864"}, // the default
		longOnly: true,
		ownLoad:  true,
		uncut:    true,
		run:      manyProducers,
	},
	{
		name: "cold-reads", what: "a follower 1 GB behind and a consumer from the start read, a producer's p99 stays",
		settings: map[string]string{"segment_bytes": "67108864", "raft_log_retention": "10000", "cache_bytes": "16777216"},
		longOnly: true,
		ownLoad:  true,
		uncut:    true,
		aside:    map[int]map[string]string{3: {"hot_bytes": "16777216"}}, // or its growing heap stalls the virtual machine
		before:   ownDisk,
		run:      coldReads,
	},
}

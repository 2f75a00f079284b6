// SPDX-License-Identifier: Apache-2.0

// Package sim is a world in a seed: brokers (package node, the production code), their disks, the
// network between them, clients that speak Kafka bytes, and a plan of faults, all in one thread
// under one virtual clock. The same plan and commit give the same trace hash in any process on any
// machine.
//
// Reading order: plan.go (what a run is told), world.go (the loop), broker.go and crash.go,
// disk.go, network.go and conn.go (what they inject and what never), client.go with produce.go and
// consume.go, faults.go, judge.go and liveness.go (what is demanded), generate.go (from a seed to a
// plan). docs/SIMULATOR.md says how to use it.
package sim

// SPDX-License-Identifier: Apache-2.0

// Package sim simulates a cluster from a seed: brokers (package node, the production code), their disks,
// the network between them, clients that speak Kafka's bytes, and a plan of faults. Everything runs in
// one thread under one virtual clock. The same plan at the same commit gives the same trace hash in any
// process on any machine.
//
// Reading order: plan.go (the input of a run), world.go (the loop), broker.go and crash.go, then disk.go,
// network.go and conn.go (what each injects, and what never), client.go with produce.go and consume.go,
// faults.go, judge.go and liveness.go (what must hold), generate.go (from a seed to a plan).
// docs/SIMULATOR.md says how to use it.
package sim

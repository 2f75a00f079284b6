// SPDX-License-Identifier: Apache-2.0

// Package sim simulates a cluster from a seed: brokers (package node, the production code), their disks,
// the network between them, clients that speak Kafka's bytes, and a plan of faults. Everything runs in
// one thread under one virtual clock. The same plan at the same commit gives the same trace hash in any
// process on any machine.
//
// Reading order: package plan (the input of a run, and how a seed becomes one), world.go (the loop), step.go, broker.go and
// crash.go, then disk.go with file.go, network.go and conn.go (what each injects, and what never), client.go with metadata.go,
// produce.go, consume.go, joint.go and versions.go, ask.go with ask_*.go (single requests), txn.go with txn_*.go (transactions), faults.go, wrong.go, judge.go, and liveness.go with quorum.go, verify.go, quiz.go and
// converge.go (what must hold), and empty.go with idle.go (what must be gone in the end, and must not be done).
// Package matrix counts what clients asked and were answered.
// Package keyed draws all that is left to chance.
// docs/SIMULATOR.md says how to use it.
package sim

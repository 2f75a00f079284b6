// SPDX-License-Identifier: Apache-2.0

// Package node is one broker as a function: Open it on a directory, then call Step with what
// happened, and carry out what Step returns. It has no goroutine, lock, clock or random source, so the
// same code runs in production (package host) and in the simulator (package sim).
//
// A partition is a raft group, and its raft log is its record log. Group 0 is the catalog of topics.
// All groups of a broker share one write-ahead log, and so one fsync. The path of a record:
// handleProduce checks the batch and proposes it (api_produce.go). The group hands it to raft and to
// the log (proposal.go, group.go). The disk and a majority of the brokers answer. Then apply gives the
// record its offset (records.append in records.go), and the client its answer (group.complete in proposal.go).
//
// # Rooms
//
// Packages below this one know nothing about a broker, and can't:
//
//	step       time, ids, deadlines, asserts
//	consumers  which member of a consumer group gets which partitions
//	txn        what a coordinator of transactions knows, and how that changes
//	acl        who may do what by which rules
//	quota      how much a client may do, and how long it waits after more
//	sasl       logins, as bytes of a client and bytes for it
//
// A room is a set of files about one subject. The files of this package, room by room:
//
//	a step          node.go io.go open.go config.go config_ranges.go reads.go clock.go task.go work.go
//	                background.go breaks.go start.go rival.go owner.go ending.go event.go level.go level_trial.go
//	a request       api.go conn.go listeners.go login.go login_bearer.go lookup.go waits.go rota.go large.go answers.go arrival.go
//	                search.go kept.go authorize.go rights.go refusals.go audit.go told_errors.go throttle.go api_*.go (an API, or a few that are one subject such as ACLs; Fetch has
//	                two), fetch_session.go, config_defs.go topic_configs.go broker_configs.go group_configs.go loggers.go
//	a raft group    group.go recovery.go proposal.go election.go terms.go pipeline.go logview.go cold.go
//	                cold_cache.go cold_wait.go hot.go pace.go read_index.go replicas.go insync.go quiet.go tick.go checkpoint.go
//	                saving.go snapshot.go snapshot_places.go raftlog.go
//	other brokers   peers.go envelope.go message_check.go cluster.go founding.go removal.go waiting.go
//	                request_end.go
//	a partition     partition.go marker.go isolation.go retention.go timestamps.go compaction.go packing.go voids.go; its state,
//	                which knows nothing of a broker: records.go records_age.go partition_state.go spans.go
//	                sparse.go producer.go producers.go records_txn.go records_check.go
//	                codec.go
//	the catalog     catalog.go catalog_commands.go command.go command_check.go command_queue.go
//	                catalog_state.go configured.go rules.go users.go quotas.go topic_ids.go placement.go
//	                placing.go machines.go machine_voters.go
//	                limits.go departure.go
//	consumer groups coordinator.go consumer_*.go
//	transactions    transactions.go transactions_*.go txn_verify.go produce_txn.go
//	the disk        space.go admission.go damage.go
//	mending         mend.go mend_plan.go mend_apply.go
//	for people      describe*.go stats.go inspect.go held.go overdue.go leftovers.go
//	what is noted   check.go check_*.go (is it what it stands for? Each type's own method check)
//
// For some rooms a test checks what they may use of the others (TestRooms, ADR 12).
//
// A *group* is a raft group, unless the text says consumer group.
package node

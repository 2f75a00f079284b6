// SPDX-License-Identifier: Apache-2.0

package host

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"chronik/node"
)

// answerTime is how long a question may wait for the loop. The loop steps at every tick (50 ms), so
// one that takes longer is stuck in a step.
const answerTime = time.Second

// view is what the loop tells when metrics are read, all of it between the same two steps if the groups are few.
type view struct {
	node.Stats
	events    [node.EventKinds]uint64
	elections uint64
	longest   time.Duration
	over      uint64
}

// look asks the loop for a view; false if it doesn't answer.
func (h *Host) look() (view, bool) {
	var v view
	var groups []node.GroupID
	add := func(n *node.Node) {
		part := groups[:min(len(groups), groupsAtOnce)]
		groups = groups[len(part):]
		n.AddGroups(&v.Stats, part)
	}
	ok := h.metrics.ask(answerTime, func(n *node.Node) {
		v = view{n.StatsOfBroker(), h.loop.events.counts, h.metrics.elections, h.loop.longest, h.loop.over}
		groups = n.Groups()
		add(n)
	})
	for ok && len(groups) > 0 {
		ok = h.metrics.ask(answerTime, add)
	}
	return v, ok
}

// series makes metrics out of values that are read when somebody asks for them.
type series chan<- prometheus.Metric

// add gives one series. A metric whose name ends with _total is a counter, any other a gauge; labels
// are names and values in turn.
func (s series) add(name, help string, value float64, labels ...string) {
	var names, values []string
	for i := 0; i < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, labels[i+1])
	}
	kind := prometheus.GaugeValue
	if strings.HasSuffix(name, "_total") {
		kind = prometheus.CounterValue
	}
	s <- prometheus.MustNewConstMetric(prometheus.NewDesc("chronik_"+name, help, names, nil), kind, value, values...)
}

// Describe implements prometheus.Collector. It tells nothing, which the library takes for "see
// Collect".
func (h *Host) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector. While the loop recovers or is stuck, what only it knows is
// left out rather than guessed.
func (h *Host) Collect(to chan<- prometheus.Metric) {
	s := series(to)
	meta := h.folder.meta
	s.add("broker_info", "1; the labels say which broker this is.", 1, "cluster", meta.ClusterID, "broker", decimal(meta.BrokerID))
	h.collectClients(s)
	h.collectPeers(s)
	h.collectDisk(s)
	requests, messages, results := h.mail.depth()
	const depth = "What waits for the loop's next step."
	s.add("mailbox_items", depth, float64(requests), "kind", "request")
	s.add("mailbox_items", depth, float64(messages), "kind", "message")
	s.add("mailbox_items", depth, float64(results), "kind", "result")
	for _, c := range h.certificates() {
		s.add("certificate_expires_seconds", "Time until the certificate of a port, or one of those between it and its authority, expires; below 0 it has.", time.Until(c.until()).Seconds(), "port", c.port)
	}
	v, ok := h.look()
	s.add("loop_answers", "1 if the loop came to the end of a step within a second when asked for these metrics. "+
		"If not, it recovers or is stuck, and what only it knows is left out.", number(ok))
	s.add("ready", "1 if this broker is registered in the catalog and serves.", number(ok && v.Ready))
	if !ok {
		return
	}
	s.add("step_longest_seconds", "The longest step since the start; answering for these metrics is part of a step.", v.longest.Seconds())
	s.add("steps_over_budget_total", "Steps that did more work than a step may; a bug.", float64(v.over))
	collectEvents(s, &v)
	collectGroups(s, "catalog", &v.Catalog)
	collectGroups(s, "partitions", &v.Partitions)
	collectFollowers(s, v.Followers)
	collectEntries(s, &v)
	collectSnapshots(s, &v)
}

func (h *Host) collectClients(s series) {
	m := h.clients.meter
	open, requests := h.clients.open()
	s.add("client_connections", "Client connections that are open.", float64(open))
	s.add("client_connections_total", "Client connections that were taken.", float64(m.accepted.Load()))
	s.add("client_connections_refused_total", "Client connections that were closed at once because there were max_connections already.", float64(m.overfull.Load()))
	s.add("client_received_bytes_total", "Bytes of requests.", float64(m.bytesIn.Load()))
	s.add("client_sent_bytes_total", "Bytes of answers.", float64(m.bytesOut.Load()))
	s.add("client_inflight_requests", "Requests that are read and not answered.", float64(requests))
	s.add("client_inflight_bytes", "Bytes of requests that are read, or being read, and not answered.", float64(h.clients.small.inUse()+h.clients.large.inUse()))
	s.add("client_unread_bytes", "Bytes of answers that clients have not taken yet.", float64(h.clients.unread.Load()))
	s.add("client_inflight_limit_bytes", "Above so many no client is read from (setting inflight_bytes).", float64(h.clients.limits.RequestBytes))
	for i, api := range m.names {
		s.add("requests_total", "Requests by kind.", float64(m.received[i].Load()), "api", api)
	}
}

func (h *Host) collectPeers(s series) {
	for _, l := range h.peers.all() {
		peer := decimal(l.to)
		l.mu.Lock()
		connected, dropped := l.connected, l.dropped
		l.mu.Unlock()
		s.add("peer_connected", "1 if there is a connection to that broker to send on.", number(connected), "peer", peer)
		s.add("peer_sent_bytes_total", "Bytes sent to that broker.", float64(l.sent.Load()), "peer", peer)
		s.add("peer_received_bytes_total", "Bytes received from that broker.", float64(l.received.Load()), "peer", peer)
		s.add("peer_dropped_envelopes_total", "Envelopes dropped because too many waited for that broker; raft sends again.", float64(dropped), "peer", peer)
	}
}

// collectDisk leaves out what can't be read; another metric or the broker's end will say more.
func (h *Host) collectDisk(s series) {
	if files, err := os.ReadDir(h.folder.logDir()); err == nil {
		size := int64(0)
		for _, f := range files {
			if info, err := os.Stat(filepath.Join(h.folder.logDir(), f.Name())); err == nil {
				size += info.Size() // one that was removed meanwhile has none
			}
		}
		s.add("log_files", "Files in the log's folder, those that are ready for later included.", float64(len(files)))
		s.add("log_size_bytes", "Size of the files in the log's folder.", float64(size))
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(h.folder.dir, &fs); err == nil {
		s.add("disk_free_bytes", "What this process may still write on the data folder's file system.", float64(fs.Bavail)*float64(fs.Bsize))
		s.add("disk_size_bytes", "Size of the data folder's file system.", float64(fs.Blocks)*float64(fs.Bsize))
	}
}

// collectEvents gives the events that have a metric of their own, and then all by name.
func collectEvents(s series, v *view) {
	count := func(k node.EventKind) float64 { return float64(v.events[k]) }
	s.add("raft_wal_fallback_total", "Reads of log entries from the log's files because they were not in memory, those ahead of a reader included.", count(node.EventColdRead))
	s.add("raft_elections_total", "Elections that this broker called (it voted for itself; pre-votes don't count).", float64(v.elections))
	const changes = "Groups whose leadership this broker gained or lost. The gains of all brokers together are the changes of leader."
	s.add("raft_leader_changes_total", changes, count(node.EventBecameLeader), "change", "gained")
	s.add("raft_leader_changes_total", changes, count(node.EventLostLeadership), "change", "lost")
	s.add("duplicate_batches_total", "Batches that an idempotent producer sent again and that were answered with their first offset.", count(node.EventDuplicateBatch))
	for k := node.EventInvalid + 1; k < node.EventKinds; k++ {
		s.add("events_total", "Events of the node, by kind.", count(k), "event", strings.ReplaceAll(k.String(), " ", "_"))
	}
}

func collectSnapshots(s series, v *view) {
	count := func(k node.EventKind) float64 { return float64(v.events[k]) }
	const snapshots = "Checkpoints of a group's state that were made here, that a follower was told to fetch, and that were fetched from a leader and took the place of this broker's log."
	s.add("raft_snapshots_total", snapshots, count(node.EventCheckpoint), "what", "made")
	s.add("raft_snapshots_total", snapshots, count(node.EventSnapshotSent), "what", "sent")
	s.add("raft_snapshots_total", snapshots, count(node.EventSnapshotInstalled), "what", "installed")
	const bytes = "Bytes of checkpoints, compressed: made here, given to followers, and got from leaders, whether or not they were installed."
	s.add("raft_snapshot_bytes_total", bytes, float64(v.CheckpointBytes), "what", "made")
	s.add("raft_snapshot_bytes_total", bytes, float64(v.SnapshotSentBytes), "what", "sent")
	s.add("raft_snapshot_bytes_total", bytes, float64(v.SnapshotGotBytes), "what", "got")
	const active = "Checkpoints under way to followers and from leaders."
	s.add("raft_snapshots_active", active, float64(v.SnapshotsOut), "direction", "out")
	s.add("raft_snapshots_active", active, float64(v.SnapshotsIn), "direction", "in")
}

func collectGroups(s series, groups string, g *node.GroupStats) {
	add := func(name, help string, value float64) { s.add(name, help, value, "groups", groups) }
	add("raft_groups", "Groups of which this broker has a replica.", float64(g.Groups))
	add("raft_groups_leading", "Groups that this broker leads.", float64(g.Leading))
	add("raft_groups_leaderless", "Groups of which this broker has a replica and knows no leader.", float64(g.Leaderless))
	add("raft_groups_out_of_sync", "Groups that this broker leads and of which some replica isn't in sync.", float64(g.OutOfSync))
	add("raft_groups_two_replicas", "Groups that this broker leads and that have two replicas: they stop when either of their brokers does.", float64(g.TwoLegged))
	add("raft_groups_on_one_machine", "Groups that this broker leads and that have two voters on one machine: both die with it. Move one of them.", float64(g.Crowded))
	add("raft_term", "The highest term of the groups of which this broker has a replica.", float64(g.MaxTerm))
	add("raft_commit_lag_entries_max", "Entries in this broker's log that are not known to be committed: the most of one group.", float64(g.CommitLag.Max))
	add("raft_commit_lag_entries_sum", "Entries in this broker's log that are not known to be committed, of all groups.", float64(g.CommitLag.Sum))
	add("raft_apply_lag_entries_max", "Committed entries that are not applied: the most of one group.", float64(g.ApplyLag.Max))
	add("raft_apply_lag_entries_sum", "Committed entries that are not applied, of all groups.", float64(g.ApplyLag.Sum))
	add("raft_proposals", "Writes of clients that wait to be committed.", float64(g.Proposals))
	add("transactions_ongoing", "Transactions that this broker coordinates and that nobody has ended.", float64(g.Ongoing))
	add("transactions_deciding", "Transactions that this broker coordinates and that are decided, and of which some partition hasn't acknowledged that. If some stay, a partition has no leader.", float64(g.Deciding))
	const oldest = "For how long the oldest transaction that this broker coordinates has been ongoing, or decided without the acknowledgement of some partition; 0 if there is none."
	s.add("transactions_oldest_seconds", oldest, g.OldestOngoing.Seconds(), "groups", groups, "state", "ongoing")
	s.add("transactions_oldest_seconds", oldest, g.OldestDeciding.Seconds(), "groups", groups, "state", "deciding")
	add("fetches_parked", "Fetches that wait for records, counted once for each partition.", float64(g.Parked))
}

func collectFollowers(s series, followers []node.FollowerStats) {
	for _, f := range followers {
		peer := decimal(f.Broker)
		s.add("raft_follower_groups", "Groups that this broker leads and that broker follows.", float64(f.Groups), "peer", peer)
		s.add("raft_follower_groups_silent", "Groups that this broker leads and in which that follower has not been heard for an election timeout.", float64(f.Silent), "peer", peer)
		s.add("raft_follower_lag_entries_max", "Entries that the follower isn't known to have: the most of one group that this broker leads.", float64(f.Lag.Max), "peer", peer)
		s.add("raft_follower_lag_entries_sum", "Entries that the follower isn't known to have, of all groups that this broker leads.", float64(f.Lag.Sum), "peer", peer)
	}
}

func collectEntries(s series, v *view) {
	const hits = "Look-ups of log entries, by raft or a fetch, that were answered from memory: from the newest entries (hot) or from old ones that were read back before (cache)."
	s.add("raft_entries_hit_total", hits, float64(v.HotHits), "tier", "hot")
	s.add("raft_entries_hit_total", hits, float64(v.CacheHits), "tier", "cache")
	s.add("hot_entries", "Newest log entries in memory.", float64(v.HotEntries))
	s.add("hot_bytes", "Bytes of the newest log entries in memory.", float64(v.HotBytes))
	s.add("cache_bytes", "Bytes of old log entries in memory.", float64(v.CacheBytes))
	s.add("cold_reads", "Reads of old log entries under way.", float64(v.ColdReads))
	s.add("log_segments", "Segments that are part of the log.", float64(v.Log.Segments))
	s.add("log_free_files", "Files that are ready to become segments.", float64(v.Log.Free))
	s.add("log_recycled_segments_total", "Segments that ended because nothing in them was needed any more.", float64(v.Log.Recycled))
	s.add("log_appended_bytes_total", "Bytes that were ever appended to this log; a restart does not reset it.", float64(v.LogEnd))
	s.add("log_unsynced_bytes", "Appended bytes that are not on the disk yet.", float64(v.LogEnd-v.LogDurable))
	for _, e := range v.Errors {
		s.add("request_errors_total", "Error codes in answers, one for each topic, partition or answer that has it.", float64(e.Count), "api", e.API, "error", e.Error)
	}
}

func decimal(b node.BrokerID) string { return strconv.Itoa(int(b)) }

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

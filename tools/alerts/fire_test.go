// SPDX-License-Identifier: Apache-2.0

package alerts

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	prom "github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"
)

// firing is what must raise an alert and what must not: series in the notation of Prometheus's own
// tests, a value a minute, for an hour or more. In them @ stands for the labels of broker a.
var firing = map[string]struct{ raises, doesNot string }{
	"ChronikBrokerDown": {`up{@} 1x58 0 0 0`, `up{@} 1x59 0 1`},
	"ChronikRestarts": {
		`process_start_time_seconds{@} 1x40 100x5 200x5 300x20`,
		`process_start_time_seconds{@} 1x40 100x5 200x30`,
	},
	"ChronikNotReady": {`chronik_ready{@} 1x50 0x10`, `chronik_ready{@} 1x58 0 0`},
	"ChronikNoLeader": {
		`chronik_raft_groups_leaderless{@,groups="partitions"} 0x50 2x10`,
		`chronik_raft_groups_leaderless{@,groups="partitions"} 0x59 2`,
	},
	"ChronikFrequentElections": {
		`chronik_raft_term{@,groups="partitions"} 7x50 8 9 10 11 12 13 14 15 16 17`,
		`chronik_raft_term{@,groups="partitions"} 7x50 8x3 9x7`,
	},
	"ChronikApplyLag": {
		`chronik_raft_apply_lag_entries_max{@,groups="partitions"} 0x50 2000x10`,
		`chronik_raft_apply_lag_entries_max{@,groups="partitions"} 0x50 2000 2000 2000 2000 2000 2000 0 2000 2000 2000`,
	},
	"ChronikCommitLag": {
		`chronik_raft_commit_lag_entries_max{@,groups="partitions"} 0x50 6000x10`,
		`chronik_raft_commit_lag_entries_max{@,groups="partitions"} 4000x60`,
	},
	"ChronikFollowerSilent": {
		`chronik_raft_follower_groups_silent{@,peer="2"} 0x50 12x10`,
		`chronik_raft_follower_groups_silent{@,peer="2"} 0x58 12 12`,
	},
	"ChronikFollowerBehind": {
		`chronik_raft_follower_lag_entries_max{@,peer="2"} 0x40 20000x20`,
		`chronik_raft_follower_lag_entries_max{@,peer="2"} 0x40 90000-10000x9 0x10`,
	},
	"ChronikOutOfSync": {
		`chronik_raft_groups_out_of_sync{@,groups="partitions"} 0x40 3x20`,
		`chronik_raft_groups_out_of_sync{@,groups="partitions"} 0x54 3 3 3 3 3`,
	},
	"ChronikTwoReplicas": {
		`chronik_raft_groups_two_replicas{@,groups="partitions"} 5x60`,
		`chronik_raft_groups_two_replicas{@,groups="partitions"} 0x70`,
	},
	"ChronikPeerDisconnected": {`chronik_peer_connected{@,peer="2"} 1x50 0x10`, `chronik_peer_connected{@,peer="2"} 1x58 0 0`},
	"ChronikMessagesDropped": {
		"chronik_peer_dropped_envelopes_total{@,peer=\"2\"} 0+10x60\nchronik_peer_connected{@,peer=\"2\"} 1x60",
		"chronik_peer_dropped_envelopes_total{@,peer=\"2\"} 0+10x60\nchronik_peer_connected{@,peer=\"2\"} 0x60", // it is down: no wonder
	},
	"ChronikColdReadsHigh": {
		"chronik_raft_wal_fallback_total{@} 0+600x60\nchronik_raft_entries_hit_total{@,tier=\"hot\"} 0+6000x60\nchronik_raft_entries_hit_total{@,tier=\"cache\"} 0+600x60",
		"chronik_raft_wal_fallback_total{@} 0+600x60\nchronik_raft_entries_hit_total{@,tier=\"hot\"} 0+60000x60\nchronik_raft_entries_hit_total{@,tier=\"cache\"} 0+600x60",
	},
	"ChronikColdReadsSlow": {histogram("chronik_raft_wal_fallback_duration_seconds_bucket", 100, 5), histogram("chronik_raft_wal_fallback_duration_seconds_bucket", 100, 0)},
	"ChronikFsyncSlow":     {histogram("chronik_log_fsync_duration_seconds_bucket", 100, 5), histogram("chronik_log_fsync_duration_seconds_bucket", 1000, 5)},
	"ChronikDiskFilling": {
		"chronik_disk_free_bytes{@} 400000-1000x400\nchronik_disk_size_bytes{@} 1000000x400",
		"chronik_disk_free_bytes{@} 900000-1000x400\nchronik_disk_size_bytes{@} 1000000x400", // as fast, but more than half is free
	},
	"ChronikDiskAlmostFull": {
		"chronik_disk_free_bytes{@} 90000x60\nchronik_disk_size_bytes{@} 1000000x60",
		"chronik_disk_free_bytes{@} 110000x60\nchronik_disk_size_bytes{@} 1000000x60",
	},
	"ChronikReplicaDamaged": {
		`chronik_events_total{@,event="replica_damaged"} 0x58 1 1`,
		`chronik_events_total{@,event="torn_tail"} 0x58 1 1`,
	},
	"ChronikMailboxGrowing": {
		`chronik_mailbox_items{@,kind="request"} 0x50 1000+1000x10`,
		`chronik_mailbox_items{@,kind="request"} 0x50 9000 9000 9000 0 9000 9000 9000 9000 0 9000`,
	},
	"ChronikSlowSteps": {histogram("chronik_step_duration_seconds_bucket", 1000, 5), histogram("chronik_step_duration_seconds_bucket", 100000, 5)},
	"ChronikStuck":     {`chronik_loop_answers{@} 1x50 0x10`, `chronik_loop_answers{@} 1x56 0x4`},
	"ChronikSnapshotStorm": {
		"chronik_raft_snapshots_total{@,what=\"sent\"} 0+3x60\nchronik_raft_groups_leading{@,groups=\"partitions\"} 20x60\nchronik_raft_groups_leading{@,groups=\"catalog\"} 1x60",
		"chronik_raft_snapshots_total{@,what=\"sent\"} 0+2x60\nchronik_raft_groups_leading{@,groups=\"partitions\"} 20x60\nchronik_raft_groups_leading{@,groups=\"catalog\"} 1x60",
	},
	"ChronikProduceSlow": {
		strings.ReplaceAll(histogram("chronik_request_duration_seconds_bucket", 100, 5), "@,", `@,api="Produce",`),
		strings.ReplaceAll(histogram("chronik_request_duration_seconds_bucket", 100, 5), "@,", `@,api="Fetch",`),
	},
	"ChronikTransactionHangs": {
		`chronik_transactions_oldest_seconds{@,groups="partitions",state="deciding"} 0x57 60 121 181`,
		"chronik_transactions_oldest_seconds{@,groups=\"partitions\",state=\"ongoing\"} 0x42 0+60x18\nchronik_transactions_oldest_seconds{@,groups=\"partitions\",state=\"deciding\"} 0x57 60 0 60",
	},
	"ChronikErrorsToClients": {
		`chronik_request_errors_total{@,api="Produce",error="REQUEST_TIMED_OUT"} 0+90x60`,
		`chronik_request_errors_total{@,api="Produce",error="NOT_LEADER_FOR_PARTITION"} 0+90x60`,
	},
	"ChronikClientsHeldBack": {
		"chronik_client_inflight_bytes{@} 95x60\nchronik_client_inflight_limit_bytes{@} 100x60",
		"chronik_client_inflight_bytes{@} 95x58 10 95\nchronik_client_inflight_limit_bytes{@} 100x60",
	},
	"ChronikConnectionsRefused": {`chronik_client_connections_refused_total{@} 0x57 1 2 3`, `chronik_client_connections_refused_total{@} 3x60`},
	"ChronikFilesRunOut":        {"process_open_fds{@} 900x60\nprocess_max_fds{@} 1000x60", "process_open_fds{@} 700x60\nprocess_max_fds{@} 1000x60"},
	"ChronikCertificateExpires": {
		`chronik_certificate_expires_seconds{@,port="clients"} 1206000-60x60`,
		`chronik_certificate_expires_seconds{@,port="clients"} 1206000-60x30 7776000x30`, // replaced in time
	},
	"ChronikCertificateExpired": {`chronik_certificate_expires_seconds{@,port="clients"} 1800-60x60`, `chronik_certificate_expires_seconds{@,port="clients"} 100000-60x60`},
}

// histogram is buckets of a histogram in which, each minute, so many observations are fast (up to 1
// ms) and so many slow (1 s to 2 s).
func histogram(name string, fast, slow int) string {
	var b strings.Builder
	for _, bucket := range []struct {
		le    string
		count int
	}{{"0.001", fast}, {"1", fast}, {"2", fast + slow}, {"+Inf", fast + slow}} {
		b.WriteString(name + `{@,le="` + bucket.le + `"} 0+` + strconv.Itoa(bucket.count) + "x60\n")
	}
	return strings.TrimSpace(b.String())
}

func TestAlertsFireWhenTheyShould(t *testing.T) {
	for _, r := range readRules(t) {
		t.Run(r.Alert, func(t *testing.T) {
			c, ok := firing[r.Alert]
			if !ok {
				t.Fatal("no case says when this alert must fire")
			}
			raised := evaluate(t, c.raises, r.Expr, time.Duration(r.For))
			if len(raised) == 0 {
				t.Errorf("does not fire on\n%s", c.raises)
			}
			if quiet := evaluate(t, c.doesNot, r.Expr, time.Duration(r.For)); len(quiet) > 0 {
				t.Errorf("fires (%v) on\n%s", quiet, c.doesNot)
			}
			for _, text := range r.Annotations {
				for _, m := range regexp.MustCompile(`\$labels\.(\w+)`).FindAllStringSubmatch(text, -1) {
					if len(raised) > 0 && raised[0].Metric.Get(m[1]) == "" {
						t.Errorf("%q names the label %s, which the alert has not: %s", text, m[1], raised[0].Metric)
					}
				}
			}
		})
	}
}

// evaluate returns what an alert raises at the end of the series, if its expression held for long
// enough before.
func evaluate(t *testing.T, series, expr string, hold time.Duration) prom.Vector {
	t.Helper()
	load, minutes := "load 1m\n", 60
	for _, line := range strings.Split(strings.ReplaceAll(series, "@", `job="chronik",instance="a"`), "\n") {
		load += "  " + line + "\n"
	}
	if strings.Contains(series, "x400") {
		minutes = 400
	}
	storage := promqltest.LoadedStorage(t, load)
	defer storage.Close()
	engine := promqltest.NewTestEngine(t, false, 0, promqltest.DefaultMaxSamplesPerQuery)
	end := time.Unix(0, 0).Add(time.Duration(minutes) * time.Minute)
	var raised prom.Vector
	for at := end.Add(-hold); !at.After(end); at = at.Add(time.Minute) {
		q, err := engine.NewInstantQuery(t.Context(), storage, nil, expr, at)
		if err != nil {
			t.Fatal(err)
		}
		if raised, err = q.Exec(t.Context()).Vector(); err != nil {
			t.Fatal(err)
		}
		if len(raised) == 0 {
			return nil
		}
	}
	return raised
}

// SPDX-License-Identifier: Apache-2.0

// Package metrics holds what a real broker says of itself at /metrics against what a real client
// did to it.
package metrics

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// startBroker runs a broker that keeps almost nothing in memory, and returns the addresses of its
// Kafka port and of its metrics.
func startBroker(t *testing.T) (kafka, metrics string) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and starts a broker")
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "broker")
	if out, err := exec.Command("go", "build", "-o", program, "chronik/cmd/broker").CombinedOutput(); err != nil {
		t.Fatalf("building the broker: %v\n%s", err, out)
	}
	kafka, metrics = freeAddr(t), freeAddr(t)
	cmd := exec.Command(program, "-listen", kafka, "-metrics", metrics, "-dir", filepath.Join(dir, "data"),
		"-raft-log-retention", "1", "-cache-bytes", "100000", "-log-level", "warn")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the broker ended with: %v", err)
		}
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.HasPrefix(line, "ready:") {
		t.Fatalf("the broker said %q, %v", line, err)
	}
	return kafka, metrics
}

func freeAddr(t *testing.T) string {
	t.Helper()
	for range 100 {
		// Below the ports that the system gives away: such a one may be another process's a moment later.
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(10_000)))
		if err != nil {
			continue
		}
		defer l.Close()
		return l.Addr().String()
	}
	t.Fatal("no free port")
	return ""
}

// scrape returns all series by name and labels.
func scrape(t *testing.T, addr string) map[string]float64 {
	t.Helper()
	resp, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	all := make(map[string]float64)
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if series, value, ok := cutLast(lines.Text(), " "); ok && !strings.HasPrefix(series, "#") {
			if all[series], err = strconv.ParseFloat(value, 64); err != nil {
				t.Fatalf("%q: %v", lines.Text(), err)
			}
		}
	}
	return all
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+len(sep):], true
}

const records, size = 500, 1000

// writeAndRead produces records to a topic, one by one, and consumes them.
func writeAndRead(t *testing.T, kafka string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka), kgo.ConsumeTopics("t"), kgo.DefaultProduceTopic("t"),
		kgo.AllowAutoTopicCreation(), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.FetchMaxWait(200*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for i := range records { // one at a time, so one batch and one request each
		if err := client.ProduceSync(ctx, kgo.SliceRecord(make([]byte, size))).FirstErr(); err != nil {
			t.Fatalf("record %d: %v", i, err)
		}
	}
	for got := 0; got < records; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		got += fetches.NumRecords()
	}
}

func TestMetricsSayWhatHappened(t *testing.T) {
	kafka, addr := startBroker(t)
	writeAndRead(t, kafka)
	m := scrape(t, addr)
	for range 100 { // the last reads ahead, and the last answer is counted after it was taken
		if m["chronik_cold_reads"] == 0 && m["chronik_client_sent_bytes_total"] >= records*size {
			break
		}
		time.Sleep(20 * time.Millisecond)
		m = scrape(t, addr)
	}
	for series, want := range map[string]float64{
		`chronik_request_duration_seconds_count{api="Produce"}`:    m[`chronik_requests_total{api="Produce"}`],
		`chronik_raft_groups_leading{groups="partitions"}`:         1,
		`chronik_raft_wal_fallback_duration_seconds_count`:         m["chronik_raft_wal_fallback_total"],
		`chronik_events_total{event="topic_created"}`:              1,
		`chronik_duplicate_batches_total`:                          0,
		`chronik_raft_commit_lag_entries_max{groups="partitions"}`: 0,
		`chronik_raft_apply_lag_entries_max{groups="partitions"}`:  0,
		`chronik_raft_leader_changes_total{change="lost"}`:         0,
	} {
		if v, ok := m[series]; !ok || v != want {
			t.Errorf("%s is %v (there: %v), want %v", series, v, ok, want)
		}
	}
	for series, least := range map[string]float64{
		`chronik_client_received_bytes_total`:            records * size,
		`chronik_client_sent_bytes_total`:                records * size,
		`chronik_log_flush_bytes_sum`:                    records * size,
		`chronik_log_flush_records_sum`:                  records,
		`chronik_log_fsync_duration_seconds_count`:       records, // nobody to share it with
		`chronik_raft_wal_fallback_total`:                records * size / (1 << 20),
		`chronik_raft_wal_fallback_duration_seconds_sum`: 1e-6,
		`chronik_raft_entries_hit_total{tier="cache"}`:   1,
		`chronik_raft_entries_hit_total{tier="hot"}`:     records, // raft applies what is hot
		`chronik_requests_total{api="Produce"}`:          records,
		`chronik_requests_total{api="Fetch"}`:            1,
	} {
		if v := m[series]; v < max(least, 1e-9) {
			t.Errorf("%s is %v, want at least %v", series, v, least)
		}
	}
	if v := m["chronik_cache_bytes"]; v == 0 || v > 100_000 {
		t.Errorf("the cache has %v bytes, its bound is 100000", v)
	}
	if v := fmt.Sprint(m["chronik_ready"], m["chronik_loop_answers"]); v != "1 1" {
		t.Errorf("ready and answering: %s", v)
	}
}

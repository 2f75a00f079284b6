// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"chronik/node"
)

// openBroker opens a broker with metrics, alone or with another that is never there.
func openBroker(t *testing.T, members int) *Host {
	t.Helper()
	cfg := Config{
		Dir: t.TempDir(), Listen: "127.0.0.1:0", Metrics: "127.0.0.1:0", Log: quiet(),
		Limits: Limits{StopTime: time.Second},
	}
	cfg.Node.ClusterID, cfg.Node.BrokerID = "c", 1
	cfg.Node.Log.SegmentBytes = 1 << 20
	for i := range members {
		cfg.Node.Members = append(cfg.Node.Members, node.Member{ID: node.BrokerID(i + 1), Host: "localhost", Port: int32(9092 + i)})
	}
	if members > 1 {
		cfg.PeerListen, cfg.Node.Members[1].Peer = "127.0.0.1:0", freeAddr(t)
		if err := Format(cfg.Dir, Meta{ClusterID: "c", BrokerID: 1}); err != nil {
			t.Fatal(err)
		}
	}
	h, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// run runs a broker until the test ends.
func run(t *testing.T, h *Host) {
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { h.Run(ctx); close(done) }()
	t.Cleanup(func() { stop(); <-done })
}

func get(t *testing.T, h *Host, path string) (int, string) {
	t.Helper()
	resp, err := http.Get("http://" + h.httpAddr.String() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// scrape returns all series by name and labels.
func scrape(t *testing.T, h *Host) map[string]float64 {
	t.Helper()
	status, text := get(t, h, "/metrics")
	if status != http.StatusOK {
		t.Fatalf("/metrics: %d\n%s", status, text)
	}
	all := make(map[string]float64)
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		if line := lines.Text(); !strings.HasPrefix(line, "#") {
			i := strings.LastIndexByte(line, ' ')
			v, err := strconv.ParseFloat(line[i+1:], 64)
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			all[line[:i]] = v
		}
	}
	return all
}

// apiVersions is ApiVersions v0 and listOffsets a ListOffsets v1 of a topic that does not exist.
var (
	apiVersions = frame([]byte{0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff})
	listOffsets = frame(bytes.Join([][]byte{
		{0, 2, 0, 1, 0, 0, 0, 8, 0xff, 0xff}, // key, version, correlation id, no client id
		{0xff, 0xff, 0xff, 0xff},             // no replica
		{0, 0, 0, 1, 0, 2}, []byte("no"),     // one topic
		{0, 0, 0, 1, 0, 0, 0, 0}, bytes.Repeat([]byte{0xff}, 8), // partition 0, the latest offset
	}, nil))
)

func exchange(t *testing.T, h *Host, requests ...[]byte) {
	t.Helper()
	sock, err := net.Dial("tcp", h.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close()
	sock.SetDeadline(time.Now().Add(10 * time.Second))
	for _, r := range requests {
		sock.Write(r)
		mustRead(t, sock)
	}
}

// becomesReady starts a broker and looks at what it says of itself before and after.
func becomesReady(t *testing.T, h *Host) {
	t.Helper()
	if status, line := get(t, h, "/healthz"); status != 503 || line != "stuck or stopped: broker 1 of cluster c\n" {
		t.Errorf("before Run, /healthz is %d %q", status, line)
	}
	before := scrape(t, h)
	if v, ok := before["chronik_loop_answers"]; !ok || v != 0 || before["chronik_ready"] != 0 {
		t.Errorf("before Run, loop_answers is %v (%v), ready %v", v, ok, before["chronik_ready"])
	}
	run(t, h)
	waitFor(t, "the broker to be ready", func() bool { status, _ := get(t, h, "/healthz"); return status == 200 })
	if _, line := get(t, h, "/healthz"); line != "ready: broker 1 of cluster c leads 1 of its 1 groups, 0 of them with replicas that are not in sync; 0 have no leader; the catalog's leader is 1\n" {
		t.Errorf("/healthz is %q", line)
	}
	for _, page := range []string{"/readyz", "/livez"} {
		if status, line := get(t, h, page); status != 200 {
			t.Errorf("%s is %d %q", page, status, line)
		}
	}
}

func TestMetricsOfABrokerAlone(t *testing.T) {
	h := openBroker(t, 1)
	becomesReady(t, h)
	exchange(t, h, apiVersions, apiVersions, listOffsets)
	waitFor(t, "the hangup", func() bool { return scrape(t, h)["chronik_client_connections"] == 0 })
	got := scrape(t, h)
	for series, want := range map[string]float64{
		`chronik_broker_info{broker="1",cluster="c"}`:                                        1,
		`chronik_client_connections_total`:                                                   1,
		`chronik_ready`:                                                                      1,
		`chronik_loop_answers`:                                                               1,
		`chronik_client_connections_refused_total`:                                           0,
		`chronik_client_received_bytes_total`:                                                float64(2*len(apiVersions) + len(listOffsets)),
		`chronik_client_inflight_requests`:                                                   0,
		`chronik_client_inflight_bytes`:                                                      0,
		`chronik_requests_total{api="ApiVersions"}`:                                          2,
		`chronik_requests_total{api="Produce"}`:                                              0,
		`chronik_request_duration_seconds_count{api="ApiVersions"}`:                          2,
		`chronik_request_errors_total{api="ListOffsets",error="UNKNOWN_TOPIC_OR_PARTITION"}`: 1,
		`chronik_raft_groups_leading{groups="catalog"}`:                                      1,
		`chronik_raft_groups{groups="partitions"}`:                                           0,
		`chronik_raft_elections_total`:                                                       1,
		`chronik_raft_leader_changes_total{change="gained"}`:                                 1,
		`chronik_raft_term{groups="catalog"}`:                                                2,
		`chronik_raft_apply_lag_entries_max{groups="catalog"}`:                               0,
		`chronik_raft_wal_fallback_total`:                                                    0,
		`chronik_raft_wal_fallback_duration_seconds_count`:                                   0,
		`chronik_events_total{event="ready"}`:                                                1,
		`chronik_log_segments`:                                                               1,
		`chronik_log_fsync_duration_seconds_count`:                                           got[`chronik_log_flush_bytes_count`],
		`chronik_log_flush_records_count`:                                                    got[`chronik_log_flush_bytes_count`],
	} {
		if v, ok := got[series]; !ok || v != want {
			t.Errorf("%s is %v (there: %v), want %v", series, v, ok, want)
		}
	}
	for _, series := range []string{
		`chronik_client_sent_bytes_total`, `chronik_request_duration_seconds_sum{api="ApiVersions"}`,
		`chronik_step_longest_seconds`, `chronik_log_flush_bytes_sum`, `chronik_log_appended_bytes_total`,
		`chronik_log_size_bytes`, `chronik_disk_free_bytes`, `chronik_disk_size_bytes`, `chronik_hot_bytes`, `go_goroutines`,
	} {
		if got[series] <= 0 {
			t.Errorf("%s is %v", series, got[series])
		}
	}
	if n := got[`chronik_log_unsynced_bytes`]; n > 100 { // a commit index that nobody waits for
		t.Errorf("%v bytes are not on the disk although nothing happens", n)
	}
	if records, flushes := got[`chronik_log_flush_records_sum`], got[`chronik_log_flush_records_count`]; records < flushes {
		t.Errorf("%v records in %v flushes", records, flushes)
	}
}

func TestGroupsWithoutALeaderAreListedFirst(t *testing.T) {
	h := openBroker(t, 2)
	run(t, h)
	waitFor(t, "the loop", func() bool { return scrape(t, h)["chronik_loop_answers"] == 1 })
	if status, line := get(t, h, "/healthz"); status != 503 || line != "starting: broker 1 of cluster c leads 0 of its 1 groups, 0 of them with replicas that are not in sync; 1 have no leader; the catalog's leader is none\n" {
		t.Errorf("/healthz is %d %q", status, line)
	}
	_, list := get(t, h, "/groups")
	if lines := strings.Split(list, "\n"); len(lines) != 3 || !regexp.MustCompile(`^0 +catalog +(follower|asks) +\d+ none `).MatchString(lines[1]) {
		t.Errorf("/groups is\n%s", list)
	}
	if a, b := (node.View{Lead: -1}), (node.View{Lead: 2, LastIndex: 1e9}); groupLag(&a) <= groupLag(&b) {
		t.Error("no leader must come before any lag")
	}
}

func TestCheckOnRequest(t *testing.T) {
	for _, c := range []struct {
		allowed bool
		status  int
		text    string
	}{{false, 403, `^not allowed: .*check_on_request`}, {true, 200, `^right: 1 groups and all that waits, in `}} {
		h := openBroker(t, 1)
		h.cfg.CheckOnRequest = c.allowed
		run(t, h)
		waitFor(t, "the loop", func() bool { return scrape(t, h)["chronik_loop_answers"] == 1 })
		resp, err := http.Post("http://"+h.httpAddr.String()+"/check", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != c.status || !regexp.MustCompile(c.text).Match(text) {
			t.Errorf("/check is %d %q, %v", resp.StatusCode, text, err)
		}
	}
}

func TestHealth(t *testing.T) {
	for _, c := range []struct {
		v                  node.Stats
		answers, recovered bool
		status             int
		state              string
	}{
		{node.Stats{}, false, false, 503, "recovering"},
		{node.Stats{}, false, true, 503, "stuck or stopped"},
		{node.Stats{}, true, true, 503, "starting"},
		{node.Stats{Ready: true}, true, true, 200, "ready"},
		{node.Stats{Ready: true, CatalogLeader: -1}, true, true, 200, "ready"},
		{node.Stats{Ready: true, Stopping: true}, true, true, 503, "stopping"},
	} {
		if status, state := health(&view{Stats: c.v}, c.answers, c.recovered); status != c.status || state != c.state {
			t.Errorf("%+v: %d %s", c, status, state)
		}
	}
}

func TestAPortOfMetricsThatIsTakenIsSaid(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := Config{Dir: t.TempDir(), Listen: "127.0.0.1:0", Metrics: l.Addr().String(), Log: quiet()}
	cfg.Node.BrokerID, cfg.Node.Members = 1, []node.Member{{ID: 1, Host: "localhost", Port: 9092}}
	if _, err := Open(cfg); err == nil || !strings.Contains(err.Error(), "can't listen for metrics") || !strings.Contains(err.Error(), "set metrics to another address") {
		t.Errorf("got %v", err)
	}
}

// The table in docs/OPERATIONS.md and what a broker exports are the same.
func TestEveryMetricIsDocumented(t *testing.T) {
	h := openBroker(t, 2)
	var err error
	if h.peers.tls, err = newAuthority(t, "ca").server(NoClientCerts).open("other brokers", quiet()); err != nil {
		t.Fatal(err)
	}
	run(t, h)
	exchange(t, h, listOffsets)
	_, text := get(t, h, "/metrics")
	exported := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (chronik_\w+) `).FindAllStringSubmatch(text, -1) {
		exported[m[1]] = true
	}
	doc, err := os.ReadFile("../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]bool)
	for _, m := range regexp.MustCompile("(?m)^\\| `(chronik_\\w+)").FindAllStringSubmatch(string(doc), -1) {
		documented[m[1]] = true
	}
	for name := range exported {
		if !documented[name] {
			t.Errorf("%s is exported and not in the table of docs/OPERATIONS.md", name)
		}
	}
	for name := range documented {
		if !exported[name] {
			t.Errorf("%s is in the table of docs/OPERATIONS.md and not exported", name)
		}
	}
	if len(exported) < 40 {
		t.Errorf("only %d metrics are exported", len(exported))
	}
}

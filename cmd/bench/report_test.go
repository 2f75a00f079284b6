// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func testResult() result {
	return result{
		Config: config{
			Mode: modeProduce, Topic: "t", Concurrency: 8, Clients: "shared", Async: 1, MessageSize: 256, Acks: "all",
			Compression: "none", Warmup: time.Second, Duration: 2 * time.Second,
		},
		Partitions: 6, Replicas: 3, Seconds: 2,
		Measured: []measurement{{
			Name: "acknowledged", Count: 20000, Bytes: 20000 * 256, PerSecond: 10000,
			Latency: percentiles{Count: 20000, Mean: 1234.5, P50: 1000, P90: 2000, P99: 12345, P999: 123456, P9999: 1234567, Max: 2000000},
		}},
		Verdicts:  []verdict{{Reader: "read back", Sent: 30000, Acknowledged: 30000, ExactlyOnce: 30000, Measured: 20000}},
		ClientCPU: time.Second,
		Servers:   []usage{{PID: 7, CPU: 500 * time.Millisecond, RSS: 100 << 20, PeakRSS: 200 << 20}},
	}
}

func TestTheTable(t *testing.T) {
	var out strings.Builder
	printResult(&out, testResult())
	want := `produce: 8 callers of one client, 1 in flight each; 256 B, acks=all, compression none, linger 0 ms; closed loop; topic t of 6 partitions, 3 replicas
2.0 s measured after 1s of warm-up; latencies in ms

                   per second  MiB/s  mean   p50   p90   p99  p99.9  p99.99    max
     acknowledged      10,000    2.4  1.23  1.00  2.00  12.3    123   1,235  2,000
  read back, once      10,000                                                     

               CPU %  us per message  RSS MiB   peak
  this client     50           50.00                
     server 7     25           25.00    100.0  200.0

Errors: none
Validation (read back): ok; 30,000 sent, 30,000 acknowledged, 30,000 of them there exactly once
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhatFailsIsShownAndFails(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*result)
		want   string // in the report
		failed bool
	}{
		{"nothing", func(*result) {}, "Errors: none", false},
		{"nothing measured", func(r *result) { r.Measured[0].Count = 0 }, "FAILED: nothing was acknowledged", true},
		{"an error", func(r *result) { r.Failures = []failure{{"NOT_LEADER", 1234, "partition 3"}} }, "FAILED 1,234 times: NOT_LEADER (for example: partition 3)", true},
		{"missing", func(r *result) { r.Verdicts[0].Missing = 3 }, "Validation (read back): FAILED; 30,000 sent, 30,000 acknowledged, 30,000 of them there exactly once; 3 missing", true},
		{"duplicates", func(r *result) { r.Verdicts[0].Duplicates = 1 }, "; 1 duplicates", true},
		{"out of order", func(r *result) { r.Verdicts[0].OutOfOrder = 1 }, "; 1 out of order", true},
		{"damaged", func(r *result) { r.Verdicts[0].Damaged = 1 }, "; 1 damaged", true},
		{"unknown", func(r *result) { r.Verdicts[0].Unknown = 1 }, "; 1 unknown", true},
		{"not all read", func(r *result) { r.Verdicts[0].Problem = "gone" }, "not everything could be read: gone", true},
		{"unsent", func(r *result) { r.Unsent = 5 }, "Not sent: 5 requests that were due", false},
		{"others", func(r *result) { r.Verdicts[0].Foreign = 5 }, "; 5 of others", false},
	} {
		r := testResult()
		c.change(&r)
		var out strings.Builder
		printResult(&out, r)
		if !strings.Contains(out.String(), c.want) || r.failed() != c.failed {
			t.Errorf("%s: failed is %v, want %v; want %q in\n%s", c.name, r.failed(), c.failed, c.want, out.String())
		}
	}
}

func TestStepsAreCompared(t *testing.T) {
	slow, bad := testResult(), testResult()
	slow.Config.Concurrency, slow.Measured[0].PerSecond = 16, 9000
	bad.Config.Concurrency, bad.Failures = 32, []failure{{"x", 3, "x"}}
	bad.Verdicts[0].Missing = 1
	var out strings.Builder
	printSteps(&out, []result{testResult(), slow, bad})
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var got [][]string
	for _, line := range lines[len(lines)-3:] {
		got = append(got, strings.Fields(line))
	}
	want := [][]string{
		strings.Fields("8 10,000 - 2.4 1.00 12.3 123 2,000 50.00 25.00 0 ok"),
		strings.Fields("16 9,000 90 % 2.4 1.00 12.3 123 2,000 50.00 25.00 0 ok"),
		strings.Fields("32 10,000 100 % 2.4 1.00 12.3 123 2,000 50.00 25.00 3 FAILED"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNumbersForPeople(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 999: "999", 1000: "1,000", 1234567.6: "1,234,568", 100000: "100,000"} {
		if got := group(v); got != want {
			t.Errorf("%f is shown as %s, want %s", v, got, want)
		}
	}
	for us, want := range map[float64]string{0: "0.00", 350: "0.35", 9990: "9.99", 12345: "12.3", 123456: "123", 4e6: "4,000"} {
		if got := ms(us); got != want {
			t.Errorf("%f us are shown as %s ms, want %s", us, got, want)
		}
	}
}

func TestFilesHoldTheResults(t *testing.T) {
	dir := t.TempDir()
	cfg := config{jsonFile: filepath.Join(dir, "j"), csvFile: filepath.Join(dir, "c")}
	results := []result{testResult(), testResult()}
	if err := writeFiles(cfg, results); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(cfg.jsonFile)
	if err != nil {
		t.Fatal(err)
	}
	var back []result
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(results, back, cmp.AllowUnexported(config{}, verdict{}, usage{})); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
	f, err := os.Open(cfg.csvFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) != 3 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	cells := make(map[string]string)
	for i, name := range rows[0] {
		cells[name] = rows[2][i]
	}
	for name, want := range map[string]string{
		"mode": "produce", "concurrency": "8", "what": "acknowledged", "count": "20000", "per_second": "10000",
		"p50_us": "1000", "max_us": "2000000", "servers_us_per_message": "25.00", "errors": "0", "validation": "ok",
	} {
		if cells[name] != want {
			t.Errorf("column %s is %q, want %q", name, cells[name], want)
		}
	}
}

func TestAFileThatCantBeWrittenIsAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "none", "f")
	for _, cfg := range []config{{jsonFile: file}, {csvFile: file}} {
		if err := writeFiles(cfg, nil); err == nil || !strings.Contains(err.Error(), "-output: ") {
			t.Errorf("%v", err)
		}
	}
}

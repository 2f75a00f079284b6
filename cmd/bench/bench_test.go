// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/franz-go/pkg/kgo"
)

// startBroker runs a real broker alone until the test ends. It returns its address and process id.
func startBroker(t *testing.T, args ...string) (string, int) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and starts a broker")
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "broker")
	if out, err := exec.Command("go", "build", "-o", program, "chronik/cmd/broker").CombinedOutput(); err != nil {
		t.Fatalf("building the broker: %v\n%s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close() // the port is free for the broker now
	cmd := exec.Command(program, append(args, "-listen", addr, "-metrics", "", "-dir", filepath.Join(dir, "data"))...)
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
		io.Copy(io.Discard, out)
		cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.HasPrefix(line, "ready:") {
		t.Fatalf("the broker said %q, %v", line, err)
	}
	return addr, cmd.Process.Pid
}

func TestAgainstARealBroker(t *testing.T) {
	addr, pid := startBroker(t)
	t.Run("modes", func(t *testing.T) { testModes(t, addr, pid) })
	t.Run("progressive", func(t *testing.T) { testProgressive(t, addr) })
	t.Run("planted", func(t *testing.T) { testPlantedFaultsAreReadBack(t, addr) })
	t.Run("errors", func(t *testing.T) { testFailuresExitWithOne(t, addr) })
	t.Run("interrupt", func(t *testing.T) { testAnInterruptedRunIsStillValidated(t, addr) })
	t.Run("death", func(t *testing.T) { testABrokerThatDiesIsReported(t, addr, pid) })
}

// bench runs the program and returns its results.
func bench(t *testing.T, want int, args string) []result {
	t.Helper()
	file := filepath.Join(t.TempDir(), "results")
	var out, live strings.Builder
	if code := run(t.Context(), append(strings.Fields(args), "--json-output", file), &out, &out, &live); code != want {
		t.Errorf("bench %s: exit code %d, want %d\n%s", args, code, want, out.String())
	}
	t.Logf("bench %s\n%s", args, out.String())
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var results []result
	if err := json.Unmarshal(text, &results); err != nil {
		t.Fatal(err)
	}
	return results
}

const short = " --duration 300ms --warmup-duration 100ms --timeout 10s --brokers "

func testModes(t *testing.T, addr string, pid int) {
	for _, c := range []struct {
		args     string
		rows     []string
		verdicts []string
	}{
		{"produce --partitions 3 --validate", []string{"acknowledged"}, []string{"read back"}},
		{"produce --clients own --concurrency 4 --async 8 --acks 1 --compression zstd --validate", []string{"acknowledged"}, []string{"read back"}},
		{"produce --rate-limit 500 --linger-ms 1 --compression lz4 --validate", []string{"acknowledged", "own delay"}, []string{"read back"}},
		{"produce-consume --validate", []string{"acknowledged", "read"}, []string{"read while written", "read back"}},
		{"round-trip --concurrency 4 --validate", []string{"acknowledged", "read"}, []string{"read while written", "read back"}},
		{"consume --concurrency 2 --validate", []string{"read", "fetch requests"}, []string{"consumer", "consumer", "one more pass"}},
		{"metadata", []string{"answered"}, nil},
	} {
		r := bench(t, exitClean, c.args+short+addr+" --server-pids "+strconv.Itoa(pid))[0]
		var rows, verdicts []string
		for _, m := range r.Measured {
			rows = append(rows, m.Name)
			// Callers of a busy machine may never sleep; of reading, the fetch requests have the latencies.
			measured := m.Name == "own delay" || m.Count > 0 && (m.Latency.Count > 0 || m.Name == "read")
			if !measured || len(m.Series) == 0 {
				t.Errorf("%s: %s measured nothing: %+v", c.args, m.Name, m)
			}
		}
		for _, v := range r.Verdicts {
			verdicts = append(verdicts, v.Reader)
			if v.Sent != v.ExactlyOnce {
				t.Errorf("%s: %d sent, %d there exactly once", c.args, v.Sent, v.ExactlyOnce)
			}
		}
		if diff := cmp.Diff([][]string{c.rows, c.verdicts}, [][]string{rows, verdicts}); diff != "" {
			t.Errorf("%s: rows and verdicts (-want +got):\n%s", c.args, diff)
		}
		if len(r.Servers) != 1 || r.Servers[0].RSS == 0 {
			t.Errorf("%s: servers %+v", c.args, r.Servers)
		}
	}
}

func testProgressive(t *testing.T, addr string) {
	results := bench(t, exitClean, "produce --progressive 1,4 --validate"+short+addr)
	if len(results) != 2 || results[0].Config.Concurrency != 1 || results[1].Config.Concurrency != 4 {
		t.Errorf("%d results", len(results))
	}
}

// What is planted in a real log must come out of reading it back: a copy, a lost record, and an
// old record behind newer ones.
func testPlantedFaultsAreReadBack(t *testing.T, addr string) {
	cfg, err := parseFlags([]string{"produce", "--brokers", addr, "--topic", "planted", "--concurrency", "1"})
	if err != nil {
		t.Fatal(err)
	}
	top, err := prepareTopic(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	from, err := top.offsets(t.Context(), atEnd)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	p, err := newProducers(cfg, newRecorder("acknowledged", window{begin, begin.Add(time.Hour)}))
	if err != nil {
		t.Fatal(err)
	}
	send := func() {
		answered := make(chan struct{})
		p.send(0, time.Now(), func() { close(answered) })
		<-answered
	}
	write := func(seq uint64) {
		s := stamp{run: p.ledger.run, seq: seq}
		if err := p.clients[0].ProduceSync(t.Context(), &kgo.Record{Value: s.value(100)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	acknowledge := func() uint64 {
		seq := p.ledger.next(0)
		p.ledger.answered(0, seq, acked)
		return seq
	}
	for range 100 {
		send()
	}
	write(50)             // a copy
	acknowledge()         // lost
	late := acknowledge() // behind newer ones
	send()
	write(late)
	p.finish(cfg.Timeout)
	to, err := top.offsets(t.Context(), atEnd)
	if err != nil {
		t.Fatal(err)
	}
	seen := newReading(p.ledger, top.partitions)
	got := seen.judge("read back", readBack(cfg, top, seen, from, to))
	want := verdict{Reader: "read back", Sent: 103, Acknowledged: 103, ExactlyOnce: 101, Measured: 100}
	want.Missing, want.Duplicates, want.OutOfOrder = 1, 1, 1
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(verdict{}), cmpopts.IgnoreFields(findings{}, "Examples")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func testFailuresExitWithOne(t *testing.T, addr string) {
	r := bench(t, exitFailed, "produce --concurrency 1 --message-size 2000000"+short+addr)[0]
	if len(r.Failures) != 1 || r.Failures[0].Kind != "MESSAGE_TOO_LARGE" || r.Measured[0].Count != 0 {
		t.Errorf("%+v", r.Failures)
	}
	for args, want := range map[string]string{
		"produce --partitions 7 --brokers " + addr:   "exists with 3 partitions and 1 replicas",
		"consume --topic none --brokers " + addr:     "there is no topic none to consume",
		"produce --brokers 127.0.0.1:1":              "is a broker there? name another with --brokers",
		"produce --server-pids 0 --brokers " + addr:  "can't watch process 0",
		"produce --topic x/y --brokers " + addr:      "topic x/y is not ready: INVALID_TOPIC_EXCEPTION",
		"produce --json-output /no/f" + short + addr: "--json-output: open /no/f",
	} {
		var out, errs strings.Builder
		if code := run(t.Context(), strings.Fields(args), &out, &errs, nil); code != exitFailed || !strings.Contains(errs.String(), want) {
			t.Errorf("bench %s: exit code %d, %q; want %q", args, code, errs.String(), want)
		}
	}
}

func testAnInterruptedRunIsStillValidated(t *testing.T, addr string) {
	cfg, err := parseFlags(strings.Fields("produce --validate --duration 1m --warmup-duration 0s --brokers " + addr))
	if err != nil {
		t.Fatal(err)
	}
	top, err := prepareTopic(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	r, err := measure(ctx, cfg, top, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Interrupted || r.Seconds > 30 || r.failed() || len(r.Verdicts) != 1 || r.Verdicts[0].ExactlyOnce == 0 {
		t.Errorf("interrupted %v after %f s, verdicts %+v", r.Interrupted, r.Seconds, r.Verdicts)
	}
}

// It kills the broker, so it is the last one.
func testABrokerThatDiesIsReported(t *testing.T, addr string, pid int) {
	killed := time.AfterFunc(time.Second, func() { syscall.Kill(pid, syscall.SIGKILL) })
	defer killed.Stop()
	r := bench(t, exitFailed, "produce-consume --validate --warmup-duration 0s --duration 1500ms --timeout 1s --brokers "+addr)[0]
	if r.Measured[0].Count == 0 || len(r.Failures) == 0 {
		t.Errorf("measured %d before, failures %+v", r.Measured[0].Count, r.Failures)
	}
	for _, v := range r.Verdicts {
		if v.Problem == "" || v.Missing > 0 {
			t.Errorf("%s: what could not be read is unread, not missing: %+v", v.Reader, v)
		}
	}
	if len(r.Verdicts) != 2 {
		t.Errorf("%d verdicts, want 2", len(r.Verdicts))
	}
}

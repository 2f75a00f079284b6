// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// newTable aligns cells, ended by a tab each, to the right.
func newTable(w io.Writer) *tabwriter.Writer {
	return tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
}

// printResult prints everything about one step.
func printResult(w io.Writer, r result) {
	fmt.Fprintf(w, "%s: %s; %s\n", r.Config.Mode, r.Config.callers(), describeLoad(r))
	fmt.Fprintf(w, "%.1f s measured after %v of warm-up", r.Seconds, r.Config.Warmup)
	if r.Interrupted {
		fmt.Fprint(w, ", interrupted")
	}
	fmt.Fprint(w, "; latencies in ms\n\n")
	table := newTable(w)
	fmt.Fprintln(table, "\tper second\tMiB/s\tmean\tp50\tp90\tp99\tp99.9\tp99.99\tmax\t")
	for i, m := range r.Measured {
		rates := "\t"
		if i == 0 || m.Count > 0 {
			rates = group(m.PerSecond) + "\t" + mib(float64(m.Bytes)/max(r.Seconds, 1e-9))
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t\n", m.Name, rates, latencyCells(m.Latency))
	}
	for _, v := range r.Verdicts {
		if v.Sent > 0 && r.Seconds > 0 {
			fmt.Fprintf(table, "%s, once\t%s\t\t\t\t\t\t\t\t\t\n", v.Reader, group(float64(v.Measured)/r.Seconds))
		}
	}
	table.Flush()
	printCPU(w, r)
	printTrouble(w, r)
}

func describeLoad(r result) string {
	var parts []string
	if writes(r.Config.Mode) {
		parts = append(parts, fmt.Sprintf("%d B, acks=%s, compression %s, linger %d ms", r.Config.MessageSize, r.Config.Acks, r.Config.Compression, r.Config.LingerMs))
	}
	if r.Config.Rate > 0 {
		parts = append(parts, fmt.Sprintf("open loop of %s a second", group(float64(r.Config.Rate))))
	} else if r.Config.Mode != modeConsume {
		parts = append(parts, "closed loop")
	}
	return strings.Join(append(parts, fmt.Sprintf("topic %s of %d partitions, %d replicas", r.Config.Topic, r.Partitions, r.Replicas)), "; ")
}

func writes(mode string) bool { return mode != modeConsume && mode != modeMetadata }

func latencyCells(p percentiles) string {
	if p.Count == 0 {
		return strings.Repeat("\t", 6)
	}
	cells := []string{ms(p.Mean)}
	for _, v := range []int64{p.P50, p.P90, p.P99, p.P999, p.P9999, p.Max} {
		cells = append(cells, ms(float64(v)))
	}
	return strings.Join(cells, "\t")
}

// printCPU prints what the processes used, per message of the first row.
func printCPU(w io.Writer, r result) {
	if r.Seconds == 0 {
		return
	}
	fmt.Fprintln(w)
	table := newTable(w)
	fmt.Fprintln(table, "\tCPU %\tus per message\tRSS MiB\tpeak\t")
	row := func(name string, cpu time.Duration, memory string) {
		fmt.Fprintf(table, "%s\t%.0f\t%.2f\t%s\t\n", name, 100*cpu.Seconds()/r.Seconds, r.perMessage(cpu), memory)
	}
	row("this client", r.ClientCPU, "\t")
	for _, u := range r.Servers {
		row(fmt.Sprintf("server %d", u.PID), u.CPU, mib(float64(u.RSS))+"\t"+mib(float64(u.PeakRSS)))
	}
	if len(r.Servers) > 1 {
		row("servers", r.serverCPU(), "\t")
	}
	table.Flush()
}

func (r *result) serverCPU() (sum time.Duration) {
	for _, u := range r.Servers {
		sum += u.CPU
	}
	return sum
}

// printTrouble prints errors and verdicts.
func printTrouble(w io.Writer, r result) {
	fmt.Fprintln(w)
	if r.Measured[0].Count == 0 {
		fmt.Fprintf(w, "FAILED: nothing was %s in the measured time\n", r.Measured[0].Name)
	}
	if r.Unsent > 0 {
		fmt.Fprintf(w, "Not sent: %s requests that were due; the cluster is slower than the rate. Each counts with the time that it had waited.\n", group(float64(r.Unsent)))
	}
	if len(r.Failures) == 0 {
		fmt.Fprintln(w, "Errors: none")
	}
	for _, f := range r.Failures {
		what := f.Example
		if !strings.HasPrefix(what, f.Kind) {
			what = fmt.Sprintf("%s (for example: %s)", f.Kind, f.Example)
		}
		fmt.Fprintf(w, "FAILED %s times: %s\n", group(float64(f.Count)), what)
	}
	for _, v := range r.Verdicts {
		printVerdict(w, v)
	}
}

func printVerdict(w io.Writer, v verdict) {
	word := "ok"
	if v.failed() {
		word = "FAILED"
	}
	fmt.Fprintf(w, "Validation (%s): %s", v.Reader, word)
	if v.Sent > 0 {
		fmt.Fprintf(w, "; %s sent, %s acknowledged, %s of them there exactly once", group(float64(v.Sent)), group(float64(v.Acknowledged)), group(float64(v.ExactlyOnce)))
	}
	for _, f := range []struct {
		n    int64
		what string
	}{
		{v.Missing, "missing"},
		{v.Unread, "unread"},
		{v.Duplicates, "duplicates"},
		{v.OutOfOrder, "out of order"},
		{v.Damaged, "damaged"},
		{v.Unknown, "unknown"},
		{v.Unconfirmed, "answered with an error and there all the same"},
		{v.Foreign, "of others"},
	} {
		if f.n > 0 {
			fmt.Fprintf(w, "; %s %s", group(float64(f.n)), f.what)
		}
	}
	fmt.Fprintln(w)
	if v.Problem != "" {
		fmt.Fprintf(w, "  not everything could be read: %s\n", v.Problem)
	}
	for _, x := range v.Examples {
		fmt.Fprintf(w, "  %s\n", x)
	}
}

// printSteps compares the steps of --progressive.
func printSteps(w io.Writer, results []result) {
	if len(results) == 0 {
		return
	}
	first := results[0]
	fmt.Fprintf(w, "%s, progressive, clients %s; %s\n", first.Config.Mode, first.Config.Clients, describeLoad(first))
	fmt.Fprintf(w, "%v measured per step after %v of warm-up; latencies in ms\n\n", first.Config.Duration, first.Config.Warmup)
	table := newTable(w)
	fmt.Fprintln(table, "callers\tper second\tof best before\tMiB/s\tp50\tp99\tp99.9\tmax\tclient us\tservers us\terrors\tvalidation\t")
	best := 0.0
	for _, r := range results {
		m := r.Measured[0]
		l := m.Latency
		for _, other := range r.Measured {
			if l.Count == 0 {
				l = other.Latency // mode consume: of the fetches
			}
		}
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%.2f\t%s\t%d\t%s\t\n", r.Config.Concurrency, group(m.PerSecond), share(m.PerSecond, best),
			mib(float64(m.Bytes)/max(r.Seconds, 1e-9)), ms(float64(l.P50)), ms(float64(l.P99)), ms(float64(l.P999)), ms(float64(l.Max)),
			r.perMessage(r.ClientCPU), serverMicros(r), r.errors(), r.validation())
		best = max(best, m.PerSecond)
	}
	table.Flush()
}

// share is how much of the best step so far a step reached: below 100 % throughput fell.
func share(now, best float64) string {
	if best == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f %%", 100*now/best)
}

func serverMicros(r result) string {
	if len(r.Servers) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", r.perMessage(r.serverCPU()))
}

func (r *result) errors() (n int64) {
	for _, f := range r.Failures {
		n += f.Count
	}
	return n
}

func (r *result) validation() string {
	word := "-"
	for _, v := range r.Verdicts {
		if v.failed() {
			return "FAILED"
		}
		word = "ok"
	}
	return word
}

// The live line overwrites itself.
const clearToEnd = "\r\x1b[K"

func printWarmup(w io.Writer, at, of time.Duration) {
	fmt.Fprintf(w, "%swarming up, %.0f of %v", clearToEnd, at.Seconds(), of)
}

func printLive(w io.Writer, at, of time.Duration, rows []measurement) {
	fmt.Fprintf(w, "%s%.0f of %v", clearToEnd, at.Seconds(), of)
	for i, m := range rows {
		s := m.Series[len(m.Series)-1]
		if i > 0 && s.Count == 0 {
			continue
		}
		fmt.Fprintf(w, "  %s %s/s", m.Name, group(float64(s.Count)/s.Seconds))
		if s.Latency.Count > 0 {
			fmt.Fprintf(w, " p50 %s p99 %s ms", ms(float64(s.Latency.P50)), ms(float64(s.Latency.P99)))
		}
		var errors int64
		for _, s := range m.Series {
			errors += s.Errors
		}
		if errors > 0 {
			fmt.Fprintf(w, " ERRORS %d", errors)
		}
	}
}

func clearLine(w io.Writer) {
	if w != nil {
		fmt.Fprint(w, clearToEnd)
	}
}

// ms shows microseconds as milliseconds, to about three digits.
func ms(us float64) string {
	switch v := us / 1000; {
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	default:
		return group(v)
	}
}

func mib(bytes float64) string { return fmt.Sprintf("%.1f", bytes/(1<<20)) }

// group shows a number without decimals, in groups of three digits.
func group(v float64) string {
	digits := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// writeFiles writes what --json-output and --csv-output ask for.
func writeFiles(cfg config, results []result) error {
	if cfg.jsonFile != "" {
		text, err := json.MarshalIndent(results, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(cfg.jsonFile, append(text, '\n'), 0o644); err != nil {
			return fmt.Errorf("--json-output: %w", err)
		}
	}
	if cfg.csvFile != "" {
		if err := writeCSV(cfg.csvFile, results); err != nil {
			return fmt.Errorf("--csv-output: %w", err)
		}
	}
	return nil
}

// csvColumns are the columns of --csv-output; a line per step and row of the table.
var csvColumns = []struct {
	name string
	cell func(result, measurement) any
}{
	{"mode", func(r result, _ measurement) any { return r.Config.Mode }},
	{"clients", func(r result, _ measurement) any { return r.Config.Clients }},
	{"concurrency", func(r result, _ measurement) any { return r.Config.Concurrency }},
	{"async", func(r result, _ measurement) any { return r.Config.Async }},
	{"message_size", func(r result, _ measurement) any { return r.Config.MessageSize }},
	{"acks", func(r result, _ measurement) any { return r.Config.Acks }},
	{"compression", func(r result, _ measurement) any { return r.Config.Compression }},
	{"linger_ms", func(r result, _ measurement) any { return r.Config.LingerMs }},
	{"rate_limit", func(r result, _ measurement) any { return r.Config.Rate }},
	{"partitions", func(r result, _ measurement) any { return r.Partitions }},
	{"replicas", func(r result, _ measurement) any { return r.Replicas }},
	{"seconds", func(r result, _ measurement) any { return r.Seconds }},
	{"what", func(_ result, m measurement) any { return m.Name }},
	{"count", func(_ result, m measurement) any { return m.Count }},
	{"bytes", func(_ result, m measurement) any { return m.Bytes }},
	{"per_second", func(_ result, m measurement) any { return m.PerSecond }},
	{"mean_us", func(_ result, m measurement) any { return m.Latency.Mean }},
	{"p50_us", func(_ result, m measurement) any { return m.Latency.P50 }},
	{"p90_us", func(_ result, m measurement) any { return m.Latency.P90 }},
	{"p99_us", func(_ result, m measurement) any { return m.Latency.P99 }},
	{"p99.9_us", func(_ result, m measurement) any { return m.Latency.P999 }},
	{"p99.99_us", func(_ result, m measurement) any { return m.Latency.P9999 }},
	{"max_us", func(_ result, m measurement) any { return m.Latency.Max }},
	{"client_us_per_message", func(r result, _ measurement) any { return r.perMessage(r.ClientCPU) }},
	{"servers_us_per_message", func(r result, _ measurement) any { return serverMicros(r) }},
	{"errors", func(r result, _ measurement) any { return r.errors() }},
	{"validation", func(r result, _ measurement) any { return r.validation() }},
}

func writeCSV(name string, results []result) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	w := csv.NewWriter(f)
	var head []string
	for _, c := range csvColumns {
		head = append(head, c.name)
	}
	rows := [][]string{head}
	for _, r := range results {
		for _, m := range r.Measured {
			var row []string
			for _, c := range csvColumns {
				row = append(row, fmt.Sprint(c.cell(r, m)))
			}
			rows = append(rows, row)
		}
	}
	if err := w.WriteAll(rows); err != nil {
		return err
	}
	return f.Close()
}

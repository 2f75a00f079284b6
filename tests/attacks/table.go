// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

var columns = []string{"attack", "brokers", "runs", "done", "step CPU", "step clock", "machine's gap", "CPU brokers / attacker / polite", "quiet p50/p99", "during p50/p99/max", "memory MiB", "verdict"}

func (r *result) cells() []string {
	return []string{
		r.name, fmt.Sprint(r.brokers), fmt.Sprint(r.runs), fmt.Sprint(r.done), fmt.Sprint(round(r.steps.CPU)), fmt.Sprint(round(r.steps.Clock)), fmt.Sprint(round(r.gap)), r.cpu.String(),
		fmt.Sprintf("%v/%v", round(r.quiet.P50), round(r.quiet.P99)),
		fmt.Sprintf("%v/%v/%v", round(r.during.P50), round(r.during.P99), round(r.during.Max)), fmt.Sprint(r.memory >> 20), r.verdict(),
	}
}

func (r *result) verdict() string {
	if len(r.trouble) > 0 {
		return "BROKEN: " + strings.Join(r.trouble, "; ")
	}
	return "ok"
}

// printTable prints the rows for a terminal and, if asked to, in Markdown.
func printTable(w io.Writer, o options, rows []result) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.ToUpper(strings.Join(columns, "\t")))
	broken := 0
	for _, r := range rows {
		fmt.Fprintln(t, strings.Join(r.cells(), "\t"))
		if len(r.trouble) > 0 {
			broken++
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "quiet is the median of %d windows of %v; the attacker gets only CPU that nobody else wants, as if on another machine\n", o.windows, o.quiet)
	if !o.once {
		fmt.Fprintln(w, "where runs is 3 the first had a bad p99, and the run with the median is shown; steps and memory are the worst of all")
	}
	fmt.Fprintf(w, "bounds: a step %v of CPU time, p99 %v times the quiet one or %v, memory %d MiB a broker\n", o.step, o.times, o.floor, memoryBound(o.memory)>>20)
	if o.markdown {
		printMarkdown(w, rows)
	}
	if broken > 0 {
		return fmt.Errorf("%w: by %d of %d attacks", errBroken, broken, len(rows))
	}
	if len(rows) == 0 {
		return errors.New("no attack has such a name")
	}
	return nil
}

func printMarkdown(w io.Writer, rows []result) {
	fmt.Fprintf(w, "\n| %s |\n|%s\n", strings.Join(columns, " | "), strings.Repeat(" --- |", len(columns)))
	for _, r := range rows {
		fmt.Fprintf(w, "| %s |\n", strings.Join(r.cells(), " | "))
	}
}

func round(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }

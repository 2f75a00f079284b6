// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"slices"
)

// print prints a table in Markdown for each shape: the medians of the rounds, and how this broker's rate compares.
func (c *comparison) print(peers []peer) {
	for i := range shapes {
		s := &shapes[i]
		if !slices.ContainsFunc(c.results, func(r compared) bool { return r.shape == s.name }) {
			continue
		}
		fmt.Fprintf(c.out, "\n**%s**\n\n| peer | rounds | per second: median, least, most | p50 ms | p99 | p99.9 | max | CPU of the servers, us per record | memory of the fullest, MiB | chronik's rate to its |\n", s.name)
		fmt.Fprintln(c.out, "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
		ours := c.of("chronik", s.name)
		for _, p := range peers {
			if all := c.of(p.name, s.name); len(all) > 0 {
				fmt.Fprintln(c.out, row(p.name, all, ours))
			}
		}
		for _, r := range c.results {
			if r.shape == s.name && r.err != nil {
				fmt.Fprintf(c.out, "\nFAILED, %s, round %d: %v\n", r.peer, r.round+1, r.err)
			}
		}
	}
}

// of returns what was measured of a shape on a peer.
func (c *comparison) of(peer, shape string) (all []compared) {
	for _, r := range c.results {
		if r.peer == peer && r.shape == shape && r.err == nil {
			all = append(all, r)
		}
	}
	return all
}

func row(name string, all, ours []compared) string {
	rate := func(r compared) float64 { return r.perSecond }
	rates := sorted(all, rate)
	ratio := "-"
	if len(ours) > 0 {
		ratio = fmt.Sprintf("%.2f", median(ours, rate)/median(all, rate))
	}
	text := fmt.Sprintf("| %s | %d | %s, %s, %s |", name, len(all), group(median(all, rate)), group(rates[0]), group(rates[len(rates)-1]))
	for _, of := range []func(percentiles) int64{
		func(p percentiles) int64 { return p.P50 }, func(p percentiles) int64 { return p.P99 },
		func(p percentiles) int64 { return p.P999 }, func(p percentiles) int64 { return p.Max },
	} {
		text += fmt.Sprintf(" %s |", ms(median(all, func(r compared) float64 { return float64(of(r.latency)) })))
	}
	cpu := median(all, func(r compared) float64 { return r.cpu })
	rss := median(all, func(r compared) float64 { return float64(r.rss) })
	return text + fmt.Sprintf(" %.2f | %.0f | %s |", cpu, rss/(1<<20), ratio)
}

func sorted(all []compared, of func(compared) float64) []float64 {
	var values []float64
	for _, r := range all {
		values = append(values, of(r))
	}
	slices.SortFunc(values, cmp.Compare[float64])
	return values
}

// median is the middle one, or the mean of the two in the middle.
func median(all []compared, of func(compared) float64) float64 {
	v := sorted(all, of)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

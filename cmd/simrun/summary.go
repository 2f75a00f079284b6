// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"chronik/sim/plan"
)

// summary adds up a campaign. Its JSON form is what scripts read; fields may be added.
type summary struct {
	Profile        string           `json:"profile"`
	Seeds          int64            `json:"seeds"`
	FirstSeed      uint64           `json:"first_seed"`
	LastSeed       uint64           `json:"last_seed"`
	Failed         int64            `json:"failed"`
	Failures       []failure        `json:"failures"`
	VirtualSeconds int64            `json:"virtual_seconds"`
	WallSeconds    int64            `json:"wall_seconds"`
	CPUMillis      int64            `json:"cpu_milliseconds"` // processor time that all workers took for the seeds
	Steps          int64            `json:"steps"`
	Messages       int64            `json:"messages"`
	DiskOps        int64            `json:"disk_ops"`
	Ops            int64            `json:"ops"`
	Acked          int64            `json:"acked"`
	Crashes        int64            `json:"crashes"`
	Faults         map[string]int64 `json:"faults"`
	FaultsMattered map[string]int64 `json:"faults_mattered"`
	Events         map[string]int64 `json:"events"`
	NeverSeen      []string         `json:"events_never_seen"`
	Checks         map[string]int64 `json:"checks"`
	NeverChecked   []string         `json:"checks_never_evaluated"`
	Cells          map[string]int64 `json:"cells"`      // how often clients reached them
	CellSeeds      map[string]int64 `json:"cell_seeds"` // in how many seeds
	NeverReached   []string         `json:"cells_never_reached"`
	Unlisted       []string         `json:"outcomes_unlisted"` // that package matrix doesn't know

	virtualNs int64
	cpuNs     int64
}

// failure is one failing seed.
type failure struct {
	Seed  uint64 `json:"seed"`
	Check string `json:"check"`
	Text  string `json:"text"`
	// Deterministic says that a second run had the same trace hash.
	Deterministic bool `json:"deterministic"`
}

func newSummary(profile string) *summary {
	return &summary{
		Profile: profile, Failures: []failure{},
		Faults: make(map[string]int64), FaultsMattered: make(map[string]int64),
		Events: make(map[string]int64), Checks: make(map[string]int64),
		Cells: make(map[string]int64), CellSeeds: make(map[string]int64), Unlisted: []string{},
	}
}

func (s *summary) add(o outcome) {
	r := o.Result
	if s.Seeds == 0 || r.Seed < s.FirstSeed {
		s.FirstSeed = r.Seed
	}
	s.LastSeed = max(s.LastSeed, r.Seed)
	s.Seeds++
	s.virtualNs += int64(r.Virtual)
	s.cpuNs += o.CPUNs
	s.VirtualSeconds, s.CPUMillis = s.virtualNs/1e9, s.cpuNs/1e6
	s.Steps += r.Steps
	s.Messages += r.Messages
	s.DiskOps += r.DiskOps
	s.Ops += r.Ops
	s.Acked += r.Acked
	s.Crashes += r.Crashes
	for _, f := range r.Faults {
		s.Faults[string(f.Kind)] += f.Fired
		s.FaultsMattered[string(f.Kind)] += f.Mattered
	}
	for i, n := range r.Events {
		s.Events[plan.EventNames()[i]] += n
	}
	for _, c := range r.Checks {
		s.Checks[c.Check] += c.Count
	}
	for _, c := range r.Cells {
		s.Cells[c.Name] += c.Count
		s.CellSeeds[c.Name]++
	}
	for _, name := range r.Unlisted {
		if !slices.Contains(s.Unlisted, name) {
			s.Unlisted = append(s.Unlisted, name)
		}
	}
	if f := r.Failure; f != nil {
		s.Failed++
		s.Failures = append(s.Failures, failure{r.Seed, f.Check, f.Text, o.Again == r.Hash})
	}
	s.NeverSeen, s.NeverChecked = zeros(s.Events), zeros(s.Checks)
}

// zeros lists the names that count nothing.
func zeros(counts map[string]int64) []string {
	names := []string{}
	for name, n := range counts {
		if n == 0 && name != "invalid" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (s *summary) printJSON(w io.Writer) error {
	s.NeverReached = s.neverReached()
	return json.NewEncoder(w).Encode(s)
}

func (s *summary) print(w io.Writer, workers int) {
	fmt.Fprintf(w, "%d seeds (%d..%d) of profile %s, %d failed\n", s.Seeds, s.FirstSeed, s.LastSeed, s.Profile, s.Failed)
	fmt.Fprintf(w, "%d virtual seconds in %d s with %d workers: %d virtual seconds per core second\n",
		s.VirtualSeconds, s.WallSeconds, workers, s.VirtualSeconds*1000/max(s.CPUMillis, 1))
	fmt.Fprintf(w, "%d steps, %d messages, %d disk operations, %d calls answered, %d records acknowledged, %d crashes\n",
		s.Steps, s.Messages, s.DiskOps, s.Ops, s.Acked, s.Crashes)
	var faults []string
	for _, name := range plan.FaultNames() {
		faults = append(faults, fmt.Sprintf("%s %d", name, s.Faults[name]))
	}
	fmt.Fprintf(w, "faults: %s\n", strings.Join(faults, ", "))
	fmt.Fprintf(w, "events never seen: %s\n", orNone(s.NeverSeen))
	fmt.Fprintf(w, "invariants never evaluated: %s\n", orNone(s.NeverChecked))
	s.printCells(w)
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// oneLine keeps a text on one line.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"chronik/sim"
	"chronik/sim/plan"
)

// The picture shows what the run tells of itself: as many crashes, elections, faults and answered calls.
func TestPicture(t *testing.T) {
	faults := 0
	for seed := range uint64(30) {
		world, err := plan.Generate(seed, "default")
		if err != nil {
			t.Fatal(err)
		}
		var p picture
		acked, crashes := 0, int64(0)
		r := sim.Run(world, sim.Options{Trace: func(line string) {
			p.line(line)
			if strings.Contains(line, " produce ok ") {
				acked++
			}
			if strings.Contains(line, "  crash power=") {
				crashes++
			}
		}})
		if r.Failure != nil {
			t.Fatalf("seed %d: %v", seed, r.Failure)
		}
		var b strings.Builder
		if err := p.svg(&b, "a < b"); err != nil {
			t.Fatal(err)
		}
		text := b.String()
		for d := xml.NewDecoder(strings.NewReader(text)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		for what, want := range map[string]int64{"<title>crash power=": crashes, "<title>leads group ": eventCount(r, "became leader")} {
			if got := strings.Count(text, what); int64(got) != want {
				t.Errorf("seed %d: %d of %q in the picture, %d in the run", seed, got, what, want)
			}
		}
		if strings.Contains(text, "%!") || len(p.acked) != acked || len(p.lanes) != world.Brokers {
			t.Errorf("seed %d: %d answers of %d, %d lanes", seed, len(p.acked), acked, len(p.lanes))
		}
		faults += strings.Count(text, "<title>fault ")
	}
	if faults < 50 {
		t.Errorf("%d faults", faults)
	}
}

func eventCount(r *sim.Result, name string) int64 {
	for i, n := range plan.EventNames() {
		if n == name {
			return r.Events[i]
		}
	}
	return -1
}

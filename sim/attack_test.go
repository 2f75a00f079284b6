// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"bytes"
	"testing"

	"chronik/kafka"
	"chronik/sim/plan"
)

// TestAttacksAreDrawnAndAnswered shows that every kind of attack happens, and that brokers answer those
// that can be understood.
func TestAttacksAreDrawnAndAnswered(t *testing.T) {
	sent, answered := make(map[plan.FaultKind]int64), make(map[plan.FaultKind]int64)
	for s := range uint64(24) {
		r := Run(mustGenerate(t, s, "hostile"), Options{})
		for _, a := range r.Attacks {
			sent[a.Kind] += a.Fired
			answered[a.Kind] += a.Mattered
		}
	}
	for _, kind := range plan.AttackKinds {
		if sent[plan.FaultKind(kind)] == 0 {
			t.Errorf("%s is never tried", kind)
		}
		if answered[plan.FaultKind(kind)] == 0 && kind != plan.AttackGarbage && kind != plan.AttackConnect {
			t.Errorf("%s never gets an answer, so it reaches nothing", kind)
		}
	}
}

func TestBombUnfolds(t *testing.T) {
	raw := compressed(kafka.AppendBatch(nil, kafka.NewBatchSpec(kafka.Record{Key: []byte("k"), Value: make([]byte, 1<<20)})))
	if _, err := kafka.CheckBatch(raw, 2<<20); err != nil || len(raw) > 10<<10 {
		t.Fatalf("%d bytes, error %v", len(raw), err)
	}
	size := 0
	err := kafka.Unpack(raw, 2<<20, func(_, _ int64, _, value []byte) error {
		size += len(value)
		return nil
	})
	if err != nil || size != 1<<20 {
		t.Errorf("it unfolds to %d bytes, error %v", size, err)
	}
}

// TestFramesFollowFromThePlan expands an attack twice.
func TestFramesFollowFromThePlan(t *testing.T) {
	p := mustGenerate(t, 1, "hostile")
	for _, kind := range plan.AttackKinds {
		spec := &plan.Attack{ID: 1, Kind: kind, Topic: p.Topics[0].Name, Count: 1, Names: 10, Size: 100, Ahead: 1}
		frame := func() []byte {
			a := &attacker{spec: spec, number: 1}
			return a.frame(newWorld(p, Options{}))
		}
		if !bytes.Equal(frame(), frame()) {
			t.Errorf("%s: two different frames", kind)
		}
	}
}

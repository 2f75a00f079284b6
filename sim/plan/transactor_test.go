// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strings"
	"testing"
)

// transactional generates a plan with a chain.
func transactional(t *testing.T) *Plan {
	for s := range uint64(100) {
		p := mustGenerate(t, s, "transactions")
		for i := range p.Transactors {
			if p.Transactors[i].From != "" {
				return p
			}
		}
	}
	t.Fatal("no plan has a chain")
	return nil
}

func TestTransactorsRefused(t *testing.T) {
	chain := func(p *Plan) *Transactor {
		for i := range p.Transactors {
			if p.Transactors[i].From != "" {
				return &p.Transactors[i]
			}
		}
		return nil
	}
	for _, c := range []struct {
		change func(*Plan)
		want   string
	}{
		{func(p *Plan) { p.Transactors[0].TxnID = "" }, "txn_id not empty"},
		{func(p *Plan) { p.Transactors[0].Topics = []string{"none"} }, `no topic "none"`},
		{func(p *Plan) { p.Transactors[0].Topics = nil }, "topics sorted and not empty"},
		{func(p *Plan) { chain(p).Group = "" }, "come together"},
		{func(p *Plan) { chain(p).Parts = []int32{77} }, "no partition"},
		{func(p *Plan) { p.Topic(chain(p).From).Keys = 1 }, "is compacted"},
		{func(p *Plan) { p.Transactors[0].Rest = -1 }, "rest not negative"},
		{func(p *Plan) {
			p.AbortsWithin, p.Transactors[0].Topics, chain(p).Topics = second, chain(p).Topics, chain(p).Topics
		}, "two transactors write to topic"},
		{func(p *Plan) {
			p.Transactors = append(p.Transactors, *chain(p))
			p.Transactors[len(p.Transactors)-1].ID = 99
		}, "another one of the group has it"},
		{func(p *Plan) { p.Readers[0].Pause = 0 }, "timeout and pause"},
		{func(p *Plan) {
			p.Calls = append(p.Calls, Call{ID: 1 << 20, Client: p.Clients[0].ID, Kind: CallDelete, Topic: p.Transactors[0].Topics[0]})
		}, "nobody may delete"},
	} {
		p := transactional(t)
		c.change(p)
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one about %q", err, c.want)
		}
	}
}

// What is left out of a plan with transactions leaves a plan.
func TestTransactorsShrink(t *testing.T) {
	p := Shrink(transactional(t), func(p *Plan) bool { return len(p.Transactors) > 0 })
	if len(p.Transactors) != 1 || len(p.Readers) != 0 || p.Transactors[0].Crashes+p.Transactors[0].Doubles+p.Transactors[0].Aborts != 0 {
		t.Errorf("%d transactors, %d readers: %+v", len(p.Transactors), len(p.Readers), p.Transactors[0])
	}
}

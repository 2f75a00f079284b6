// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// permit is a request, and the rights that it needs, each as "READ TOPIC t".
type permit struct {
	name   string
	req    kmsg.Request
	rights []string
}

// rightsScene asks for everything that is served: by who hasn't logged in, with a wrong password, without any right, with each of the
// rights missing and denied, and with all of them.
func rightsScene(s *session) {
	s.as(administrator)
	permits := s.furnish()
	turns := slices.Collect(func(yield func(turn) bool) {
		for i, p := range permits {
			for j, t := range turnsOf(p) {
				t.user = fmt.Sprintf("u%d-%d", i, j)
				if !yield(t) {
					return
				}
			}
		}
	})
	s.prepare(turns)
	served := s.served(permits)
	s.hangUp()
	s.strangers(permits, served)
	for _, t := range turns {
		if !served[t.req.Key()] {
			continue
		}
		s.as(t.user)
		s.row(t.name, t.req, func(resp kmsg.Response) {
			if q, yes := resp.(*kmsg.DescribeQuorumResponse); yes { // how long its log is is its own business
				for i := range q.Topics {
					p := &q.Topics[i].Partitions[0]
					p.HighWatermark, p.CurrentVoters[0].LogEndOffset = 0, 0
				}
			}
		})
	}
}

// turnsOf are those of a permit, the one that is served last.
func turnsOf(p permit) []turn {
	turns := []turn{{name: p.name + ", no right", req: p.req}}
	var all []string
	for _, r := range p.rights {
		all = append(all, "ALLOW "+r)
	}
	for i, r := range p.rights {
		if len(all) > 1 {
			turns = append(turns, turn{name: p.name + ", without " + r, req: p.req, rules: slices.Delete(slices.Clone(all), i, i+1)})
		}
		turns = append(turns, turn{name: p.name + ", denied " + r, req: p.req, rules: append(slices.Clone(all), "DENY "+r)})
	}
	if len(all) > 0 {
		turns = append(turns, turn{name: p.name + ", all rights", req: p.req, rules: all})
	}
	return turns
}

// served are the keys that the broker serves. It fails if one of them has no permit.
func (s *session) served(permits []permit) map[int16]bool {
	asked, served := make(map[int16]bool), make(map[int16]bool)
	for _, p := range permits {
		asked[p.req.Key()] = true
	}
	resp, yes := s.demand(&kmsg.ApiVersionsRequest{}).(*kmsg.ApiVersionsResponse)
	if !yes {
		return nil
	}
	for _, k := range resp.ApiKeys {
		served[k.ApiKey] = true
		if !asked[k.ApiKey] && !notOurs[k.ApiKey] && s.err == nil {
			s.err = fmt.Errorf("%s: nothing asks for %s", s.scene, kmsg.NameForKey(k.ApiKey))
		}
	}
	return served
}

// notOurs are what Kafka serves and we don't: delegation tokens, telemetry, groups of the kinds share and streams, voters.
var notOurs = map[int16]bool{
	38: true, 39: true, 40: true, 41: true, 71: true, 72: true, 76: true, 77: true, 78: true, 79: true, 80: true, 81: true, 83: true, 84: true, 85: true,
	86: true, 87: true, 88: true, 89: true, 90: true, 91: true, 92: true,
}

// strangers ask for everything before they have logged in, and after they failed to, some at the same time.
func (s *session) strangers(permits []permit, served map[int16]bool) {
	type result struct {
		answer
		err error
	}
	asked := make(map[int16]bool)
	var results []*result
	var all sync.WaitGroup
	places := make(chan struct{}, 8)
	ask := func(name string, req kmsg.Request, first func(*broker) (string, error)) {
		r := &result{answer: answer{name: s.scene + ": " + name}}
		results = append(results, r)
		all.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			b := &broker{addr: s.addr}
			defer b.hangUp()
			if r.text, r.err = first(b); r.err != nil {
				return
			}
			resp, err := b.ask(req)
			said := "no answer"
			if resp != nil {
				said = s.lens.render(resp)
			}
			r.text, r.err = strings.TrimPrefix(r.text+"; "+said, "; "), err
		})
	}
	for _, p := range permits {
		if key := p.req.Key(); !asked[key] && served[key] {
			asked[key] = true
			what := strings.SplitN(p.name, ",", 2)[0]
			ask(what+", not logged in", p.req, func(*broker) (string, error) { return "", nil })
			ask(what+", wrong password", p.req, func(b *broker) (string, error) { return b.logIn(administrator, "a guess") })
		}
	}
	all.Wait()
	for _, r := range results {
		if r.err != nil && s.err == nil {
			s.err = fmt.Errorf("%s: %w", r.name, r.err)
		}
		s.answers = append(s.answers, r.answer)
	}
}

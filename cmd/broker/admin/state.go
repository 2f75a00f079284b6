// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"
)

// state is what status prints.
type state struct {
	Cluster    string            `json:"cluster"`
	Controller int32             `json:"controller"`
	Brokers    []brokerState     `json:"brokers"`
	Partitions int               `json:"partitions"`
	Moves      map[string]string `json:"moves"`
	OutOfSync  []string          `json:"out_of_sync"`
	Leaderless []string          `json:"without_leader"`
	TwoLegged  int               `json:"with_two_replicas"`
	Shared     []string          `json:"on_one_machine"` // partitions with two replicas on one machine

	silent []int32 // brokers that didn't say on which machine they are
}

type brokerState struct {
	ID        int32  `json:"id"`
	Connected bool   `json:"connected"`
	Address   string `json:"address"`
	Rack      string `json:"rack"`
	Machine   string `json:"machine"`
	Replicas  int    `json:"replicas"`
	Leads     int    `json:"leads"`
}

func parseStatus(args []string, _ io.Reader) (action, error) {
	o := newOptions("status")
	every := o.Duration("watch", 0, "")
	if _, err := o.words(args, 0, 0); err != nil {
		return nil, err
	}
	if *every != 0 && *every < 100*time.Millisecond {
		return nil, fmt.Errorf("admin status: -watch %v: use 100ms or more", *every)
	}
	return func(ctx context.Context, a *admin) error {
		if *every > 0 {
			return a.watch(ctx, *every, *o.json)
		}
		return a.status(ctx, *o.json)
	}, nil
}

// watch prints the state again and again until somebody stops it. A cluster that doesn't answer is no reason to end.
func (a *admin) watch(ctx context.Context, every time.Duration, asJSON bool) error {
	f, ok := a.out.(*os.File)
	screen := ok && term.IsTerminal(int(f.Fd()))
	for {
		var page strings.Builder
		b := *a
		b.out = &page
		if err := b.status(ctx, asJSON); err != nil && ctx.Err() == nil && !asJSON {
			b.say("%v", err)
		}
		if ctx.Err() != nil {
			return nil
		}
		head := ""
		if screen {
			head = "\033[H\033[2J"
		}
		if !asJSON {
			head += time.Now().Format(time.DateTime) + ", every " + every.String() + "\n"
		}
		fmt.Fprint(a.out, head+page.String())
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
		}
	}
}

// status prints how the cluster is. A partition without a leader makes it an error.
func (a *admin) status(ctx context.Context, asJSON bool) error {
	s, err := a.state(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		err = a.print(s)
	} else {
		a.printState(s)
	}
	if len(s.Leaderless) > 0 {
		return fmt.Errorf("%d partitions have no leader, so that nobody can write to them or read from them; each needs a majority of its brokers:\n  %s",
			len(s.Leaderless), strings.Join(s.Leaderless, "\n  "))
	}
	return err
}

func (a *admin) state(ctx context.Context) (*state, error) {
	c, err := a.look(ctx)
	if err != nil {
		return nil, err
	}
	moves, err := a.underWay(ctx)
	if err != nil {
		return nil, err
	}
	on, silent := a.machinesSoon(ctx, c.live())
	return &state{
		Cluster: c.id, Controller: c.controller, Brokers: c.brokerStates(on), Partitions: len(c.partitions),
		Moves: moves, OutOfSync: c.outOfSync(), Leaderless: c.leaderless(), TwoLegged: c.twoLegged(), Shared: c.shared(on), silent: silent,
	}, nil
}

// brokerStates lists the brokers, and those that are not alive but have replicas.
func (c *cluster) brokerStates(on map[int32]string) (list []brokerState) {
	load, leads := make(map[int32]int), make(map[int32]int)
	for _, p := range c.partitions {
		leads[c.leaders[p.String()]]++
		for _, b := range p.replicas {
			load[b]++
		}
	}
	for _, b := range c.brokers {
		s := brokerState{ID: b.NodeID, Connected: true, Address: fmt.Sprintf("%s:%d", b.Host, b.Port), Machine: on[b.NodeID], Replicas: load[b.NodeID], Leads: leads[b.NodeID]}
		if b.Rack != nil {
			s.Rack = *b.Rack
		}
		list = append(list, s)
	}
	for _, b := range slices.Sorted(maps.Keys(load)) {
		if !slices.Contains(c.live(), b) {
			list = append(list, brokerState{ID: b, Replicas: load[b], Leads: leads[b]})
		}
	}
	slices.SortFunc(list, func(a, b brokerState) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

func (a *admin) printState(s *state) {
	a.say("cluster %s; broker %d leads the catalog", s.Cluster, s.Controller)
	named := slices.ContainsFunc(s.Brokers, func(b brokerState) bool { return b.Machine != "" })
	head := "broker address rack replicas leads"
	if named {
		head = "broker address rack machine replicas leads"
	}
	var rows [][]any
	for _, b := range s.Brokers {
		if !b.Connected {
			b.Address = "not connected"
		}
		row := []any{b.ID, b.Address, b.Rack}
		if named {
			row = append(row, b.Machine)
		}
		rows = append(rows, append(row, b.Replicas, b.Leads))
	}
	a.table(head, rows)
	a.say("%d partitions; moves under way: %d", s.Partitions, len(s.Moves))
	for _, m := range slices.Sorted(maps.Keys(s.Moves)) {
		a.say("  %s %s", m, s.Moves[m])
	}
	if n := len(s.OutOfSync); n > 0 {
		a.say("%d partitions have replicas that are not in sync; stop no other broker before they are (broker admin wait):", n)
		a.say("  %s", strings.Join(s.OutOfSync, "\n  "))
	}
	if s.TwoLegged > 0 {
		a.say("%d partitions have two replicas, and stop when either of their brokers does; three survive the loss of one", s.TwoLegged)
	}
	if len(s.silent) > 0 {
		a.say("brokers %v didn't say on which machines they are within %v: they may hang, or be out of reach from here", s.silent, machinesPatience)
	}
	if n := len(s.Shared); n > 0 {
		a.say("%d partitions have two replicas on one machine, and may stop when it does; broker admin rebalance moves one of the two elsewhere:", n)
		a.say("  %s", strings.Join(s.Shared[:min(n, 10)], "\n  "))
	}
}

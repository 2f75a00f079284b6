// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// groupState is what groups prints of one.
type groupState struct {
	Name        string     `json:"name"`
	State       string     `json:"state"`
	Type        string     `json:"type"`
	Coordinator int32      `json:"coordinator"`
	Partitions  []lagState `json:"partitions,omitempty"`
	Lag         int64      `json:"lag"`
}

type lagState struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed int64  `json:"committed"`
	Start     int64  `json:"start"` // -1: the partition is gone
	End       int64  `json:"end"`
	Lag       int64  `json:"lag"`
}

func parseGroups(args []string, in io.Reader) (action, error) {
	sub, args := subcommand(args, "list", "lag", "reset")
	switch sub {
	case "reset":
		return parseReset(args)
	case "lag":
		o := newOptions("groups lag")
		names, err := o.words(args, 1, 1000)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, a *admin) error { return a.groupLags(ctx, names, *o.json) }, nil
	}
	return parseListing("groups", func(ctx context.Context, a *admin, asJSON bool) error { return a.listGroups(ctx, asJSON) })(args, in)
}

// groups asks all brokers for the groups that they coordinate.
func (a *admin) groups(ctx context.Context) ([]groupState, error) {
	list := []groupState{}
	for _, shard := range a.client.RequestSharded(ctx, kmsg.NewPtrListGroupsRequest()) {
		if shard.Err != nil {
			return nil, fmt.Errorf("broker %d: %w", shard.Meta.NodeID, shard.Err)
		}
		resp := shard.Resp.(*kmsg.ListGroupsResponse)
		if err := refusal(resp.ErrorCode, nil); err != nil {
			return nil, fmt.Errorf("broker %d: %w", shard.Meta.NodeID, err)
		}
		for _, g := range resp.Groups {
			list = append(list, groupState{Name: g.Group, State: g.GroupState, Type: g.GroupType, Coordinator: shard.Meta.NodeID})
		}
	}
	slices.SortFunc(list, func(a, b groupState) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

func (a *admin) listGroups(ctx context.Context, asJSON bool) error {
	list, err := a.groups(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		return a.print(list)
	}
	var rows [][]any
	for _, g := range list {
		rows = append(rows, []any{g.Name, g.State, g.Type, g.Coordinator})
	}
	a.table("group state type coordinator", rows)
	return nil
}

// lags returns groups with what they committed and what is left for them to read.
func (a *admin) lags(ctx context.Context, names []string) ([]groupState, error) {
	all, err := a.groups(ctx)
	if err != nil {
		return nil, err
	}
	list := []groupState{}
	for _, name := range names {
		i := slices.IndexFunc(all, func(g groupState) bool { return g.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no group %q", name)
		}
		g := all[i]
		offsets, err := a.kadm.FetchOffsets(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("offsets of group %s: %w", name, err)
		}
		if err := a.addLags(ctx, &g, offsets); err != nil {
			return nil, err
		}
		list = append(list, g)
	}
	return list, nil
}

func (a *admin) addLags(ctx context.Context, g *groupState, offsets kadm.OffsetResponses) error {
	topics := offsets.Offsets().TopicsSet().Topics()
	if len(topics) == 0 {
		return nil // no name would mean all
	}
	starts, err := a.kadm.ListStartOffsets(ctx, topics...)
	if err != nil {
		return err
	}
	ends, err := a.kadm.ListEndOffsets(ctx, topics...)
	if err != nil {
		return err
	}
	for _, o := range offsets.Sorted() {
		if o.Err != nil {
			return fmt.Errorf("offset of group %s in %s/%d: %w", g.Name, o.Topic, o.Partition, o.Err)
		}
		l := lagState{Topic: o.Topic, Partition: o.Partition, Committed: o.At, Start: offsetIn(starts, o.Topic, o.Partition), End: offsetIn(ends, o.Topic, o.Partition)}
		l.Lag = max(0, l.End-max(l.Committed, l.Start))
		g.Lag += l.Lag
		g.Partitions = append(g.Partitions, l)
	}
	return nil
}

func (a *admin) groupLags(ctx context.Context, names []string, asJSON bool) error {
	list, err := a.lags(ctx, names)
	if err != nil {
		return err
	}
	if asJSON {
		return a.print(list)
	}
	for i, g := range list {
		if i > 0 {
			a.say("")
		}
		a.say("group %s: %s, lag %d", g.Name, g.State, g.Lag)
		var rows [][]any
		for _, p := range g.Partitions {
			rows = append(rows, []any{p.Topic, p.Partition, p.Committed, p.Start, p.End, p.Lag})
		}
		a.table("topic partition committed start end lag", rows)
	}
	return nil
}

// target is where a group's offsets are to be set.
type target struct {
	word   string    // earliest, latest, offset, shift or time
	number int64     // an offset, or how far from where it is
	time   time.Time // the first record that is not older
}

func parseTarget(s string) (target, error) {
	if s == "earliest" || s == "latest" {
		return target{word: s}, nil
	}
	if at, err := time.Parse(time.RFC3339, s); err == nil {
		return target{word: "time", time: at}, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	switch {
	case err != nil:
		return target{}, fmt.Errorf("admin groups reset: -to %q: use earliest, latest, an offset, +N or -N from where it is, or a time such as 2026-01-31T12:00:00Z", s)
	case s[0] == '+' || s[0] == '-':
		return target{word: "shift", number: n}, nil
	}
	return target{word: "offset", number: n}, nil
}

func parseReset(args []string) (action, error) {
	o := newOptions("groups reset")
	to := o.String("to", "", "")
	in := o.String("topic", "", "")
	yes := o.Bool("yes", false, "")
	words, err := o.words(args, 1, 1)
	if err != nil {
		return nil, err
	}
	where, err := parseTarget(*to)
	if err != nil {
		return nil, err
	}
	topic, some, err := parsePartitions(*in)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, a *admin) error { return a.reset(ctx, words[0], where, topic, some, *yes) }, nil
}

// parsePartitions takes TOPIC or TOPIC:0,3; a topic's name has no colon.
func parsePartitions(s string) (topic string, some []int32, err error) {
	topic, list, ok := strings.Cut(s, ":")
	if !ok {
		return topic, nil, nil
	}
	for _, word := range strings.Split(list, ",") {
		n, err := strconv.ParseUint(word, 10, 31)
		if err != nil {
			return "", nil, fmt.Errorf("admin groups reset: -topic %s: %q is no number of a partition", s, word)
		}
		some = append(some, int32(n))
	}
	return topic, some, nil
}

var errGroupHasMembers = errors.New("offsets can be set only while a group has no members: stop them first")

// reset shows what would be set, and sets it if that is wanted.
func (a *admin) reset(ctx context.Context, group string, to target, topic string, some []int32, yes bool) error {
	list, err := a.lags(ctx, []string{group})
	if err != nil && (topic == "" || !strings.HasPrefix(err.Error(), "there is no group")) {
		return err
	}
	g := groupState{Name: group, State: "Empty"}
	if err == nil {
		g = list[0]
	}
	if g.State != "Empty" && g.State != "Dead" {
		return fmt.Errorf("group %s is %s: %w", group, g.State, errGroupHasMembers)
	}
	if topic != "" {
		if g.Partitions, err = a.partitionsOf(ctx, g.Partitions, topic, some); err != nil {
			return err
		}
	}
	set, rows, err := a.aims(ctx, g.Partitions, to)
	if err != nil {
		return err
	}
	a.table("topic partition committed new lag", rows)
	if !yes {
		a.say("nothing was changed; add -yes to set these %d offsets", len(rows))
		return nil
	}
	if err := a.kadm.CommitAllOffsets(ctx, group, set); err != nil {
		return err
	}
	a.say("set %d offsets of group %s", len(rows), group)
	return nil
}

// partitionsOf returns partitions of a topic, committed or not: those that are named, or all.
func (a *admin) partitionsOf(ctx context.Context, committed []lagState, topic string, some []int32) (list []lagState, err error) {
	topics, err := a.topics(ctx, true, topic)
	if err != nil {
		return nil, err
	}
	for _, p := range topics[0].Partitions {
		l := lagState{Topic: topic, Partition: p.Partition, Committed: -1, Start: p.Start, End: p.End}
		for _, c := range committed {
			if c.Topic == topic && c.Partition == p.Partition {
				l = c
			}
		}
		if len(some) == 0 || slices.Contains(some, p.Partition) {
			list = append(list, l)
		}
	}
	if len(list) < len(some) {
		return nil, fmt.Errorf("topic %s has %d partitions, and not all of %v", topic, len(topics[0].Partitions), some)
	}
	return list, nil
}

// aims works out the new offset of each partition, within what there is.
func (a *admin) aims(ctx context.Context, partitions []lagState, to target) (set kadm.Offsets, rows [][]any, err error) {
	var late kadm.ListedOffsets
	if to.word == "time" {
		var names []string
		for _, p := range partitions {
			names = append(names, p.Topic)
		}
		if late, err = a.kadm.ListOffsetsAfterMilli(ctx, to.time.UnixMilli(), slices.Compact(slices.Sorted(slices.Values(names)))...); err != nil {
			return nil, nil, err
		}
	}
	set = make(kadm.Offsets)
	for _, p := range partitions {
		if p.Start < 0 || p.End < 0 {
			return nil, nil, fmt.Errorf("nobody tells the offsets of %s/%d; name other partitions with -topic", p.Topic, p.Partition)
		}
		at := to.number
		switch to.word {
		case "earliest":
			at = p.Start
		case "latest":
			at = p.End
		case "time":
			if at = offsetIn(late, p.Topic, p.Partition); at < 0 {
				at = p.End
			}
		case "shift":
			if p.Committed < 0 {
				return nil, nil, fmt.Errorf("%s/%d has no committed offset to move from", p.Topic, p.Partition)
			}
			at += p.Committed
		}
		at = min(max(at, p.Start), p.End)
		set.AddOffset(p.Topic, p.Partition, at, -1)
		rows = append(rows, []any{p.Topic, p.Partition, noneOr(p.Committed), at, p.End - at})
	}
	return set, rows, nil
}

func noneOr(offset int64) string {
	if offset < 0 {
		return "none"
	}
	return fmt.Sprint(offset)
}

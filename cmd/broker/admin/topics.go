// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// topicState is what topics prints of one.
type topicState struct {
	Name       string            `json:"name"`
	ID         string            `json:"id"`
	Internal   bool              `json:"internal"`
	Partitions []partitionState  `json:"partitions"`
	Settings   map[string]string `json:"settings,omitempty"` // those that are not defaults
}

type partitionState struct {
	Partition int32   `json:"partition"`
	Leader    int32   `json:"leader"`
	Epoch     int32   `json:"leader_epoch"`
	Replicas  []int32 `json:"replicas"`
	InSync    []int32 `json:"in_sync"`
	Start     int64   `json:"start"` // offsets; -1: unknown
	End       int64   `json:"end"`
}

// records is how many records a topic holds at most: some offsets have none.
func (t *topicState) records() (n int64) {
	for _, p := range t.Partitions {
		n += p.End - p.Start
	}
	return n
}

// inSync reports whether all replicas are.
func (t *topicState) inSync() string {
	lacking, leaderless := 0, 0
	for _, p := range t.Partitions {
		if p.Leader < 0 {
			leaderless++
		} else if len(p.InSync) < len(p.Replicas) {
			lacking++
		}
	}
	switch {
	case leaderless > 0:
		return fmt.Sprintf("%d partitions without a leader", leaderless)
	case lacking > 0:
		return fmt.Sprintf("%d partitions not in sync", lacking)
	}
	return "in sync"
}

func parseTopics(args []string, _ io.Reader) (action, error) {
	sub, args := subcommand(args, "list", "describe", "create", "delete")
	switch sub {
	case "create":
		return parseTopicCreate(args)
	case "delete":
		return parseTopicDelete(args)
	}
	o := newOptions("topics")
	internal := o.Bool("internal", false, "")
	least, most := 0, 0
	if sub == "describe" {
		least, most = 1, 1000
	}
	names, err := o.words(args, least, most)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, a *admin) error {
		topics, err := a.topics(ctx, *internal, names...)
		if err != nil {
			return err
		}
		if sub == "describe" {
			if err := a.addSettings(ctx, topics, names); err != nil {
				return err
			}
		}
		switch {
		case *o.json:
			return a.print(topics)
		case sub == "describe":
			a.describeTopics(topics)
		default:
			a.listTopics(topics)
		}
		return nil
	}, nil
}

// topics asks for topics, all if none is named.
func (a *admin) topics(ctx context.Context, internal bool, names ...string) ([]topicState, error) {
	details, err := a.kadm.ListTopicsWithInternal(ctx, names...)
	if err != nil {
		return nil, err
	}
	starts, err := a.kadm.ListStartOffsets(ctx, details.Names()...)
	if err != nil {
		return nil, err
	}
	ends, err := a.kadm.ListEndOffsets(ctx, details.Names()...)
	if err != nil {
		return nil, err
	}
	topics := []topicState{}
	for _, d := range details.Sorted() {
		if d.Err != nil {
			return nil, fmt.Errorf("topic %s: %w", d.Topic, d.Err)
		}
		if d.IsInternal && !internal && len(names) == 0 {
			continue
		}
		t := topicState{Name: d.Topic, ID: d.ID.String(), Internal: d.IsInternal}
		for _, p := range d.Partitions.Sorted() {
			t.Partitions = append(t.Partitions, partitionState{
				p.Partition, p.Leader, p.LeaderEpoch, p.Replicas, p.ISR, offsetIn(starts, d.Topic, p.Partition), offsetIn(ends, d.Topic, p.Partition),
			})
		}
		topics = append(topics, t)
	}
	return topics, nil
}

// offsetIn is a partition's offset; -1 if nobody told.
func offsetIn(list kadm.ListedOffsets, topic string, partition int32) int64 {
	if o, ok := list.Lookup(topic, partition); ok && o.Err == nil {
		return o.Offset
	}
	return -1
}

// addSettings adds what was set for the topics themselves.
func (a *admin) addSettings(ctx context.Context, topics []topicState, names []string) error {
	all, err := a.kadm.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return err
	}
	for i := range topics {
		r, err := all.On(topics[i].Name, nil)
		if err != nil {
			return err
		}
		if r.Err != nil {
			return fmt.Errorf("settings of topic %s: %w", r.Name, r.Err)
		}
		topics[i].Settings = make(map[string]string)
		for _, c := range r.Configs {
			if c.Source == kmsg.ConfigSourceDynamicTopicConfig {
				topics[i].Settings[c.Key] = c.MaybeValue()
			}
		}
	}
	return nil
}

func (a *admin) listTopics(topics []topicState) {
	var rows [][]any
	for _, t := range topics {
		replicas := 0
		for _, p := range t.Partitions {
			replicas = max(replicas, len(p.Replicas))
		}
		rows = append(rows, []any{t.Name, len(t.Partitions), replicas, t.records(), t.inSync()})
	}
	a.table("topic partitions replicas records state", rows)
}

func (a *admin) describeTopics(topics []topicState) {
	for i, t := range topics {
		if i > 0 {
			a.say("")
		}
		a.say("topic %s, id %s: %s", t.Name, t.ID, t.inSync())
		for _, name := range slices.Sorted(maps.Keys(t.Settings)) {
			a.say("  %s=%s", name, t.Settings[name])
		}
		var rows [][]any
		for _, p := range t.Partitions {
			rows = append(rows, []any{p.Partition, p.Leader, p.Epoch, p.Replicas, p.InSync, p.Start, p.End})
		}
		a.table("partition leader epoch replicas in-sync start end", rows)
	}
}

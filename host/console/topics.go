// SPDX-License-Identifier: Apache-2.0

package console

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// topicLine is a topic in the list of all.
type topicLine struct {
	Name            string `json:"name"`
	Internal        bool   `json:"internal"`
	Partitions      int    `json:"partitions"`
	Replicas        int    `json:"replicas"`
	UnderReplicated int    `json:"underReplicated"`
	Leaderless      int    `json:"leaderless"`
	Records         int64  `json:"records"` // offsets from the start to the end; -1: unknown
	Bytes           int64  `json:"bytes"`   // of all replicas; -1: unknown
}

// topics answers with all topics.
func topics(ctx context.Context, s *session, _ *http.Request) (any, error) {
	meta, err := s.metadata(ctx)
	if err != nil {
		return nil, err
	}
	ends, err := s.offsets(ctx, meta.Topics, latest)
	starts, startsErr := s.offsets(ctx, meta.Topics, earliest)
	sizes, sizesErr := s.sizes(ctx)
	list := []topicLine{}
	for _, t := range meta.Topics {
		line := topicLine{Name: *t.Topic, Internal: t.IsInternal, Partitions: len(t.Partitions), Bytes: -1}
		if sizesErr == nil {
			line.Bytes = 0
		}
		for _, p := range t.Partitions {
			at := spot{line.Name, p.Partition}
			line.Replicas = max(line.Replicas, len(p.Replicas))
			line.Leaderless += btoi(p.Leader < 0)
			line.UnderReplicated += btoi(p.Leader >= 0 && len(p.ISR) < len(p.Replicas))
			end, ended := ends[at]
			start, started := starts[at]
			if !ended || !started {
				line.Records = -1
			} else if line.Records >= 0 {
				line.Records += end - start
			}
			line.Bytes += sizes[at]
		}
		list = append(list, line)
	}
	return map[string]any{"topics": list, "brokers": len(meta.Brokers), "offsetsError": textOf(cmp.Or(err, startsErr)), "sizesError": textOf(sizesErr)}, nil
}

// spot is a partition.
type spot struct {
	topic     string
	partition int32
}

func (s spot) String() string { return fmt.Sprintf("%s-%d", s.topic, s.partition) }

const (
	latest   = -1
	earliest = -2
)

// offsets asks the leaders for the offsets at a time, or at the start or the end. Partitions of which none is known are left out.
func (s *session) offsets(ctx context.Context, topics []kmsg.MetadataResponseTopic, at int64) (found map[spot]int64, err error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	for _, t := range topics {
		ask := kmsg.NewListOffsetsRequestTopic()
		ask.Topic = *t.Topic
		for _, p := range t.Partitions {
			if p.Leader < 0 {
				continue // asking would wait for one
			}
			part := kmsg.NewListOffsetsRequestTopicPartition()
			part.Partition, part.Timestamp = p.Partition, at
			ask.Partitions = append(ask.Partitions, part)
		}
		if len(ask.Partitions) > 0 {
			req.Topics = append(req.Topics, ask)
		}
	}
	found = make(map[spot]int64)
	if len(req.Topics) == 0 {
		return found, nil
	}
	answers, err := askAll[*kmsg.ListOffsetsResponse](ctx, s, req)
	for _, a := range answers {
		for _, t := range a.answer.Topics {
			for _, p := range t.Partitions {
				if wrong := kerr.ErrorForCode(p.ErrorCode); wrong != nil {
					err = cmp.Or(err, wrong)
				} else if p.Offset >= 0 {
					found[spot{t.Topic, p.Partition}] = p.Offset
				}
			}
		}
	}
	return found, err
}

// sizes are bytes on disks, of all replicas together.
func (s *session) sizes(ctx context.Context) (map[spot]int64, error) {
	answers, err := askAll[*kmsg.DescribeLogDirsResponse](ctx, s, kmsg.NewPtrDescribeLogDirsRequest())
	sizes := make(map[spot]int64)
	for _, a := range answers {
		err = cmp.Or(err, kerr.ErrorForCode(a.answer.ErrorCode))
		for _, d := range a.answer.Dirs {
			for _, t := range d.Topics {
				for _, p := range t.Partitions {
					sizes[spot{t.Topic, p.Partition}] += p.Size
				}
			}
		}
	}
	return sizes, err
}

// partitionLine is a partition of a topic.
type partitionLine struct {
	Partition int32   `json:"partition"`
	Leader    int32   `json:"leader"`
	Epoch     int32   `json:"epoch"`
	Replicas  []int32 `json:"replicas"`
	ISR       []int32 `json:"isr"`
	Start     int64   `json:"start"` // -1: unknown
	End       int64   `json:"end"`
	Bytes     int64   `json:"bytes"` // of all replicas; -1: unknown
}

// topic answers with the partitions of one.
func topic(ctx context.Context, s *session, r *http.Request) (any, error) {
	t, meta, err := s.topic(ctx, r.FormValue("name"))
	if err != nil {
		return nil, err
	}
	only := []kmsg.MetadataResponseTopic{*t}
	ends, err := s.offsets(ctx, only, latest)
	starts, startsErr := s.offsets(ctx, only, earliest)
	sizes, sizesErr := s.sizes(ctx)
	list := []partitionLine{}
	for _, p := range t.Partitions {
		at := spot{*t.Topic, p.Partition}
		line := partitionLine{p.Partition, p.Leader, p.LeaderEpoch, ids(p.Replicas), ids(p.ISR), -1, -1, -1}
		if v, ok := starts[at]; ok {
			line.Start = v
		}
		if v, ok := ends[at]; ok {
			line.End = v
		}
		if sizesErr == nil {
			line.Bytes = sizes[at]
		}
		list = append(list, line)
	}
	alive := []int32{}
	for _, b := range meta.Brokers {
		alive = append(alive, b.NodeID)
	}
	slices.Sort(alive)
	return map[string]any{"name": *t.Topic, "internal": t.IsInternal, "partitions": list, "alive": alive, "offsetsError": textOf(cmp.Or(err, startsErr))}, nil
}

// topic looks one topic up.
func (s *session) topic(ctx context.Context, name string) (*kmsg.MetadataResponseTopic, *kmsg.MetadataResponse, error) {
	if name == "" {
		return nil, nil, wrongAsk("which topic?")
	}
	req := kmsg.NewPtrMetadataRequest()
	t := kmsg.NewMetadataRequestTopic()
	t.Topic, req.Topics = &name, []kmsg.MetadataRequestTopic{t}
	req.Topics[0] = t
	meta, err := ask[*kmsg.MetadataResponse](ctx, s, req)
	switch {
	case err != nil:
		return nil, nil, err
	case len(meta.Topics) != 1:
		return nil, nil, kerr.UnknownTopicOrPartition
	case meta.Topics[0].ErrorCode == kerr.UnknownTopicOrPartition.Code:
		return nil, nil, &Refusal{http.StatusNotFound, "there is no topic " + name}
	}
	slices.SortFunc(meta.Topics[0].Partitions, func(a, b kmsg.MetadataResponseTopicPartition) int { return cmp.Compare(a.Partition, b.Partition) })
	return &meta.Topics[0], meta, kerr.ErrorForCode(meta.Topics[0].ErrorCode)
}

// configLine is a setting of a topic or a group.
type configLine struct {
	Name      string `json:"name"`
	Value     string `json:"value"`
	Default   bool   `json:"default"` // nobody has set it here
	ReadOnly  bool   `json:"readOnly"`
	Sensitive bool   `json:"sensitive"`
	Source    string `json:"source"`
	Text      string `json:"text"`
}

// resources are what has settings that the console shows.
var resources = map[string]kmsg.ConfigResourceType{"topic": kmsg.ConfigResourceTypeTopic, "group": kmsg.ConfigResourceTypeGroupConfig, "broker": kmsg.ConfigResourceTypeBroker}

// configs answers with the settings of a topic, a group or a broker.
func configs(ctx context.Context, s *session, r *http.Request) (any, error) {
	kind, ok := resources[r.FormValue("type")]
	if !ok {
		return nil, wrongAsk("settings of what? Ask for a topic, a group or a broker")
	}
	req := kmsg.NewPtrDescribeConfigsRequest()
	res := kmsg.NewDescribeConfigsRequestResource()
	res.ResourceType, res.ResourceName = kind, r.FormValue("name")
	req.Resources, req.IncludeDocumentation = append(req.Resources, res), true
	resp, err := ask[*kmsg.DescribeConfigsResponse](ctx, s, req)
	if err != nil {
		return nil, err
	}
	list := []configLine{}
	for _, res := range resp.Resources {
		if err := failed(res.ErrorCode, res.ErrorMessage); err != nil {
			return nil, err
		}
		for _, c := range res.Configs {
			line := configLine{Name: c.Name, ReadOnly: c.ReadOnly, Sensitive: c.IsSensitive, Source: c.Source.String()}
			line.Default = c.Source != kmsg.ConfigSourceDynamicTopicConfig && c.Source != kmsg.ConfigSourceGroupConfig && c.Source != kmsg.ConfigSourceDynamicBrokerConfig
			if c.Value != nil && !c.IsSensitive {
				line.Value = *c.Value
			}
			if c.Documentation != nil {
				line.Text = *c.Documentation
			}
			list = append(list, line)
		}
	}
	slices.SortFunc(list, func(a, b configLine) int { return cmp.Compare(a.Name, b.Name) })
	return map[string]any{"configs": list}, nil
}

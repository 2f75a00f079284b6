// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// changeTime is how long brokers may take for a change, in milliseconds.
const changeTime = 15000

// body reads what a browser wants changed. A field that isn't known is refused: it might have been meant.
func body(r *http.Request, to any) error {
	in := json.NewDecoder(r.Body)
	in.DisallowUnknownFields()
	if err := in.Decode(to); err != nil {
		return wrongAsk("this isn't what is asked for here: %v", err)
	}
	return nil
}

// createTopic creates one.
func createTopic(ctx context.Context, s *session, r *http.Request) (any, error) {
	var want struct {
		Name       string            `json:"name"`
		Partitions int32             `json:"partitions"` // -1: the broker's default
		Replicas   int16             `json:"replicas"`
		Configs    map[string]string `json:"configs"`
	}
	if err := body(r, &want); err != nil {
		return nil, err
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = want.Name, want.Partitions, want.Replicas
	for name, value := range want.Configs {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = name, &value
		t.Configs = append(t.Configs, c)
	}
	req.Topics, req.TimeoutMillis = append(req.Topics, t), changeTime
	resp, err := ask[*kmsg.CreateTopicsResponse](ctx, s, req)
	if err != nil {
		return nil, err
	}
	for _, t := range resp.Topics {
		if err := failed(t.ErrorCode, t.ErrorMessage); err != nil {
			return nil, err
		}
	}
	return done, nil
}

// done is the answer to a change that was made.
var done = map[string]bool{"done": true}

// alterConfigs sets some settings of a topic, a group or a broker, and gives others back to their defaults.
func alterConfigs(ctx context.Context, s *session, r *http.Request) (any, error) {
	var want struct {
		Type  string            `json:"type"`
		Name  string            `json:"name"`
		Set   map[string]string `json:"set"`
		Unset []string          `json:"unset"`
	}
	if err := body(r, &want); err != nil {
		return nil, err
	}
	kind, ok := resources[want.Type]
	if !ok {
		return nil, wrongAsk("settings of what? Name a topic, a group or a broker")
	}
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	res := kmsg.NewIncrementalAlterConfigsRequestResource()
	res.ResourceType, res.ResourceName = kind, want.Name
	for name, value := range want.Set {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Op, c.Value = name, kmsg.IncrementalAlterConfigOpSet, &value
		res.Configs = append(res.Configs, c)
	}
	for _, name := range want.Unset {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Op = name, kmsg.IncrementalAlterConfigOpDelete
		res.Configs = append(res.Configs, c)
	}
	req.Resources = append(req.Resources, res)
	resp, err := ask[*kmsg.IncrementalAlterConfigsResponse](ctx, s, req)
	if err != nil {
		return nil, err
	}
	for _, res := range resp.Resources {
		if err := failed(res.ErrorCode, res.ErrorMessage); err != nil {
			return nil, err
		}
	}
	return done, nil
}

// move gives a partition other replicas, the preferred leader first.
func move(ctx context.Context, s *session, r *http.Request) (any, error) {
	var want struct {
		Topic     string  `json:"topic"`
		Partition int32   `json:"partition"`
		Replicas  []int32 `json:"replicas"` // none: a move that is under way is called off
	}
	if err := body(r, &want); err != nil {
		return nil, err
	}
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	t := kmsg.NewAlterPartitionAssignmentsRequestTopic()
	p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
	p.Partition, p.Replicas = want.Partition, want.Replicas
	t.Topic, t.Partitions = want.Topic, append(t.Partitions, p)
	req.Topics, req.TimeoutMillis = append(req.Topics, t), changeTime
	resp, err := ask[*kmsg.AlterPartitionAssignmentsResponse](ctx, s, req)
	if err != nil {
		return nil, err
	}
	if err := failed(resp.ErrorCode, resp.ErrorMessage); err != nil {
		return nil, err
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := failed(p.ErrorCode, p.ErrorMessage); err != nil {
				return nil, err
			}
		}
	}
	return done, nil
}

// elect lets the preferred replica of a partition lead: the first in the list. To have another one lead, move it there first.
func elect(ctx context.Context, s *session, r *http.Request) (any, error) {
	var want struct {
		Topic     string `json:"topic"`
		Partition int32  `json:"partition"`
	}
	if err := body(r, &want); err != nil {
		return nil, err
	}
	req := kmsg.NewPtrElectLeadersRequest()
	t := kmsg.NewElectLeadersRequestTopic()
	t.Topic, t.Partitions = want.Topic, []int32{want.Partition}
	req.Topics, req.TimeoutMillis = append(req.Topics, t), changeTime
	resp, err := ask[*kmsg.ElectLeadersResponse](ctx, s, req)
	if err != nil {
		return nil, err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, err
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := failed(p.ErrorCode, p.ErrorMessage); err != nil && p.ErrorCode != kerr.ElectionNotNeeded.Code {
				return nil, err
			}
		}
	}
	return done, nil
}

// resetLine is an offset of a group that is to be set.
type resetLine struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Current   int64  `json:"current"` // -1: none
	Offset    int64  `json:"offset"`  // to be
	Start     int64  `json:"start"`
	End       int64  `json:"end"`
}

// previewOffsets says which offsets a group would get, and changes nothing.
func previewOffsets(ctx context.Context, s *session, r *http.Request) (any, error) {
	var want struct {
		Group      string  `json:"group"`
		Topic      string  `json:"topic"`
		Partitions []int32 `json:"partitions"` // none: all
		To         string  `json:"to"`
		Value      int64   `json:"value"` // of to: an offset or a time in ms
	}
	if err := body(r, &want); err != nil {
		return nil, err
	}
	at, ok := map[string]int64{"earliest": earliest, "latest": latest, "offset": latest, "time": want.Value}[want.To]
	if !ok || at < earliest || want.To == "offset" && want.Value < 0 {
		return nil, wrongAsk("to which offset? Say earliest, latest, offset or time, the latter with a value")
	}
	t, _, err := s.topic(ctx, want.Topic)
	if err != nil {
		return nil, err
	}
	if len(want.Partitions) > 0 {
		t.Partitions = slices.DeleteFunc(t.Partitions, func(p kmsg.MetadataResponseTopicPartition) bool {
			return !slices.Contains(want.Partitions, p.Partition)
		})
	}
	only := []kmsg.MetadataResponseTopic{*t}
	committed, wrong := s.committed(ctx, []string{want.Group})
	starts, startErr := s.offsets(ctx, only, earliest)
	ends, endErr := s.offsets(ctx, only, latest)
	found, foundErr := s.offsets(ctx, only, at)
	for _, err := range []error{wrong[want.Group], startErr, endErr, foundErr} {
		if err != nil {
			return nil, err
		}
	}
	list, unknown := []resetLine{}, 0
	for _, p := range t.Partitions {
		at := spot{*t.Topic, p.Partition}
		start, known := starts[at]
		if !known {
			unknown++
			continue
		}
		line := resetLine{at.topic, at.partition, -1, ends[at], start, ends[at]}
		if current, ok := committed[want.Group][at]; ok {
			line.Current = current
		}
		if offset, ok := found[at]; ok { // or nothing is that young
			line.Offset = offset
		}
		if want.To == "offset" {
			line.Offset = min(max(want.Value, line.Start), line.End)
		}
		list = append(list, line)
	}
	return map[string]any{"group": want.Group, "offsets": list, "leaderless": unknown}, nil
}

// setOffsets sets the offsets of a group to what was shown, unless they have changed since.
func setOffsets(ctx context.Context, s *session, r *http.Request) (any, error) {
	var want struct {
		Group   string      `json:"group"`
		Offsets []resetLine `json:"offsets"`
	}
	if err := body(r, &want); err != nil {
		return nil, err
	}
	if len(want.Offsets) == 0 {
		return nil, wrongAsk("there is nothing to set")
	}
	committed, wrong := s.committed(ctx, []string{want.Group})
	if err := wrong[want.Group]; err != nil {
		return nil, err
	}
	req, topics := kmsg.NewPtrOffsetCommitRequest(), make(map[string][]kmsg.OffsetCommitRequestTopicPartition)
	req.Group, req.Generation = want.Group, -1
	for _, o := range want.Offsets {
		now, ok := committed[want.Group][spot{o.Topic, o.Partition}]
		if !ok {
			now = -1
		}
		if now != o.Current {
			return nil, &Refusal{http.StatusConflict, fmt.Sprintf("the offset of %s-%d is %d now and was %d in the preview: look again", o.Topic, o.Partition, now, o.Current)}
		}
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset = o.Partition, o.Offset
		topics[o.Topic] = append(topics[o.Topic], p)
	}
	meta, err := s.metadata(ctx) // the newest version of the request names topics by their ids
	if err != nil {
		return nil, err
	}
	for name, partitions := range topics {
		t := kmsg.NewOffsetCommitRequestTopic()
		t.Topic, t.Partitions = name, partitions
		if i := slices.IndexFunc(meta.Topics, func(m kmsg.MetadataResponseTopic) bool { return *m.Topic == name }); i >= 0 {
			t.TopicID = meta.Topics[i].TopicID
		}
		req.Topics = append(req.Topics, t)
	}
	resp, err := ask[*kmsg.OffsetCommitResponse](ctx, s, req)
	if err != nil {
		return nil, err
	}
	return done, notSet(resp, meta.Topics)
}

// notSet is why offsets weren't set.
func notSet(resp *kmsg.OffsetCommitResponse, topics []kmsg.MetadataResponseTopic) error {
	for _, t := range resp.Topics {
		for _, known := range topics {
			if t.Topic == "" && t.TopicID == known.TopicID {
				t.Topic = *known.Topic
			}
		}
		for _, p := range t.Partitions {
			switch err := kerr.ErrorForCode(p.ErrorCode); p.ErrorCode {
			case 0:
			case kerr.UnknownMemberID.Code, kerr.IllegalGeneration.Code, kerr.RebalanceInProgress.Code:
				return fmt.Errorf("%w: the group has members; stop its consumers first", err)
			default:
				return fmt.Errorf("%s-%d: %w", t.Topic, p.Partition, err)
			}
		}
	}
	return nil
}

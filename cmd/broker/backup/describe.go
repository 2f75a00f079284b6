// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

type partitionKey struct {
	topic     string
	partition int32
}

// describe notes all that isn't records: groups first, then topics and their settings, and who may do what.
func (j *job) describe(ctx context.Context, m *Manifest) error {
	details, err := j.kadm.ListTopics(ctx, j.o.Topics...)
	if err != nil {
		return err
	}
	meta, err := j.kadm.BrokerMetadata(ctx)
	if err != nil {
		return err
	}
	m.Cluster = meta.Cluster
	var names []string
	for _, d := range details.Sorted() {
		if d.Err != nil {
			return fmt.Errorf("topic %s: %w", d.Topic, d.Err)
		}
		t := Topic{Name: d.Topic, ID: hex.EncodeToString(d.ID[:]), Settings: make(map[string]string)}
		for _, p := range d.Partitions.Sorted() {
			t.Replicas = max(t.Replicas, len(p.Replicas))
			t.Partitions = append(t.Partitions, Partition{Partition: p.Partition})
		}
		m.Topics = append(m.Topics, t)
		names = append(names, d.Topic)
	}
	if len(names) > 0 {
		if err := j.settings(ctx, m, names); err != nil {
			return err
		}
	}
	if err := j.groups(ctx, m); err != nil {
		return err
	}
	if len(j.o.Topics) > 0 {
		return nil // of some topics, not of the cluster
	}
	return j.access(ctx, m)
}

func (j *job) settings(ctx context.Context, m *Manifest, names []string) error {
	all, err := j.kadm.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return err
	}
	for i := range m.Topics {
		r, err := all.On(m.Topics[i].Name, nil)
		if err == nil {
			err = r.Err
		}
		if err != nil {
			return fmt.Errorf("settings of topic %s: %w", m.Topics[i].Name, err)
		}
		for _, c := range r.Configs {
			if c.Source == kmsg.ConfigSourceDynamicTopicConfig {
				m.Topics[i].Settings[c.Key] = c.MaybeValue()
			}
		}
	}
	return nil
}

// groups notes what groups have committed in the topics of the backup.
func (j *job) groups(ctx context.Context, m *Manifest) error {
	listed, err := j.kadm.ListGroups(ctx)
	if err != nil {
		return err
	}
	for _, name := range listed.Groups() {
		offsets, err := j.kadm.FetchOffsets(ctx, name)
		if err != nil {
			return fmt.Errorf("offsets of group %s: %w", name, err)
		}
		g := Group{Name: name}
		for _, o := range offsets.Sorted() {
			if o.Err != nil {
				return fmt.Errorf("offset of group %s in %s/%d: %w", name, o.Topic, o.Partition, o.Err)
			}
			if m.topic(o.Topic) != nil && o.At >= 0 {
				g.Offsets = append(g.Offsets, Offset{o.Topic, o.Partition, o.At, o.Metadata})
			}
		}
		if len(g.Offsets) > 0 {
			m.Groups = append(m.Groups, g)
		}
	}
	return nil
}

// access notes rules, quotas and the names of users.
func (j *job) access(ctx context.Context, m *Manifest) error {
	req := kmsg.NewPtrDescribeACLsRequest()
	req.ResourceType, req.ResourcePatternType = kmsg.ACLResourceTypeAny, kmsg.ACLResourcePatternTypeAny
	req.Operation, req.PermissionType = kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
	resp, err := req.RequestWith(ctx, j.client)
	if err != nil {
		return fmt.Errorf("rules: %w", err)
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil && err != kerr.SecurityDisabled {
		return fmt.Errorf("rules: %w", err)
	}
	for _, r := range resp.Resources {
		for _, a := range r.ACLs {
			m.Rules = append(m.Rules, Rule{
				int8(r.ResourceType), int8(r.ResourcePatternType), r.ResourceName, a.Principal, a.Host, int8(a.Operation), int8(a.PermissionType),
			})
		}
	}
	quotas, err := j.kadm.DescribeClientQuotas(ctx, false, nil)
	if err != nil {
		return fmt.Errorf("quotas: %w", err)
	}
	for _, d := range quotas {
		q := Quota{make(map[string]*string), make(map[string]float64)}
		for _, e := range d.Entity {
			q.Of[e.Type] = e.Name
		}
		for _, v := range d.Values {
			q.Values[v.Key] = v.Value
		}
		m.Quotas = append(m.Quotas, q)
	}
	users, err := j.kadm.DescribeUserSCRAMs(ctx)
	if err != nil {
		return fmt.Errorf("users: %w", err)
	}
	for _, u := range users.Sorted() {
		m.Users = append(m.Users, u.User)
	}
	return nil
}

// ends decides up to where each partition is copied. Groups have been read, so what is there now is at or after where they are.
func (j *job) ends(ctx context.Context, m *Manifest) error {
	j.until = make(map[partitionKey]int64)
	if len(m.Topics) == 0 {
		return nil
	}
	var names []string
	for _, t := range m.Topics {
		names = append(names, t.Name)
	}
	starts, err := j.kadm.ListStartOffsets(ctx, names...)
	if err != nil {
		return err
	}
	now, err := j.kadm.ListEndOffsets(ctx, names...)
	if err != nil {
		return err
	}
	for i := range m.Topics {
		for k := range m.Topics[i].Partitions {
			p := &m.Topics[i].Partitions[k]
			s, _ := starts.Lookup(m.Topics[i].Name, p.Partition)
			e, ok := now.Lookup(m.Topics[i].Name, p.Partition)
			if !ok || s.Err != nil || e.Err != nil {
				return fmt.Errorf("nobody tells the offsets of %s/%d: %v", m.Topics[i].Name, p.Partition, e.Err)
			}
			p.Start = s.Offset
			j.until[partitionKey{m.Topics[i].Name, p.Partition}] = e.Offset
		}
	}
	return j.waitForTransactions(ctx, names)
}

// waitForTransactions waits until all transactions are decided that are open below the ends. Ends below which some are open for
// longer than that move to the first of them.
func (j *job) waitForTransactions(ctx context.Context, names []string) error {
	limit := time.Now().Add(j.o.Patience)
	for {
		stable, err := j.kadm.ListCommittedOffsets(ctx, names...)
		if err != nil {
			return err
		}
		late := time.Now().After(limit)
		var open []string
		for key, end := range j.until {
			s, ok := stable.Lookup(key.topic, key.partition)
			if !ok || s.Err != nil {
				return fmt.Errorf("nobody tells the last stable offset of %s/%d: %v", key.topic, key.partition, s.Err)
			}
			if s.Offset < end {
				if open = append(open, fmt.Sprintf("%s/%d", key.topic, key.partition)); late {
					j.until[key] = s.Offset
				}
			}
		}
		if len(open) == 0 {
			return nil
		}
		if slices.Sort(open); late {
			j.o.Say("transactions are still open in %s: what comes after their beginning is not in this backup", strings.Join(open, ", "))
			return nil
		}
		if pause(ctx) != nil {
			return ctx.Err()
		}
	}
}

// clamp moves offsets of groups down to what was copied.
func (m *Manifest) clamp() {
	for i := range m.Groups {
		for k := range m.Groups[i].Offsets {
			o := &m.Groups[i].Offsets[k]
			t := m.topic(o.Topic)
			for _, p := range t.Partitions {
				if p.Partition == o.Partition {
					o.Offset = min(o.Offset, p.End)
				}
			}
		}
	}
}

func (t *Topic) compacts() bool { return strings.Contains(t.Settings["cleanup.policy"], "compact") }

func idOf(text string) (id kadm.TopicID, err error) {
	n, err := hex.Decode(id[:], []byte(text))
	if err == nil && n != len(id) {
		err = fmt.Errorf("%q is no id of a topic", text)
	}
	return id, err
}

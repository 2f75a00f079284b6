// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// cluster is what a broker told about the cluster.
type cluster struct {
	id         string
	controller int32
	brokers    []kmsg.MetadataResponseBroker // those that are alive, ascending
	partitions []partition                   // by topic and number
	leaders    map[string]int32              // by partition; -1: none
	inSync     map[string][]int32            // by partition
}

func (a *admin) look(ctx context.Context) (*cluster, error) {
	resp, err := ask[*kmsg.MetadataResponse](ctx, a, kmsg.NewPtrMetadataRequest()) // all topics
	if err != nil {
		return nil, err
	}
	c := &cluster{controller: resp.ControllerID, brokers: resp.Brokers, leaders: make(map[string]int32), inSync: make(map[string][]int32)}
	if resp.ClusterID != nil {
		c.id = *resp.ClusterID
	}
	slices.SortFunc(c.brokers, func(a, b kmsg.MetadataResponseBroker) int { return cmp.Compare(a.NodeID, b.NodeID) })
	for _, t := range resp.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return nil, fmt.Errorf("topic %s: %w", *t.Topic, err)
		}
		for _, p := range t.Partitions {
			part := partition{*t.Topic, p.Partition, p.Replicas}
			c.partitions = append(c.partitions, part)
			c.leaders[part.String()], c.inSync[part.String()] = p.Leader, p.ISR
		}
	}
	slices.SortFunc(c.partitions, func(a, b partition) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.index, b.index))
	})
	return c, nil
}

// live lists the ids of the brokers that are alive.
func (c *cluster) live() (ids []int32) {
	for _, b := range c.brokers {
		ids = append(ids, b.NodeID)
	}
	return ids
}

// others lists the ids of the brokers that are alive, without one.
func (c *cluster) others(broker int32) []int32 {
	return slices.DeleteFunc(c.live(), func(id int32) bool { return id == broker })
}

func (c *cluster) replicasOn(broker int32) (n int) {
	for _, p := range c.partitions {
		if slices.Contains(p.replicas, broker) {
			n++
		}
	}
	return n
}

func (c *cluster) find(topic string, index int32) (partition, bool) {
	i := slices.IndexFunc(c.partitions, func(p partition) bool { return p.topic == topic && p.index == index })
	if i < 0 {
		return partition{}, false
	}
	return c.partitions[i], true
}

// leaderless lists the partitions that nobody leads.
func (c *cluster) leaderless() (list []string) {
	for _, p := range c.partitions {
		if c.leaders[p.String()] < 0 {
			list = append(list, fmt.Sprintf("%v on brokers %v", p, p.replicas))
		}
	}
	return list
}

// outOfSync lists the partitions that have a leader and a replica that lacks records, or is not there.
func (c *cluster) outOfSync() (list []string) {
	for _, p := range c.partitions {
		if in := c.inSync[p.String()]; c.leaders[p.String()] >= 0 && len(in) < len(p.replicas) {
			list = append(list, fmt.Sprintf("%v on brokers %v, in sync on %v", p, p.replicas, in))
		}
	}
	return list
}

// twoLegged counts the partitions with two replicas.
func (c *cluster) twoLegged() (n int) {
	for _, p := range c.partitions {
		if len(p.replicas) == 2 {
			n++
		}
	}
	return n
}

// shared lists the partitions of which two replicas are on one machine.
func (c *cluster) shared(on map[int32]string) (list []string) {
	for _, p := range c.partitions {
		if at := shares(p.replicas, on); at >= 0 {
			list = append(list, fmt.Sprintf("%v on brokers %v, of which machine %s has two", p, p.replicas, on[p.replicas[at]]))
		}
	}
	return list
}

// wait returns when each partition has a leader and all its replicas are in sync, and the moves are done: when the next
// broker can be stopped.
func (a *admin) wait(ctx context.Context) error {
	for said := ""; ; {
		c, err := a.look(ctx)
		if err != nil {
			return err
		}
		moves, err := a.underWay(ctx)
		if err != nil {
			return err
		}
		none, behind := c.leaderless(), c.outOfSync()
		now := fmt.Sprintf("%d partitions without a leader, %d with replicas that are not in sync, %d moves under way", len(none), len(behind), len(moves))
		if len(none)+len(behind)+len(moves) == 0 {
			a.say("all replicas of %d partitions are in sync", len(c.partitions))
			return nil
		}
		if now != said {
			a.say("%s", now)
			said = now
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("stopped: %s", now)
		case <-time.After(waitCheck):
		}
	}
}

const waitCheck = 500 * time.Millisecond

// underWay lists the moves under way by partition.
func (a *admin) underWay(ctx context.Context) (map[string]string, error) {
	resp, err := ask[*kmsg.ListPartitionReassignmentsResponse](ctx, a, kmsg.NewPtrListPartitionReassignmentsRequest())
	if err != nil {
		return nil, err
	}
	if err := refusal(resp.ErrorCode, resp.ErrorMessage); err != nil {
		return nil, err
	}
	moves := make(map[string]string)
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			moves[partition{t.Topic, p.Partition, nil}.String()] = fmt.Sprintf("to brokers %v, from %v", p.AddingReplicas, p.RemovingReplicas)
		}
	}
	return moves, nil
}

// SPDX-License-Identifier: Apache-2.0

package console

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// broker is one broker of the cluster, as others and itself tell.
type broker struct {
	ID        int32           `json:"id"`
	Host      string          `json:"host"`
	Port      int32           `json:"port"`
	Rack      string          `json:"rack"`
	Alive     bool            `json:"alive"` // so says the broker that was asked
	Leaders   int             `json:"leaders"`
	Replicas  int             `json:"replicas"`
	OutOfSync int             `json:"outOfSync"` // replicas there that aren't in sync
	Self      json.RawMessage `json:"self,omitempty"`
	Error     string          `json:"error,omitempty"` // why Self isn't there
}

// trouble is a partition that isn't as it should be.
type trouble struct {
	Topic     string  `json:"topic"`
	Partition int32   `json:"partition"`
	Leader    int32   `json:"leader"`
	Replicas  []int32 `json:"replicas"`
	ISR       []int32 `json:"isr"`
}

type clusterAnswer struct {
	Cluster         string    `json:"cluster"`
	Controller      int32     `json:"controller"`
	Person          string    `json:"person"`
	Now             int64     `json:"now"` // ms
	Brokers         []broker  `json:"brokers"`
	Topics          int       `json:"topics"`
	Partitions      int       `json:"partitions"`
	Leaderless      int       `json:"leaderless"`
	UnderReplicated int       `json:"underReplicated"`
	Troubles        []trouble `json:"troubles"` // some of them
	Moves           int       `json:"moves"`
	MovesError      string    `json:"movesError,omitempty"`
}

// maxTroubles bounds the partitions that are listed as not as they should be.
const maxTroubles = 100

// cluster answers with the cluster on one screen.
func cluster(ctx context.Context, s *session, _ *http.Request) (any, error) {
	meta, err := s.metadata(ctx)
	if err != nil {
		return nil, err
	}
	a := clusterAnswer{Controller: meta.ControllerID, Person: s.who.Principal, Now: time.Now().UnixMilli(), Brokers: s.brokers(ctx, meta), Troubles: []trouble{}}
	if meta.ClusterID != nil {
		a.Cluster = *meta.ClusterID
	}
	for i := range meta.Topics {
		t := &meta.Topics[i]
		a.Topics++
		for j := range t.Partitions {
			a.count(*t.Topic, &t.Partitions[j])
		}
	}
	a.Moves, err = s.moves(ctx)
	a.MovesError = textOf(err)
	s.pages(ctx, a.Brokers, "broker")
	return a, nil
}

// count adds a partition.
func (a *clusterAnswer) count(topic string, p *kmsg.MetadataResponseTopicPartition) {
	a.Partitions++
	under := len(p.ISR) < len(p.Replicas)
	if p.Leader < 0 {
		a.Leaderless++
	} else if under {
		a.UnderReplicated++
	}
	if (p.Leader < 0 || under) && len(a.Troubles) < maxTroubles {
		a.Troubles = append(a.Troubles, trouble{topic, p.Partition, p.Leader, ids(p.Replicas), ids(p.ISR)})
	}
	for i := range a.Brokers {
		b := &a.Brokers[i]
		b.Leaders += btoi(b.ID == p.Leader)
		if slices.Contains(p.Replicas, b.ID) {
			b.Replicas++
			b.OutOfSync += btoi(!slices.Contains(p.ISR, b.ID))
		}
	}
}

// ids is a list that is written as one, even if it is empty.
func ids(list []int32) []int32 { return append([]int32{}, list...) }

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (s *session) metadata(ctx context.Context) (*kmsg.MetadataResponse, error) {
	meta, err := ask[*kmsg.MetadataResponse](ctx, s, kmsg.NewPtrMetadataRequest()) // all topics
	if err != nil {
		return nil, err
	}
	for _, t := range meta.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(meta.Topics, func(a, b kmsg.MetadataResponseTopic) int { return cmp.Compare(*a.Topic, *b.Topic) })
	for _, t := range meta.Topics {
		slices.SortFunc(t.Partitions, func(a, b kmsg.MetadataResponseTopicPartition) int { return cmp.Compare(a.Partition, b.Partition) })
	}
	return meta, nil
}

// brokers lists those that are alive, and those that have replicas and aren't.
func (s *session) brokers(_ context.Context, meta *kmsg.MetadataResponse) (list []broker) {
	for _, b := range meta.Brokers {
		alive := broker{ID: b.NodeID, Host: b.Host, Port: b.Port, Alive: true}
		if b.Rack != nil {
			alive.Rack = *b.Rack
		}
		list = append(list, alive)
	}
	for _, t := range meta.Topics {
		for _, p := range t.Partitions {
			for _, id := range p.Replicas {
				if !slices.ContainsFunc(list, func(b broker) bool { return b.ID == id }) {
					list = append(list, broker{ID: id})
				}
			}
		}
	}
	slices.SortFunc(list, func(a, b broker) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// pages asks the brokers that are alive for a page, all at the same time.
func (s *session) pages(ctx context.Context, brokers []broker, name string) {
	var all sync.WaitGroup
	for i := range brokers {
		b := &brokers[i]
		if !b.Alive {
			b.Error = "not connected"
			continue
		}
		all.Go(func() {
			page, err := s.cluster.Page(ctx, s.who, b.ID, name)
			b.Self, b.Error = page, textOf(err)
		})
	}
	all.Wait()
}

// moves counts the partitions that are on their way to other brokers.
func (s *session) moves(ctx context.Context) (n int, err error) {
	req := kmsg.NewPtrListPartitionReassignmentsRequest()
	resp, err := ask[*kmsg.ListPartitionReassignmentsResponse](ctx, s, req)
	if err != nil {
		return 0, err
	}
	for _, t := range resp.Topics {
		n += len(t.Partitions)
	}
	return n, failed(resp.ErrorCode, resp.ErrorMessage)
}

// raft answers with all brokers' replicas of raft groups, and who leads the catalog.
func raft(ctx context.Context, s *session, _ *http.Request) (any, error) {
	return s.allPages(ctx, "groups", "broker")
}

// storage answers with all brokers' logs.
func storage(ctx context.Context, s *session, _ *http.Request) (any, error) {
	return s.allPages(ctx, "segments", "broker")
}

// allPages answers with a page of each broker, and with a second one.
func (s *session) allPages(ctx context.Context, name, second string) (any, error) {
	meta, err := s.metadata(ctx)
	if err != nil {
		return nil, err
	}
	brokers := s.brokers(ctx, meta)
	also := slices.Clone(brokers)
	s.pages(ctx, brokers, name)
	s.pages(ctx, also, second)
	type both struct {
		ID    int32           `json:"id"`
		Alive bool            `json:"alive"`
		Page  json.RawMessage `json:"page,omitempty"`
		Self  json.RawMessage `json:"self,omitempty"`
		Error string          `json:"error,omitempty"`
	}
	list := []both{}
	for i, b := range brokers {
		list = append(list, both{b.ID, b.Alive, b.Self, also[i].Self, b.Error})
	}
	return map[string]any{"brokers": list, "controller": meta.ControllerID, "now": time.Now().UnixMilli()}, nil
}

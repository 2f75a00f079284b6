// SPDX-License-Identifier: Apache-2.0

package console

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// groupLine is a group in the list of all.
type groupLine struct {
	Name        string `json:"name"`
	State       string `json:"state"`
	Type        string `json:"type"`
	Coordinator int32  `json:"coordinator"`
	Partitions  int    `json:"partitions"` // with an offset
	Lag         int64  `json:"lag"`        // -1: unknown
	Error       string `json:"error,omitempty"`
}

// maxLags is of how many groups a list has the lag.
const maxLags = 200

// groups answers with all groups.
func groups(ctx context.Context, s *session, _ *http.Request) (any, error) {
	answers, err := askAll[*kmsg.ListGroupsResponse](ctx, s, kmsg.NewPtrListGroupsRequest())
	if len(answers) == 0 && err != nil {
		return nil, err
	}
	list := []groupLine{}
	for _, a := range answers {
		err = cmp.Or(err, kerr.ErrorForCode(a.answer.ErrorCode))
		for _, g := range a.answer.Groups {
			if g.ProtocolType == "" || g.ProtocolType == "consumer" {
				list = append(list, groupLine{Name: g.Group, State: g.GroupState, Type: g.GroupType, Coordinator: a.broker, Lag: -1})
			}
		}
	}
	slices.SortFunc(list, func(a, b groupLine) int { return cmp.Compare(a.Name, b.Name) })
	some := list[:min(len(list), maxLags)]
	names := make([]string, len(some))
	for i, g := range some {
		names[i] = g.Name
	}
	committed, wrong := s.committed(ctx, names)
	ends := s.ends(ctx, committed)
	for i := range some {
		g := &some[i]
		if g.Error = textOf(wrong[g.Name]); g.Error == "" {
			g.Partitions, g.Lag = len(committed[g.Name]), 0
			for at, offset := range committed[g.Name] {
				g.Lag += max(ends[at]-offset, 0)
			}
		}
	}
	return map[string]any{"groups": list, "error": textOf(err)}, nil
}

// committed are the offsets of groups, and what is wrong with some of them.
func (s *session) committed(ctx context.Context, names []string) (offsets map[string]map[spot]int64, wrong map[string]error) {
	offsets, wrong = make(map[string]map[spot]int64), make(map[string]error)
	if len(names) == 0 {
		return offsets, wrong
	}
	req := kmsg.NewPtrOffsetFetchRequest()
	for _, name := range names {
		g := kmsg.NewOffsetFetchRequestGroup()
		g.Group = name
		req.Groups = append(req.Groups, g)
	}
	answers, err := askAll[*kmsg.OffsetFetchResponse](ctx, s, req)
	for _, name := range names {
		wrong[name] = cmp.Or(err, error(kerr.CoordinatorNotAvailable)) // unless an answer says otherwise
	}
	for _, a := range answers {
		for _, g := range a.answer.Groups {
			wrong[g.Group] = kerr.ErrorForCode(g.ErrorCode)
			offsets[g.Group] = make(map[spot]int64)
			for _, t := range g.Topics {
				for _, p := range t.Partitions {
					if p.ErrorCode == 0 && p.Offset >= 0 {
						offsets[g.Group][spot{t.Topic, p.Partition}] = p.Offset
					}
				}
			}
		}
	}
	return offsets, wrong
}

// ends are where the partitions end that groups have offsets of, as far as that can be had.
func (s *session) ends(ctx context.Context, committed map[string]map[spot]int64) map[spot]int64 {
	var all []kmsg.MetadataResponseTopic
	meta, err := s.metadata(ctx)
	if err != nil {
		return nil
	}
	for _, t := range meta.Topics {
		t.Partitions = slices.DeleteFunc(t.Partitions, func(p kmsg.MetadataResponseTopicPartition) bool {
			for _, offsets := range committed {
				if _, ok := offsets[spot{*t.Topic, p.Partition}]; ok {
					return false
				}
			}
			return true
		})
		if len(t.Partitions) > 0 {
			all = append(all, t)
		}
	}
	ends, _ := s.offsets(ctx, all, latest) // those that aren't known count as no lag
	return ends
}

// memberLine is a member of a group.
type memberLine struct {
	ID       string   `json:"id"`
	Instance string   `json:"instance"`
	Client   string   `json:"client"`
	Host     string   `json:"host"`
	Has      []string `json:"has"` // partitions
}

// lagLine is how far a group is in a partition.
type lagLine struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"` // -1: none
	End       int64  `json:"end"`    // -1: unknown
	Lag       int64  `json:"lag"`    // -1: unknown
	Member    string `json:"member"`
}

type groupAnswer struct {
	Name        string       `json:"name"`
	State       string       `json:"state"`
	Type        string       `json:"type"`
	Protocol    string       `json:"protocol"`
	Members     []memberLine `json:"members"`
	Lags        []lagLine    `json:"lags"`
	OffsetError string       `json:"offsetError,omitempty"`
	owners      map[spot]string
}

// group answers with one.
func group(ctx context.Context, s *session, r *http.Request) (any, error) {
	a := &groupAnswer{Name: r.FormValue("name"), Members: []memberLine{}, Lags: []lagLine{}, owners: make(map[spot]string)}
	if a.Name == "" {
		return nil, wrongAsk("which group?")
	}
	if err := s.describeGroup(ctx, a); err != nil {
		return nil, err
	}
	committed, wrong := s.committed(ctx, []string{a.Name})
	offsets := committed[a.Name]
	a.OffsetError = textOf(wrong[a.Name])
	all := make(map[spot]int64) // what it has an offset of, or a member
	for at := range a.owners {
		all[at] = -1
	}
	for at, offset := range offsets {
		all[at] = offset
	}
	ends := s.ends(ctx, map[string]map[spot]int64{a.Name: all})
	for at, offset := range all {
		line := lagLine{at.topic, at.partition, offset, -1, -1, a.owners[at]}
		if end, ok := ends[at]; ok {
			if line.End = end; offset >= 0 {
				line.Lag = max(end-offset, 0)
			}
		}
		a.Lags = append(a.Lags, line)
	}
	slices.SortFunc(a.Lags, func(a, b lagLine) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return a, nil
}

// describeGroup asks for a group of either protocol.
func (s *session) describeGroup(ctx context.Context, a *groupAnswer) error {
	modern := kmsg.NewPtrConsumerGroupDescribeRequest()
	modern.Groups = []string{a.Name}
	resp, err := ask[*kmsg.ConsumerGroupDescribeResponse](ctx, s, modern)
	if err == nil && len(resp.Groups) == 1 && resp.Groups[0].ErrorCode == 0 {
		a.modern(&resp.Groups[0])
		return nil
	}
	classic := kmsg.NewPtrDescribeGroupsRequest()
	classic.Groups = []string{a.Name}
	old, err := ask[*kmsg.DescribeGroupsResponse](ctx, s, classic)
	if err != nil {
		return err
	}
	for _, g := range old.Groups {
		if err := failed(g.ErrorCode, g.ErrorMessage); err != nil {
			return err
		}
		a.classic(&g)
	}
	return nil
}

func (a *groupAnswer) modern(g *kmsg.ConsumerGroupDescribeResponseGroup) {
	a.State, a.Type, a.Protocol = g.State, "consumer", g.AssignorName
	for _, m := range g.Members {
		line := memberLine{ID: m.MemberID, Client: m.ClientID, Host: m.ClientHost, Has: []string{}}
		if m.InstanceID != nil {
			line.Instance = *m.InstanceID
		}
		for _, t := range m.Assignment.TopicPartitions {
			line.has(a, t.Topic, t.Partitions)
		}
		a.Members = append(a.Members, line)
	}
}

func (a *groupAnswer) classic(g *kmsg.DescribeGroupsResponseGroup) {
	a.State, a.Type, a.Protocol = g.State, "classic", g.Protocol
	for _, m := range g.Members {
		line := memberLine{ID: m.MemberID, Client: m.ClientID, Host: m.ClientHost, Has: []string{}}
		if m.InstanceID != nil {
			line.Instance = *m.InstanceID
		}
		var has kmsg.ConsumerMemberAssignment
		if g.ProtocolType == "consumer" && has.ReadFrom(m.MemberAssignment) == nil {
			for _, t := range has.Topics {
				line.has(a, t.Topic, t.Partitions)
			}
		}
		a.Members = append(a.Members, line)
	}
}

// has notes partitions of a member.
func (m *memberLine) has(a *groupAnswer, topic string, partitions []int32) {
	for _, p := range partitions {
		at := spot{topic, p}
		m.Has, a.owners[at] = append(m.Has, at.String()), m.ID
	}
}

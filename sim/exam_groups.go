// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// What the examiner asks about consumer groups. All are stable by now, and their members know what they own.

func (e *exam) ofGroups() []*inquiry {
	var list []*inquiry
	for _, g := range e.groups() {
		list = append(list, e.classic(g), e.modern(g))
	}
	if len(list) > 0 {
		list = append(list, e.whichGroups())
	}
	if len(e.world.plan.Members) > 0 || len(e.world.askers) > 0 {
		list = append(list, e.leavesNothing())
	}
	return list
}

// examined is a group of the plan that has members.
type examined struct {
	name    string
	modern  bool
	members []*member // those that are up
}

func (e *exam) groups() (list []*examined) {
	for _, m := range e.world.consumers {
		if m.client == nil {
			continue
		}
		i := slices.IndexFunc(list, func(g *examined) bool { return g.name == m.spec.Group })
		if i < 0 {
			i = len(list)
			list = append(list, &examined{name: m.spec.Group, modern: m.spec.Modern})
		}
		list[i].members = append(list[i].members, m)
	}
	return list
}

// whichGroups asks for all groups, or for some. Each is listed by one broker.
func (e *exam) whichGroups() *inquiry {
	version, filter := e.version(kmsg.ListGroups), e.pick(3)
	return &inquiry{
		what: fmt.Sprintf("ListGroups, version %d, filter %d", version, filter),
		request: func(*broker) kmsg.Request {
			req := kmsg.NewPtrListGroupsRequest()
			req.Version = version
			if filter == 1 {
				req.StatesFilter, req.TypesFilter = []string{"stable"}, []string{"Classic"}
			} else if filter == 2 {
				req.StatesFilter = []string{"Empty", "Dead"}
			}
			return req
		},
		wrong: func(answers []told) string {
			found := make(map[string][]kmsg.ListGroupsResponseGroup)
			for _, t := range answers {
				r := t.resp.(*kmsg.ListGroupsResponse)
				if why := e.code(t, r.ErrorCode); why != "" {
					return why
				}
				for _, g := range r.Groups {
					found[g.Group] = append(found[g.Group], g)
				}
			}
			for _, g := range e.groups() {
				times := 1
				if version >= 4 && filter == 2 || version >= 5 && filter == 1 && g.modern {
					times = 0
				}
				if why := g.listedAs(found[g.name], version, times); why != "" {
					return why
				}
			}
			return ""
		},
	}
}

// listedAs compares how often a group is listed, and as what, with what it is.
func (g *examined) listedAs(list []kmsg.ListGroupsResponseGroup, version int16, times int) string {
	if len(list) != times {
		return fmt.Sprintf("group %s is listed %d times, and not %d times", g.name, len(list), times)
	}
	kind := "classic"
	if g.modern {
		kind = "consumer"
	}
	for _, l := range list {
		if l.ProtocolType != "consumer" || version >= 4 && l.GroupState != "Stable" || version >= 5 && l.GroupType != kind {
			return fmt.Sprintf("group %s is listed as %q, %q, %q; it is stable and of type %s", g.name, l.ProtocolType, l.GroupState, l.GroupType, kind)
		}
	}
	return ""
}

// isElsewhere says that a broker isn't the coordinator.
func isElsewhere(code int16) bool {
	return code == kerr.NotCoordinator.Code || code == kerr.CoordinatorNotAvailable.Code
}

// classic asks for a group, and for one that there isn't, as one of the classic protocol.
func (e *exam) classic(g *examined) *inquiry {
	version := e.version(kmsg.DescribeGroups)
	return &inquiry{
		what: fmt.Sprintf("DescribeGroups, version %d, of %s", version, g.name),
		request: func(*broker) kmsg.Request {
			req := kmsg.NewPtrDescribeGroupsRequest()
			req.Version, req.Groups = version, []string{g.name}
			return req
		},
		wrong: func(answers []told) string {
			described := 0
			for _, t := range answers {
				d := &t.resp.(*kmsg.DescribeGroupsResponse).Groups[0]
				if isElsewhere(d.ErrorCode) {
					continue
				}
				described++
				if why := g.classicAs(d, version); why != "" {
					return fmt.Sprintf("broker %d: %s", t.by.number, why)
				}
			}
			return once(described)
		},
	}
}

// once demands that one broker has described a group.
func once(described int) string {
	if described != 1 {
		return fmt.Sprintf("%d brokers take themselves for the coordinator", described)
	}
	return ""
}

func (g *examined) classicAs(d *kmsg.DescribeGroupsResponseGroup, version int16) string {
	if g.modern {
		if (d.ErrorCode == kerr.GroupIDNotFound.Code) != (version >= 6) || d.State != "Dead" {
			return fmt.Sprintf("it is a group of the other protocol, and is answered %s, in state %q", kafka.CodeName(d.ErrorCode), d.State)
		}
		return ""
	}
	if d.ErrorCode != 0 || d.State != "Stable" || d.ProtocolType != "consumer" || d.Protocol != "range" {
		return fmt.Sprintf("it is answered %s, in state %q, of protocol %q %q", kafka.CodeName(d.ErrorCode), d.State, d.ProtocolType, d.Protocol)
	}
	for _, m := range g.members {
		i := slices.IndexFunc(d.Members, func(o kmsg.DescribeGroupsResponseGroupMember) bool { return o.MemberID == m.id })
		if i < 0 {
			return fmt.Sprintf("member %s isn't named", m.id)
		}
		o := &d.Members[i]
		if owns := m.assigned(o.MemberAssignment); o.ClientHost != m.client.host() || o.ClientID != m.client.clientID() || !slices.Equal(owns, m.ownedNames()) {
			return fmt.Sprintf("member %s is said to be %s at %s and to own %v; it is %s at %s and owns %v", m.id, o.ClientID, o.ClientHost, owns, m.client.clientID(), m.client.host(), m.ownedNames())
		}
	}
	return ""
}

// modern asks for a group as one of KIP-848.
func (e *exam) modern(g *examined) *inquiry {
	version := e.version(kmsg.ConsumerGroupDescribe)
	return &inquiry{
		what: fmt.Sprintf("ConsumerGroupDescribe, version %d, of %s", version, g.name),
		request: func(*broker) kmsg.Request {
			req := kmsg.NewPtrConsumerGroupDescribeRequest()
			req.Version, req.Groups = version, []string{g.name}
			return req
		},
		wrong: func(answers []told) string {
			described := 0
			for _, t := range answers {
				d := &t.resp.(*kmsg.ConsumerGroupDescribeResponse).Groups[0]
				if isElsewhere(d.ErrorCode) {
					continue
				}
				described++
				if why := g.modernAs(d); why != "" {
					return fmt.Sprintf("broker %d: %s", t.by.number, why)
				}
			}
			return once(described)
		},
	}
}

func (g *examined) modernAs(d *kmsg.ConsumerGroupDescribeResponseGroup) string {
	if !g.modern {
		if d.ErrorCode != kerr.GroupIDNotFound.Code {
			return fmt.Sprintf("it is a group of the other protocol, and is answered %s", kafka.CodeName(d.ErrorCode))
		}
		return ""
	}
	if d.ErrorCode != 0 || d.State != "Stable" || d.AssignmentEpoch != d.Epoch || d.AssignorName == "" {
		return fmt.Sprintf("it is answered %s, in state %q, epoch %d, assigned in epoch %d by %q", kafka.CodeName(d.ErrorCode), d.State, d.Epoch, d.AssignmentEpoch, d.AssignorName)
	}
	for _, m := range g.members {
		i := slices.IndexFunc(d.Members, func(o kmsg.ConsumerGroupDescribeResponseGroupMember) bool { return o.MemberID == m.id })
		if i < 0 {
			return fmt.Sprintf("member %s isn't named", m.id)
		}
		o := &d.Members[i]
		switch owns, shall := namesOf(&o.Assignment), namesOf(&o.TargetAssignment); {
		case o.MemberEpoch != m.epoch || o.ClientHost != m.client.host() || o.ClientID != m.client.clientID():
			return fmt.Sprintf("member %s is said to be %s at %s in epoch %d; it is %s at %s in epoch %d", m.id, o.ClientID, o.ClientHost, o.MemberEpoch, m.client.clientID(), m.client.host(), m.epoch)
		case !slices.Equal(owns, m.ownedNames()) || !slices.Equal(shall, owns):
			return fmt.Sprintf("member %s is said to own %v, and that it shall own %v; it owns %v", m.id, owns, shall, m.ownedNames())
		case !slices.Equal(sorted(o.SubscribedTopics), sorted(m.topics)):
			return fmt.Sprintf("member %s is said to subscribe to %v; it does to %v", m.id, o.SubscribedTopics, m.topics)
		}
	}
	return ""
}

func sorted(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return names
}

// namesOf names the partitions of an assignment.
func namesOf(a *kmsg.Assignment) (names []string) {
	for _, t := range a.TopicPartitions {
		for _, p := range t.Partitions {
			names = append(names, partitionName(t.Topic, p))
		}
	}
	slices.Sort(names)
	return names
}

// leavesNothing lets nobody leave a group that has no members.
func (e *exam) leavesNothing() *inquiry {
	version := e.version(kmsg.LeaveGroup)
	return &inquiry{
		what: fmt.Sprintf("LeaveGroup, version %d, of who is in no group", version),
		request: func(*broker) kmsg.Request {
			req := kmsg.NewPtrLeaveGroupRequest()
			req.Version, req.Group, req.MemberID = version, "exam-none", "nobody"
			m := kmsg.NewLeaveGroupRequestMember()
			m.MemberID = "nobody"
			req.Members = append(req.Members, m)
			return req
		},
		wrong: eachOf(func(t told, r *kmsg.LeaveGroupResponse) string {
			code := r.ErrorCode
			if version >= 3 && code == 0 && len(r.Members) == 1 {
				code = r.Members[0].ErrorCode
			}
			if isElsewhere(code) || code == kerr.UnknownMemberID.Code {
				return ""
			}
			return fmt.Sprintf("broker %d answers %s, about %d members", t.by.number, kafka.CodeName(code), len(r.Members))
		}),
	}
}

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// Whoever changes what others rely on is told of to the operator: who, from where, by which request, what, and what came of it. A
// row of auditors says what that is, out of the request and its answer; so it is told what the client was told. Values of
// settings, and whatever else may be somebody's own, aren't.

// Audit is who did what, or was refused it.
type Audit struct {
	Principal string
	Client    string // id, as the client says
	Address   string
	Listener  string // name, "" for that without one
	API       string
	Resource  string
	Outcome   string // a Kafka error code; NONE if it was done
}

// maxAudited bounds what is told of one request.
const maxAudited = 50

// auditor gives what a request changed to tell, until that returns false.
type auditor func(req kmsg.Request, resp kmsg.Response, tell func(code int16, format string, args ...any) bool)

// auditors are of all APIs that change what others rely on. TestEveryChangeIsAudited asks about a new one.
func auditors() map[kmsg.Key]auditor {
	return map[kmsg.Key]auditor{
		kmsg.CreateTopics:              auditCreateTopics,
		kmsg.DeleteTopics:              auditDeleteTopics,
		kmsg.CreatePartitions:          auditCreatePartitions,
		kmsg.DeleteRecords:             auditDeleteRecords,
		kmsg.AlterConfigs:              auditAlterConfigs,
		kmsg.IncrementalAlterConfigs:   auditIncrementalAlterConfigs,
		kmsg.CreateACLs:                auditCreateACLs,
		kmsg.DeleteACLs:                auditDeleteACLs,
		kmsg.AlterUserSCRAMCredentials: auditUsers,
		kmsg.AlterClientQuotas:         auditQuotas,
		kmsg.DeleteGroups:              auditDeleteGroups,
		kmsg.OffsetDelete:              auditOffsetDelete,
		kmsg.AlterPartitionAssignments: auditMoves,
		kmsg.ElectLeaders:              auditElections,
		kmsg.WriteTxnMarkers:           auditMarkers,
		kmsg.UnregisterBroker:          auditUnregister,
		kmsg.UpdateFeatures:            auditUpdateFeatures,
	}
}

// audit tells what a request did that is answered now.
func (r *request) audit(resp kmsg.Response) {
	if r.asked == nil {
		return
	}
	told := 0
	r.node.auditors[kmsg.Key(r.header.Key)](r.asked, resp, func(code int16, format string, args ...any) bool {
		if told == maxAudited {
			r.tellAudit(EventAudited, "and more", 0)
			return false
		}
		told++
		r.tellAudit(EventAudited, fmt.Sprintf(format, args...), code)
		return true
	})
	r.node.out.Work.Parts += told
	r.asked = nil
}

func (r *request) tellAudit(kind EventKind, resource string, code int16) {
	r.node.event(Event{Kind: kind, N: int64(r.conn.id), Audit: r.auditOf(resource, code)})
}

// auditOf is about a resource and what came of the request for it.
func (r *request) auditOf(resource string, code int16) *Audit {
	return &Audit{
		Principal: fmt.Sprintf("%.200s", r.principal), Client: fmt.Sprintf("%.100s", r.header.ClientID), Address: r.conn.address, Listener: r.conn.listener.Name,
		API: kmsg.NameForKey(r.header.Key), Resource: resource, Outcome: kafka.CodeName(code),
	}
}

func auditCreateTopics(_ kmsg.Request, m kmsg.Response, tell func(int16, string, ...any) bool) {
	for _, t := range m.(*kmsg.CreateTopicsResponse).Topics {
		if !tell(t.ErrorCode, "topic %.249s", t.Topic) {
			return
		}
	}
}

func auditDeleteTopics(_ kmsg.Request, m kmsg.Response, tell func(int16, string, ...any) bool) {
	for _, t := range m.(*kmsg.DeleteTopicsResponse).Topics {
		name := fmt.Sprintf("%x", t.TopicID)
		if t.Topic != nil {
			name = *t.Topic
		}
		if !tell(t.ErrorCode, "topic %.249s", name) {
			return
		}
	}
}

func auditCreatePartitions(_ kmsg.Request, m kmsg.Response, tell func(int16, string, ...any) bool) {
	for _, t := range m.(*kmsg.CreatePartitionsResponse).Topics {
		if !tell(t.ErrorCode, "topic %.249s", t.Topic) {
			return
		}
	}
}

func auditDeleteRecords(_ kmsg.Request, m kmsg.Response, tell func(int16, string, ...any) bool) {
	for _, t := range m.(*kmsg.DeleteRecordsResponse).Topics {
		for _, p := range t.Partitions {
			if !tell(p.ErrorCode, "partition %.249s-%d before offset %d", t.Topic, p.Partition, p.LowWatermark) {
				return
			}
		}
	}
}

// auditAlterConfigs and the next name the settings if the answer is in the order of the request, as it is unless all is refused.
func auditAlterConfigs(q kmsg.Request, m kmsg.Response, tell func(int16, string, ...any) bool) {
	req := q.(*kmsg.AlterConfigsRequest)
	for i, out := range m.(*kmsg.AlterConfigsResponse).Resources {
		names := ""
		if i < len(req.Resources) && req.Resources[i].ResourceName == out.ResourceName {
			for _, c := range req.Resources[i].Configs[:min(maxAudited, len(req.Resources[i].Configs))] {
				names += fmt.Sprintf(" %.100s", c.Name)
			}
		}
		if !tell(out.ErrorCode, "%s %.249s, all settings:%.1000s", strings.ToLower(out.ResourceType.String()), out.ResourceName, names) {
			return
		}
	}
}

func auditIncrementalAlterConfigs(q kmsg.Request, m kmsg.Response, tell func(int16, string, ...any) bool) {
	req := q.(*kmsg.IncrementalAlterConfigsRequest)
	for i, out := range m.(*kmsg.IncrementalAlterConfigsResponse).Resources {
		names := ""
		if i < len(req.Resources) && req.Resources[i].ResourceName == out.ResourceName {
			for _, c := range req.Resources[i].Configs[:min(maxAudited, len(req.Resources[i].Configs))] {
				names += fmt.Sprintf(" %s %.100s", strings.ToLower(c.Op.String()), c.Name)
			}
		}
		if !tell(out.ErrorCode, "%s %.249s:%.1000s", strings.ToLower(out.ResourceType.String()), out.ResourceName, names) {
			return
		}
	}
}

func auditCreateACLs(q kmsg.Request, m kmsg.Response, tell func(int16, string, ...any) bool) {
	req := q.(*kmsg.CreateACLsRequest)
	for i, out := range m.(*kmsg.CreateACLsResponse).Results {
		rule := ruleOf(&req.Creations[i])
		if !tell(out.ErrorCode, "rule %v", &rule) {
			return
		}
	}
}

func auditDeleteACLs(_ kmsg.Request, m kmsg.Response, tell func(int16, string, ...any) bool) {
	for i, out := range m.(*kmsg.DeleteACLsResponse).Results {
		if out.ErrorCode != 0 && !tell(out.ErrorCode, "the rules of filter %d", i) {
			return
		}
		for _, a := range out.MatchingACLs {
			rule := ruleOf(&kmsg.CreateACLsRequestCreation{
				ResourceType: a.ResourceType, ResourceName: a.ResourceName, ResourcePatternType: a.ResourcePatternType,
				Principal: a.Principal, Host: a.Host, Operation: a.Operation, PermissionType: a.PermissionType,
			})
			if !tell(a.ErrorCode, "rule %v", &rule) {
				return
			}
		}
	}
}

func auditUsers(q kmsg.Request, m kmsg.Response, tell func(int16, string, ...any) bool) {
	deleted := make(map[string]bool)
	for _, d := range q.(*kmsg.AlterUserSCRAMCredentialsRequest).Deletions {
		deleted[d.Name] = true
	}
	for _, out := range m.(*kmsg.AlterUserSCRAMCredentialsResponse).Results {
		what := "sets a password"
		if deleted[out.User] {
			what = "deletes a password"
		}
		if !tell(out.ErrorCode, "user %.255s, %s", out.User, what) {
			return
		}
	}
}

func auditQuotas(_ kmsg.Request, m kmsg.Response, tell func(int16, string, ...any) bool) {
	for _, e := range m.(*kmsg.AlterClientQuotasResponse).Entries {
		var entity []string
		for _, part := range e.Entity {
			name := "the default"
			if part.Name != nil {
				name = fmt.Sprintf("%.255s", *part.Name)
			}
			entity = append(entity, fmt.Sprintf("%.20s %s", part.Type, name))
		}
		if !tell(e.ErrorCode, "quotas of %s", strings.Join(entity, ", ")) {
			return
		}
	}
}

func auditDeleteGroups(_ kmsg.Request, m kmsg.Response, tell func(int16, string, ...any) bool) {
	for _, g := range m.(*kmsg.DeleteGroupsResponse).Groups {
		if !tell(g.ErrorCode, "group %.249s", g.Group) {
			return
		}
	}
}

func auditOffsetDelete(q kmsg.Request, m kmsg.Response, tell func(int16, string, ...any) bool) {
	group, resp := q.(*kmsg.OffsetDeleteRequest).Group, m.(*kmsg.OffsetDeleteResponse)
	if resp.ErrorCode != 0 {
		tell(resp.ErrorCode, "offsets of group %.249s", group)
		return
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if !tell(p.ErrorCode, "offset of group %.249s, partition %.249s-%d", group, t.Topic, p.Partition) {
				return
			}
		}
	}
}

func auditMoves(_ kmsg.Request, m kmsg.Response, tell func(int16, string, ...any) bool) {
	for _, t := range m.(*kmsg.AlterPartitionAssignmentsResponse).Topics {
		for _, p := range t.Partitions {
			if !tell(p.ErrorCode, "replicas of partition %.249s-%d", t.Topic, p.Partition) {
				return
			}
		}
	}
}

func auditElections(_ kmsg.Request, m kmsg.Response, tell func(int16, string, ...any) bool) {
	for _, t := range m.(*kmsg.ElectLeadersResponse).Topics {
		for _, p := range t.Partitions {
			// Of all partitions, only those are told that another broker should lead.
			if p.ErrorCode != kerr.ElectionNotNeeded.Code && !tell(p.ErrorCode, "leader of partition %.249s-%d", t.Topic, p.Partition) {
				return
			}
		}
	}
}

func auditMarkers(_ kmsg.Request, m kmsg.Response, tell func(int16, string, ...any) bool) {
	for _, marker := range m.(*kmsg.WriteTxnMarkersResponse).Markers {
		for _, t := range marker.Topics {
			for _, p := range t.Partitions {
				if !tell(p.ErrorCode, "transaction of producer %d in partition %.249s-%d", marker.ProducerID, t.Topic, p.Partition) {
					return
				}
			}
		}
	}
}

func auditUpdateFeatures(q kmsg.Request, m kmsg.Response, tell func(int16, string, ...any) bool) {
	req, resp := q.(*kmsg.UpdateFeaturesRequest), m.(*kmsg.UpdateFeaturesResponse)
	for i := range req.FeatureUpdates {
		failed := resp.ErrorCode
		if i < len(resp.Results) && failed == 0 {
			failed = resp.Results[i].ErrorCode
		}
		if f := &req.FeatureUpdates[i]; !tell(failed, "feature %.60s, level %d", f.Feature, f.MaxVersionLevel) {
			return
		}
	}
}

func auditUnregister(q kmsg.Request, m kmsg.Response, tell func(int16, string, ...any) bool) {
	tell(m.(*kmsg.UnregisterBrokerResponse).ErrorCode, "broker %d", q.(*kmsg.UnregisterBrokerRequest).BrokerID)
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// lens is what is seen of answers. What two right brokers may say differently is left out (texts of errors, times, addresses),
// or told only in kind: an id is there or not.
type lens struct{ leftOut, inKind, sets map[string]bool }

// ofOne is for a cluster of one broker.
var ofOne = lens{leftOut, inKind, unordered}

// ofThree is for one of three, where it matters which broker is named.
var ofThree = lens{
	without(leftOut, "Brokers", "NodeEndpoints", "Nodes", "CurrentLeader", "PreferredReadReplica", "Rack"),
	without(inKind, "LeaderID", "NodeID"),
	unordered,
}

// unordered are sets, whose order says nothing.
var unordered = map[string]bool{
	"ISR": true, "OfflineReplicas": true, "Brokers": true, "Nodes": true, "NodeEndpoints": true, "CurrentVoters": true, "Observers": true,
	"AddingReplicas": true, "RemovingReplicas": true, "Entries": true, "Entity": true, "Values": true,
}

// render is an answer as text.
func (l *lens) render(resp kmsg.Response) string {
	if r, yes := resp.(*kmsg.CreateTopicsResponse); yes {
		for i := range r.Topics { // the defaults of all configurations, and an id even if nothing was made
			r.Topics[i].Configs, r.Topics[i].TopicID = nil, [16]byte{}
		}
	}
	return l.structure(reflect.ValueOf(resp).Elem())
}

// leftOut are fields that say nothing about what is right.
var leftOut = map[string]bool{
	"Version": true, "ThrottleMillis": true, "UnknownTags": true, "ErrorMessage": true, "Host": true, "Port": true, "Rack": true, "ClusterID": true,
	"Brokers": true, "NodeEndpoints": true, "Nodes": true, "CurrentLeader": true, "DivergingEpoch": true, "SnapshotID": true, "ErrMessage": true,
	"Documentation": true, "Synonyms": true, "AuthorizedOperations": true, "ClusterAuthorizedOperations": true,
	"LastTimestamp": true, "TotalBytes": true, "UsableBytes": true, "Dir": true, "Size": true, "HeartbeatIntervalMillis": true, "IsCordoned": true,
	"MemberHost": true, "ClientHost": true, "PreferredReadReplica": true, "EligibleLeaderReplicas": true, "LastKnownELR": true,
	"Listeners": true, "ReplicaDirectoryID": true, "LastFetchTimestamp": true, "LastCaughtUpTimestamp": true,
}

// inKind are fields of which is told only whether they are there.
var inKind = map[string]bool{
	"TopicID": true, "ProducerID": true, "MemberID": true, "LeaderID": true, "LeaderEpoch": true, "LogAppendTime": true, "Timestamp": true,
	"CurrentLeaderEpoch": true, "ControllerID": true, "RecordBatches": true, "CoordinatorEpoch": true, "NodeID": true, "MemberAssignment": true,
	"ProtocolMetadata": true, "MaxTimestamp": true, "Assignment": true, "SASLAuthBytes": true,
}

// epochs of groups go up, in steps of their own.
var epochs = map[string]bool{"MemberEpoch": true, "Epoch": true, "AssignmentEpoch": true}

func (l *lens) structure(v reflect.Value) string {
	var parts []string
	failed := v.FieldByName("ErrorCode")
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() || l.leftOut[f.Name] {
			continue
		}
		if f.Name == "LogStartOffset" && failed.IsValid() && failed.Int() != 0 {
			continue
		}
		text := l.value(f.Name, v.Field(i))
		if text == "" {
			continue
		}
		parts = append(parts, f.Name+"="+text)
	}
	return "{" + strings.Join(parts, " ") + "}"
}

// value is empty for what is left out.
func (l *lens) value(name string, v reflect.Value) string {
	switch {
	case epochs[name] && v.Int() > 0:
		return "positive"
	case name == "ErrorCode":
		return codeName(int16(v.Int()))
	case l.inKind[name] && v.Kind() != reflect.Slice && v.Kind() != reflect.Array || v.Kind() == reflect.Array:
		return kind(v)
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return "null"
		}
		return l.value(name, v.Elem())
	case reflect.Struct:
		return l.structure(v)
	case reflect.Slice:
		return l.list(name, v)
	case reflect.String:
		return fmt.Sprintf("%q", v.String())
	}
	return fmt.Sprint(v.Interface())
}

func (l *lens) list(name string, v reflect.Value) string {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		if v.IsNil() {
			return "null"
		}
		if l.inKind[name] {
			return map[bool]string{true: "some", false: "none"}[v.Len() > 0]
		}
		return fmt.Sprintf("%q", v.Bytes())
	}
	if v.IsNil() {
		return "[]"
	}
	var parts []string
	for i := range v.Len() {
		parts = append(parts, l.value(name, v.Index(i)))
	}
	if l.sets[name] {
		slices.Sort(parts)
	}
	return "[" + strings.Join(parts, " ") + "]"
}

// kind is "there", "none", or a number that has a meaning of its own: -1.
func kind(v reflect.Value) string {
	switch {
	case v.Kind() == reflect.Pointer && v.IsNil():
		return "null"
	case v.CanInt() && v.Int() < 0:
		return fmt.Sprint(v.Int())
	case v.CanInt(), !v.IsZero():
		return "there"
	}
	return "none"
}

func codeName(code int16) string {
	if code == 0 {
		return "ok"
	}
	if e, yes := kerr.ErrorForCode(code).(*kerr.Error); yes {
		return e.Message
	}
	return fmt.Sprint(code)
}

// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"encoding/hex"
	"reflect"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Clients look up in an answer what they asked about, by its name: one that names nothing, or something else, leaves them without an
// answer, and they wait or ask again for ever. So whatever a request of these kinds names is named in its answer, and nothing else is.

// echoed are the requests whose answers name what was asked about, one by one.
var echoed = []kmsg.Key{
	kmsg.ListOffsets, kmsg.OffsetCommit, kmsg.TxnOffsetCommit, kmsg.OffsetDelete, kmsg.OffsetForLeaderEpoch, kmsg.DeleteRecords, kmsg.AddPartitionsToTxn,
	kmsg.CreateTopics, kmsg.CreatePartitions, kmsg.ElectLeaders, kmsg.AlterPartitionAssignments,
	kmsg.DescribeConfigs, kmsg.AlterConfigs, kmsg.IncrementalAlterConfigs, kmsg.DescribeProducers, kmsg.DescribeQuorum, kmsg.DescribeTransactions,
	kmsg.DescribeGroups, kmsg.DeleteGroups, kmsg.ConsumerGroupDescribe, kmsg.DescribeUserSCRAMCredentials, kmsg.AlterUserSCRAMCredentials,
}

// namingLists are the lists of requests and answers that name what they are about, and namingFields what names an element of one.
var (
	namingLists = []string{
		"Topics", "Partitions", "Resources", "Groups", "TransactionalIDs", "TransactionStates", "Users", "Results", "Responses", "Deletions", "Upsertions",
	}
	namingFields = []string{"Topic", "Partition", "ResourceName", "Group", "TransactionalID", "User", "Name"}
	namingByID   = []string{"TopicID", "Partition"}
)

// namesIn adds what an element of such a list names, in a place.
func namesIn(names []string, v reflect.Value, place string, fields []string) []string {
	switch v.Kind() {
	case reflect.String:
		return append(names, place+"/"+v.String())
	case reflect.Int32:
		return append(names, place+"/"+strconv.FormatInt(v.Int(), 10))
	case reflect.Pointer:
		if v.IsNil() {
			return names
		}
		return namesIn(names, v.Elem(), place, fields)
	case reflect.Struct:
	default:
		return names
	}
	for _, name := range fields {
		if f := v.FieldByName(name); f.IsValid() {
			place += nameOf(f)
		}
	}
	if parts := v.FieldByName("Partitions"); parts.IsValid() && parts.Kind() == reflect.Slice {
		return namesInLists(names, v, place, fields)
	}
	return append(names, place)
}

func nameOf(f reflect.Value) string {
	switch f.Kind() {
	case reflect.String:
		return "/" + f.String()
	case reflect.Int32:
		return "/" + strconv.FormatInt(f.Int(), 10)
	case reflect.Array:
		id := f.Interface().([16]byte)
		return "/" + hex.EncodeToString(id[:])
	}
	return ""
}

// namesInLists adds what the lists of v name.
func namesInLists(names []string, v reflect.Value, place string, fields []string) []string {
	for _, list := range namingLists {
		if f := v.FieldByName(list); f.IsValid() && f.Kind() == reflect.Slice {
			for i := range f.Len() {
				names = namesIn(names, f.Index(i), place, fields)
			}
		}
	}
	return names
}

// checkEchoed compares what an answer names with what was asked about.
func (w *world) checkEchoed(cn *conn, req kmsg.Request, resp kmsg.Response) {
	if !slices.Contains(echoed, kmsg.Key(req.Key())) {
		return
	}
	fields := namingFields
	if req.Key() == int16(kmsg.OffsetCommit) && req.GetVersion() >= 10 {
		fields = namingByID
	}
	asked := namesInLists(nil, reflect.ValueOf(req).Elem(), "", fields)
	told := namesInLists(nil, reflect.ValueOf(resp).Elem(), "", fields)
	code := reflect.ValueOf(resp).Elem().FieldByName("ErrorCode")
	if len(asked) == 0 || len(told) == 0 && code.IsValid() && code.Int() != 0 { // all are asked about, or the whole is refused
		return
	}
	for _, name := range asked {
		if !slices.Contains(told, name) {
			w.fail("echo", "broker %d is asked by %s (version %d) about %q, and its answer has only %.10q", cn.broker.number, kmsg.NameForKey(req.Key()), req.GetVersion(), name, told)
		}
	}
	for _, name := range told {
		if !slices.Contains(asked, name) {
			w.fail("echo", "broker %d answers to %s (version %d) about %q, which wasn't asked about: that was %.10q", cn.broker.number, kmsg.NameForKey(req.Key()), req.GetVersion(), name, asked)
		}
	}
}

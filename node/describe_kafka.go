// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// describeRequest prints a client's request.
func describeRequest(frame []byte) string {
	h, body, err := kafka.ParseHeader(frame)
	if err != nil {
		return fmt.Sprintf("%d bytes that are no request: %v", len(frame), err)
	}
	head := fmt.Sprintf("%s v%d", kmsg.NameForKey(h.Key), h.Version)
	req, err := kafka.ParseBody(h, body)
	if err != nil {
		return fmt.Sprintf("%s, %d bytes: %v", head, len(frame), err)
	}
	return strings.TrimRight(head+" "+describeFields(reflect.ValueOf(req).Elem()), " ")
}

// describeReply prints the answer to a request.
func describeReply(r *Reply) string {
	end := ""
	if r.Close {
		end = ", then closes"
	}
	frame := kafka.Frame(r.Frame).Bytes()
	if len(frame) == 0 {
		return "no answer" + end
	}
	head := fmt.Sprintf("%s v%d", kmsg.NameForKey(r.Key), r.Version)
	resp := kmsg.ResponseForKey(r.Key)
	if resp == nil {
		return fmt.Sprintf("answer, %d bytes%s", len(frame), end)
	}
	resp.SetVersion(r.Version)
	if _, err := kafka.ParseResponse(frame, resp); err != nil {
		return fmt.Sprintf("%s answer, %d bytes that can't be read%s", head, len(frame), end)
	}
	return strings.TrimRight(fmt.Sprintf("%s answer %s", head, describeFields(reflect.ValueOf(resp).Elem())), " ") + end
}

// shown are the fields of requests and answers that are printed, and how they are called. What isn't listed isn't
// printed: it may be a secret. Zero values aren't printed either, but for those that end with '='.
var shown = map[string]string{
	"Acks": "acks=", "Topic": "", "Partition": "", "Offset": "offset=", "FetchOffset": "offset=", "BaseOffset": "offset=",
	"Timestamp": "timestamp", "ErrorCode": "error", "HighWatermark": "hw=", "LogStartOffset": "start=",
	"LowWatermark": "start=", "LeaderEpoch": "epoch=", "CurrentLeaderEpoch": "epoch=", "EndOffset": "end=", "LeaderID": "leader=", "Leader": "leader=",
	"Replicas": "replicas=", "ISR": "isr=", "ReplicationFactor": "factor", "NumPartitions": "partitions",
	"ProducerID": "producer=", "ProducerEpoch": "epoch=", "Group": "", "Generation": "generation=", "MemberID": "member", "MemberEpoch": "epoch=",
	"SubscribedTopicNames": "topics", "Protocol": "protocol", "CoordinatorKey": "", "CoordinatorKeys": "", "NodeID": "broker=",
	"BrokerID": "broker=", "ControllerID": "controller=", "MaxWaitMillis": "wait", "MinBytes": "min", "TimeoutMillis": "timeout",
	"ErrorMessage": "", "TransactionID": "of", "TransactionalID": "", "Commit": "commit", "State": "", "TransactionState": "",
}

// unshown are parts of messages that say nothing.
var unshown = map[string]bool{"UnknownTags": true, "Configs": true, "ErrorRecords": true}

// What answers say of a leader that isn't known, and of the end of an epoch where there is nothing to say.
const (
	nobodyLeads = "leader=-1 epoch=-1"
	noEnd       = "end=-1"
)

const elementsShown = 6 // of an array

// describeFields prints what is shown of a message or a part of it.
func describeFields(v reflect.Value) string {
	var parts []string
	add := func(s string) {
		if s != "" {
			parts = append(parts, s)
		}
	}
	for i := range v.NumField() {
		f, name := v.Field(i), v.Type().Field(i).Name
		if f.Kind() == reflect.Pointer && !f.IsNil() && f.Elem().Kind() == reflect.Struct {
			f = f.Elem()
		}
		switch {
		case unshown[name] || !v.Type().Field(i).IsExported():
		case f.Type() == bytesType:
			add(describeBytes(name, f.Bytes()))
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct:
			add(describeArray(name, f))
		case f.Kind() == reflect.Struct:
			if s := describeFields(f); s != "" && s != nobodyLeads && s != noEnd && !f.IsZero() {
				add("{" + s + "}")
			}
		default:
			add(describeField(name, f))
		}
	}
	return strings.Join(parts, " ")
}

var bytesType = reflect.TypeFor[[]byte]()

func describeArray(name string, f reflect.Value) string {
	if f.Len() == 0 {
		return ""
	}
	if name == "Topics" {
		return listed(f.Len(), elementsShown, " ", func(i int) string { return describeParts(f.Index(i)) })
	}
	if describeFields(f.Index(0)) == "" {
		return fmt.Sprintf("%d %s", f.Len(), name)
	}
	return "[" + listed(f.Len(), elementsShown, "; ", func(i int) string { return describeFields(f.Index(i)) }) + "]"
}

// describeParts prints t/0: ..., t/1: ... for the partitions of a topic.
func describeParts(v reflect.Value) string {
	name := "?"
	for _, field := range []string{"Topic", "TopicID"} {
		switch f := v.FieldByName(field); {
		case !f.IsValid() || f.IsZero():
			continue
		case f.Kind() == reflect.Pointer:
			name = f.Elem().String()
		case f.Kind() == reflect.String:
			name = f.String()
		case field == "TopicID" && name == "?":
			name = fmt.Sprintf("%x", f.Interface())
		}
	}
	name = shorten(name, 60)
	parts := v.FieldByName("Partitions")
	if !parts.IsValid() || parts.Kind() != reflect.Slice || parts.Len() == 0 {
		rest := describeFields(v)
		return strings.TrimRight(name+" "+strings.TrimSpace(strings.TrimPrefix(rest, name)), " ")
	}
	if parts.Type().Elem().Kind() != reflect.Struct {
		return fmt.Sprintf("%s/%s", name, describeScalars(parts))
	}
	return listed(parts.Len(), elementsShown, " ", func(i int) string {
		rest := strings.TrimSpace(describeFields(parts.Index(i)))
		index := fmt.Sprint(parts.Index(i).FieldByName("Partition"))
		rest = strings.TrimSpace(strings.TrimPrefix(rest, index))
		return strings.TrimRight(fmt.Sprintf("%s/%s: %s", name, index, rest), " :")
	})
}

// describeField prints one value, if it is shown.
func describeField(name string, f reflect.Value) string {
	label, ok := shown[name]
	if !ok {
		return ""
	}
	if f.Kind() == reflect.Pointer {
		if f.IsNil() {
			return ""
		}
		f = f.Elem()
	}
	if name == "ErrorCode" {
		if f.Int() == 0 {
			return ""
		}
		return kafka.CodeName(int16(f.Int()))
	}
	always := strings.HasSuffix(label, "=") || name == "Partition"
	if f.IsZero() && !always || name == "NodeID" && f.Int() < 0 {
		return ""
	}
	value := ""
	if f.Kind() == reflect.Slice {
		value = describeScalars(f)
	} else {
		value = shorten(fmt.Sprint(f.Interface()), 80)
	}
	if label == "" || strings.HasSuffix(label, "=") {
		return label + value
	}
	return label + " " + value
}

func describeScalars(f reflect.Value) string {
	return listed(f.Len(), 12, ",", func(i int) string { return shorten(fmt.Sprint(f.Index(i).Interface()), 60) })
}

// describeBytes prints record batches, and of all else how much it is.
func describeBytes(name string, b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if name != "Records" && name != "RecordBatches" {
		return fmt.Sprintf("%d bytes", len(b))
	}
	var parts []string
	_ = kafka.SplitBatches(b, func(one []byte) {
		batch, err := kafka.ParseBatch(one)
		if err != nil {
			return
		}
		part := describeBatch(&batch, len(one))
		if name == "RecordBatches" {
			part = fmt.Sprintf("%d..%d ", batch.BaseOffset, batch.LastOffset()) + part
		}
		parts = append(parts, part)
	})
	if len(parts) == 0 {
		return fmt.Sprintf("%d bytes", len(b))
	}
	return listed(len(parts), elementsShown, ", ", func(i int) string { return parts[i] })
}

// describeBatch prints a batch without what is in it: whose it is, its sequences, and how many records. Its base offset
// is known only on the way out; before, its place holds a time.
func describeBatch(b *kafka.Batch, size int) string {
	s := fmt.Sprintf("%d records, %d bytes", b.Offsets(), size)
	if b.IsIdempotent() {
		s = fmt.Sprintf("producer %d.%d seq %d+%d, %d bytes", b.ProducerID, b.ProducerEpoch, b.BaseSequence, b.Offsets(), size)
	}
	return s
}

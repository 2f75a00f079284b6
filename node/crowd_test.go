// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node/consumers"
)

// crowd makes requests in which one array has very many elements, all the same or each another.
type crowd struct {
	array string // which: the names of the fields that lead to it
	count int
	same  bool
	topic [16]byte // an id that there is
}

// arrays lists the arrays of a type of request.
func arrays(t reflect.Type, path string) (all []string) {
	switch t.Kind() {
	case reflect.Pointer:
		return arrays(t.Elem(), path)
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() && f.Name != "UnknownTags" {
				all = append(all, arrays(f.Type, path+"."+f.Name)...)
			}
		}
	case reflect.Slice:
		if t.Elem().Kind() != reflect.Uint8 {
			return append([]string{path}, arrays(t.Elem(), path)...)
		}
	}
	return all
}

// fill sets a value by the name of its field. It is the i-th in the array.
func (c *crowd) fill(v reflect.Value, path string, i int) {
	name := path[strings.LastIndex(path, ".")+1:]
	switch v.Kind() {
	case reflect.Pointer:
		if name != "TransactionID" && name != "TransactionalID" && name != "InstanceID" && name != "Cursor" {
			v.Set(reflect.New(v.Type().Elem()))
			c.fill(v.Elem(), path, i)
		}
	case reflect.Struct:
		for f := range v.NumField() {
			if t := v.Type().Field(f); t.Name != "Version" && t.Name != "UnknownTags" {
				c.fill(v.Field(f), path+"."+t.Name, i)
			}
		}
	case reflect.Slice:
		c.fillSlice(v, path, i)
	case reflect.Array:
		if name != "TopicID" {
			return
		}
		id := c.topic
		if path == c.array+".TopicID" && !c.same {
			id[0], id[1], id[2] = byte(i), byte(i>>8), byte(i>>16)
		}
		v.Set(reflect.ValueOf(id))
	case reflect.String:
		v.SetString(c.text(name, path, i))
	case reflect.Bool:
		v.SetBool(name == "ValidateOnly")
	case reflect.Float64:
		v.SetFloat(float64(c.number(name, i)))
	default:
		v.SetInt(c.number(name, i))
	}
}

func (c *crowd) fillSlice(v reflect.Value, path string, i int) {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		if strings.HasSuffix(path, "Records") {
			v.SetBytes(plain("a"))
		}
		return
	}
	n := 1
	if path == c.array {
		n = c.count
	}
	v.Set(reflect.MakeSlice(v.Type(), n, n))
	for j := range n {
		at := i
		if path == c.array && !c.same {
			at = j
		}
		c.fill(v.Index(j), path, at)
	}
}

func (c *crowd) text(name, path string, i int) string {
	switch {
	case name == "MemberID":
		return ""
	case name == "ResourceName" || name == "Dir":
		return fmt.Sprint("r", i)
	case strings.Contains(name, "Group") || name == "CoordinatorKey" || name == "CoordinatorKeys":
		if strings.HasPrefix(path, c.array) && i > 0 {
			return fmt.Sprint("g", i)
		}
		return "g"
	case strings.Contains(name, "Assignor"):
		return consumers.AssignorUniform
	case strings.Contains(name, "Regex"):
		return "n.*"
	case name == "ProtocolType":
		return "consumer"
	case i > 0:
		return fmt.Sprint("n", i)
	}
	return "t"
}

func (c *crowd) number(name string, i int) int64 {
	switch name {
	case "HighWatermark": // then it isn't sent; a request may have few tagged fields
		return math.MaxInt64
	case "SessionTimeoutMillis":
		return 6000
	case "RebalanceTimeoutMillis":
		return 100
	case "TimeoutMillis", "MaxBytes", "PartitionMaxBytes":
		return 100_000
	case "MaxWaitMillis":
		return 10
	case "CurrentLeaderEpoch", "Acks", "Generation", "LastFetchedEpoch", "LeaderEpoch", "ReplicaID", "Timestamp":
		return -1
	case "ResourceType":
		return int64(kmsg.ConfigResourceTypeTopic)
	case "ResponsePartitionLimit":
		return 2000
	case "NumPartitions", "ReplicationFactor", "Count":
		return 1
	case "Partition", "Partitions", "PartitionIndex":
		return int64(i)
	}
	return 0
}

// newCrowded returns a broker that coordinates groups, of which "g" has offsets.
func newCrowded(t *testing.T) *one {
	o := newGroups(t, func(c *Config) { c.Log.SegmentBytes = 16 << 20 })
	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Version, commit.Group, commit.Generation = 7, "g", -1
	commit.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: 1, LeaderEpoch: -1}}}}
	o.do(commit)
	return o
}

// TestManyElementsOfEveryRequest sends each request that is advertised, oldest and newest version, with very many
// elements in each of its arrays. What the broker does for them has to be counted, in steps that keep to the budget,
// and grow no faster than the request. An API that comes later is tried as well.
func TestManyElementsOfEveryRequest(t *testing.T) {
	count := 30_000
	if testing.Short() {
		count = 5_000
	}
	for _, a := range apiTable() {
		o, conn := newCrowded(t), ConnID(100)
		id := o.idOf("t")
		for _, version := range slices.Compact([]int16{max(a.min, a.served), a.max}) {
			for _, path := range arrays(reflect.TypeOf(kmsg.RequestForKey(a.key.Int16())).Elem(), "") {
				for _, same := range []bool{true, false} {
					conn++
					c := &crowd{array: path, count: count, same: same, topic: id}
					c.send(o, conn, a.key.Int16(), version)
					o.step(Input{Hangups: []ConnID{conn}})
				}
			}
		}
	}
}

// cpuTime is the CPU time of this process: other processes may take the rest.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (c *crowd) send(o *one, conn ConnID, key, version int16) {
	o.t.Helper()
	req := kmsg.RequestForKey(key)
	c.fill(reflect.ValueOf(req).Elem(), "", 0)
	req.SetVersion(version)
	frame := kafka.AppendRequest(nil, 1, "crowd", req)
	if len(frame) < c.count {
		return // the version doesn't have the array
	}
	name := fmt.Sprintf("%s v%d with %d elements in %s, same: %v", kmsg.NameForKey(key), version, c.count, c.array, c.same)
	o.total, o.longest, o.replies = Work{}, Work{}, nil
	begun := cpuTime()
	o.step(Input{Requests: []Request{{Conn: conn, Frame: frame}}})
	for i := 0; len(o.replies) == 0 && i < 2000; i++ {
		o.step(Input{})
	}
	took := cpuTime() - begun
	answer := 0
	for _, r := range o.replies {
		if r.Conn != conn {
			continue // an older one that waited
		}
		if r.Close {
			o.t.Errorf("%s is not understood", name)
		}
		answer += len(kafka.Frame(r.Frame).Bytes())
	}
	if cost := o.longest.Cost(); cost > 2*StepBudget {
		o.t.Errorf("%s: a step did %+v, %d of %d", name, o.longest, cost, StepBudget)
	}
	if cost := o.total.Cost(); cost > 100*c.count || answer > 2*c.count && cost < c.count {
		o.t.Errorf("%s: %d bytes are answered with %d, and %d is counted for it", name, len(frame), answer, cost)
	}
	if took > time.Second {
		o.t.Errorf("%s takes %v", name, took)
	}
	if testing.Verbose() {
		o.t.Logf("%s: %v, cost %d, longest %d, %d bytes, answer %d bytes", name, took.Round(time.Millisecond), o.total.Cost(), o.longest.Cost(), len(frame), answer)
	}
}

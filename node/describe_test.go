// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/wal"
)

// describedSteps runs a cluster of three through a story, and returns what its steps took and gave, described.
func describedSteps(t *testing.T) (lines []string, inputs []Input) {
	c := newMany(t, 3, nil)
	c.watch = func(in *Input, out *Output) {
		lines = append(append(lines, DescribeInput(in, 1000)...), DescribeOutput(out, 1000)...)
		inputs = append(inputs, Input{Requests: slices.Clone(in.Requests), Messages: slices.Clone(in.Messages), Results: slices.Clone(in.Results)})
	}
	c.create("t", 1, 2, 3)
	c.produce("t", "hunter2", "hunter2")
	c.read("t", 0)
	alter := kmsg.NewPtrIncrementalAlterConfigsRequest()
	alter.Version = 1
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, "t"
	config := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	config.Name, config.Value = "retention.ms", new("987654321")
	resource.Configs = append(resource.Configs, config)
	alter.Resources = append(alter.Resources, resource)
	c.ask(1, alter)
	auth := kmsg.NewPtrSASLAuthenticateRequest()
	auth.Version, auth.SASLAuthBytes = 2, []byte("\x00me\x00hunter2")
	lines = append(lines, "< conn 1 "+describeRequest(kafka.AppendRequest(nil, 1, "me", auth)))
	return lines, inputs
}

func TestDescribe(t *testing.T) {
	lines, _ := describedSteps(t)
	all := strings.Join(lines, "\n") + "\n"
	for _, want := range []string{
		"< conn 1 Produce v9 acks=-1 timeout 1000 t/0: 1 records, 75 bytes\n",
		"> conn 1 Produce v9 answer t/0: offset=0 start=0\n",
		"> conn 1 Produce v9 answer t/0: offset=1 start=0\n",
		"> 1->2 MsgApp g1 t1 i3+1 after t1 c2: t1 1 records, 75 bytes\n",
		"< 1->2 MsgApp g1 t1 i3+1 after t1 c2: t1 1 records, 75 bytes\n",
		"> 2->1 MsgAppResp g1 t1 has i3\n",
		"event committed group=1 term=1 n=3\n",
		"entry g1 i3 t1",
		"commit g1 c3",
		"CreateTopic t, 1 partitions",
		"< conn 1 SASLAuthenticate v2 11 bytes\n",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no line %q", want)
		}
	}
	if t.Failed() {
		t.Log(all)
	}
	for _, secret := range []string{"hunter2", "987654321"} {
		if strings.Contains(all, secret) {
			t.Errorf("%q is printed", secret)
		}
	}
	if strings.Contains(all, "malformed") || strings.Contains(all, "other bytes") {
		t.Error("something isn't understood")
	}
}

func TestDescribeIsBounded(t *testing.T) {
	in := &Input{}
	frame := kafka.AppendRequest(nil, 1, strings.Repeat("x", 10_000), produceRequest(strings.Repeat("t", 200), -1, nil))
	for range 1000 {
		in.Requests = append(in.Requests, Request{Conn: 1, Frame: frame})
		in.Hangups = append(in.Hangups, 7)
	}
	lines := DescribeInput(in, 10)
	if len(lines) != 22 || lines[10] != "... and 990 more requests" || lines[21] != "... and 990 more hangups" {
		t.Errorf("%q", lines)
	}
	long := shorten(strings.Repeat("ä\n", 1000), maxDescribed)
	if len(long) > maxDescribed+40 || !strings.HasSuffix(long, "(2700 bytes more)") || strings.Contains(long, "\n") {
		t.Errorf("%q", long)
	}
}

// TestDescribeGarbage describes what a broker would refuse: bytes of a real cluster that are cut and changed.
func TestDescribeGarbage(t *testing.T) {
	_, inputs := describedSteps(t)
	r := rand.New(rand.NewPCG(1, 2))
	change := func(b []byte) []byte {
		b = slices.Clone(b)[:r.IntN(len(b)+1)]
		for range min(len(b), r.IntN(4)) {
			b[r.IntN(len(b))] = byte(r.IntN(256))
		}
		return b
	}
	for range 2 {
		for i := range inputs {
			in := &inputs[i]
			for j := range in.Requests {
				DescribeInput(&Input{Requests: []Request{{Frame: change(in.Requests[j].Frame)}}}, 10)
			}
			for j := range in.Messages {
				DescribeInput(&Input{Messages: []Message{{Data: change(in.Messages[j].Data)}}}, 10)
			}
			for j := range in.Results {
				op := in.Results[j].Op
				DescribeInput(&Input{Results: []wal.Result{{Op: op, Data: change(op.Data)}}}, 10)
				op.Data = change(op.Data)
				DescribeOutput(&Output{Ops: []wal.Op{op}}, 10)
			}
			for key := range int16(80) {
				frame := change([]byte(fmt.Sprint(i, "answers of all kinds that nobody gave")))
				DescribeOutput(&Output{Replies: []Reply{{Frame: [][]byte{frame}, Key: key, Version: int16(r.IntN(10))}}}, 10)
			}
		}
	}
}

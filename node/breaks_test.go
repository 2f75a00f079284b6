// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// manyConfigs asks for the configurations of topics that aren't there.
func manyConfigs(names int) kmsg.Request {
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Version = 4
	for i := range names {
		req.Resources = append(req.Resources, kmsg.DescribeConfigsRequestResource{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: fmt.Sprintf("t%d", i)})
	}
	return req
}

// slowSteps has a request answered by a node whose steps take a millisecond if they do something, and says how long it took.
// It steps when the node wants to. Each 5 ms somebody else writes, if there is a batch, and must be answered in five steps.
func (o *one) slowSteps(req kmsg.Request, batch []byte) (took time.Duration) {
	o.t.Helper()
	const conn, polite = 1, 2
	o.replies = nil
	begun, write := o.now, o.now
	in := Input{Requests: []Request{{Conn: conn, Frame: kafka.AppendRequest(nil, 1, "test", req)}}}
	for o.now.Sub(begun) < time.Minute {
		asked := false
		if batch != nil && o.now >= write {
			write, asked = o.now.Add(5*time.Millisecond), true
			in.Requests = append(in.Requests, Request{Conn: polite, Frame: kafka.AppendRequest(nil, 2, "test", produceRequest("t", -1, batch))})
		}
		quiet := o.tick(in)
		o.pause()
		if in = (Input{}); asked {
			for range 4 {
				o.tick(in)
				o.pause()
			}
			if !slices.ContainsFunc(o.replies, func(r Reply) bool { return r.Conn == polite }) {
				o.t.Fatalf("%v after the request a batch waits for more than five steps", o.now.Sub(begun))
			}
		}
		for _, r := range o.replies {
			if r.Conn == conn {
				return o.now.Sub(begun)
			}
		}
		o.replies = nil
		if quiet && batch == nil {
			o.now = max(o.now, o.node.out.Wake)
		} else if quiet {
			o.now = max(o.now, min(write, o.node.out.Wake))
		}
	}
	o.t.Fatal("no answer")
	return 0
}

// pause lets the time pass that a step takes.
func (o *one) pause() {
	if o.node.out.Work != (Work{}) {
		o.now = o.now.Add(time.Millisecond)
	}
}

// A request that names very much gets a quarter of the time while others write, after a burst, and all of it while nobody does.
func TestLargeRequestsTakeBreaks(t *testing.T) {
	records := plain("x")
	alone := func(names int) time.Duration {
		o := newOne(t, nil)
		o.create("t")
		o.pass(10 * time.Second)
		return o.slowSteps(manyConfigs(names), nil)
	}
	beside := func(names int) time.Duration {
		o := newOne(t, nil)
		o.create("t")
		o.pass(10 * time.Second)
		return o.slowSteps(manyConfigs(names), records)
	}
	few, many := alone(1500), alone(100_000)
	if most := 50 * time.Millisecond; few > most {
		t.Errorf("1,500 names take %v", few)
	}
	if got := beside(1500); got > 4*few {
		t.Errorf("beside a writer 1,500 names take %v instead of %v: an ordinary request takes no breaks", got, few)
	}
	got := beside(100_000)
	if least := breakShare * (many - breakCredit) / 2; many < 2*breakCredit || got < least {
		t.Errorf("beside a writer 100,000 names take %v instead of %v: less than %v", got, many, least)
	}
	if most := 2 * breakShare * many; got > most {
		t.Errorf("beside a writer 100,000 names take %v instead of %v: more than %v", got, many, most)
	}
}

// Groups are opened a few at a time while others write, and at once while nobody does.
func TestOpeningGroupsTakesBreaks(t *testing.T) {
	const partitions = 1000
	for _, writes := range []bool{false, true} {
		o := newOne(t, nil)
		o.create("t")
		o.pass(10 * time.Second)
		if writes {
			o.produce("t", plain("x"))
		}
		begun := o.now
		o.createPartitions("wide", partitions)
		for len(o.node.placing.queue) > 0 && o.now.Sub(begun) < time.Minute {
			if writes {
				o.produce("t", plain("x"))
			}
			o.tick(Input{})
			o.now = o.now.Add(time.Millisecond)
		}
		took, limited := o.now.Sub(begun), partitions*openCharge-breakCredit
		if slow := took > limited && took < time.Minute; slow != writes {
			t.Errorf("with a writer: %v: %d groups are opened in %v", writes, partitions, took)
		}
	}
}

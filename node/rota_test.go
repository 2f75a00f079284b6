// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"chronik/kafka"
)

// Addresses take turns, then the connections of an address; what one connection wants keeps its order.
func TestRotaServesAddressesInTurn(t *testing.T) {
	a, b := &source{}, &source{}
	a1, a2, b1 := &conn{from: a}, &conn{from: a}, &conn{from: b}
	var r rota[string]
	for i := range 3 {
		r.add(a1, fmt.Sprint("a1 ", i))
		r.add(a2, fmt.Sprint("a2 ", i))
	}
	r.add(b1, "b1 0")
	r.add(b1, "b1 1")
	r.forget(func(s string) bool { return s == "a1 1" })
	var got []string
	for s, ok := r.next(); ok; s, ok = r.next() {
		got = append(got, s)
	}
	if diff := cmp.Diff(strings.Split("a1 0,b1 0,a2 0,b1 1,a1 2,a2 1,a2 2", ","), got); diff != "" {
		t.Error(diff)
	}
	if r.len != 0 || len(r.order) != 0 || len(r.lines) != 0 {
		t.Errorf("it keeps %+v", r)
	}
}

// Whatever is added and taken out, nothing is lost, served twice, or out of its connection's order.
func TestRotaProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var conns []*conn
		for range 3 {
			from := &source{}
			conns = append(conns, &conn{from: from}, &conn{from: from})
		}
		var r rota[[2]int] // connection, number
		want, added := make([][]int, len(conns)), 0
		take := func(item [2]int) {
			c := item[0]
			if len(want[c]) == 0 || want[c][0] != item[1] {
				t.Fatalf("%v comes, and connection %d waits for %v", item, c, want[c])
			}
			want[c] = want[c][1:]
		}
		for range rapid.IntRange(0, 60).Draw(t, "moves") {
			c := rapid.IntRange(0, len(conns)-1).Draw(t, "conn")
			switch rapid.SampledFrom([]string{"add", "add", "add", "next", "next", "drop", "forget"}).Draw(t, "move") {
			case "add":
				r.add(conns[c], [2]int{c, added})
				want[c] = append(want[c], added)
				added++
			case "next":
				if item, ok := r.next(); ok {
					take(item)
				}
			case "drop":
				for _, item := range r.drop(conns[c]) {
					take(item)
				}
			case "forget":
				odd := func(n int) bool { return n%2 == 1 }
				r.forget(func(item [2]int) bool { return item[0] == c && odd(item[1]) })
				want[c] = slices.DeleteFunc(want[c], odd)
			}
			left := 0
			for _, w := range want {
				left += len(w)
			}
			if r.len != left {
				t.Fatalf("%d are left, it says %d", left, r.len)
			}
		}
		for item, ok := r.next(); ok; item, ok = r.next() {
			take(item)
		}
	})
}

// from makes a client's request of another address.
func (o *one) from(host string, id ConnID) *request {
	c := o.node.newConn(Request{Conn: id, Host: host})
	o.node.conns[id] = c
	return &request{node: o.node, conn: c}
}

// A thousand connections of one address delay a command of another address by one of theirs.
func TestCommandsOfAddressesTakeTurns(t *testing.T) {
	o := newOne(t, nil)
	var order []string
	for i := range 1000 {
		o.deletion(o.from("/10.0.0.1", ConnID(100+i)), func(error) { order = append(order, "greedy") })
	}
	o.deletion(o.from("/10.0.0.2", 77), func(error) { order = append(order, "polite") })
	for len(order) < 1001 {
		o.step(Input{})
	}
	if at := slices.Index(order, "polite"); at > 3 {
		t.Errorf("the polite client's command is number %d", at)
	}
	o.held()
}

// The same of requests that wait to be begun, and of those that take many steps.
func TestRequestsOfAddressesTakeTurns(t *testing.T) {
	o := newOne(t, func(c *Config) { c.StepBudget = 1 })
	o.create("t")
	o.replies = nil
	meta, describe := kmsg.NewPtrMetadataRequest(), kmsg.NewPtrDescribeConfigsRequest()
	for range 100 {
		describe.Resources = append(describe.Resources, kmsg.DescribeConfigsRequestResource{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "t"})
	}
	var in Input
	for i := range 500 {
		in.Requests = append(in.Requests, Request{Conn: ConnID(100 + i), Host: "/10.0.0.1", Frame: kafka.AppendRequest(nil, 1, "", describe)})
	}
	in.Requests = append(in.Requests, Request{Conn: 7, Host: "/10.0.0.2", Frame: kafka.AppendRequest(nil, 2, "", meta)})
	o.tick(in)
	for i := 0; len(o.replies) == 0 && i < 20; i++ {
		o.tick(Input{})
	}
	if len(o.replies) == 0 || o.replies[0].Conn != 7 {
		t.Errorf("the first answer is %+v", o.replies)
	}
}

// One address can't take all that may wait, over however many connections; another gets its part.
func TestAnAddressLeavesOthersTheirPart(t *testing.T) {
	o := newOne(t, func(c *Config) { c.MaxWaits, c.ParkedBytes, c.MaxCommands = 1600, 16<<10, 1600 })
	taken := 0
	for i := range 1000 {
		r := o.from("/10.0.0.1", ConnID(100+i))
		for r.takeWaits(1) {
			taken++
			r.onEnd(func() { r.giveWaits(1) })
		}
		o.node.conns[r.conn.id].queue = append(o.node.conns[r.conn.id].queue, r)
		o.node.begun++
		r.conn.from.begun++
	}
	if polite := o.from("/10.0.0.2", 77); taken < 700 || taken > 800 || !polite.takeWaits(30) {
		t.Errorf("one address takes %d of 1600, and another may not have 30", taken)
	} else {
		polite.giveWaits(30)
	}
	for i := range 1000 {
		o.step(Input{Hangups: []ConnID{ConnID(100 + i)}})
	}
	if o.step(Input{Hangups: []ConnID{77}}); o.node.waits.used != 0 || len(o.node.sources) > 1 {
		t.Errorf("%d waits and %d addresses are left", o.node.waits.used, len(o.node.sources))
	}
	o.held()
}

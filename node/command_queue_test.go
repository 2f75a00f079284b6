// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// someone is a client of a broker that has a request under way, for the queue of commands alone.
func (o *one) someone(id ConnID) *request {
	c := o.node.newConn(Request{Conn: id})
	o.node.conns[id] = c
	return &request{node: o.node, conn: c}
}

// deletion submits a command that has no effect.
func (o *one) deletion(r *request, done func(error)) {
	o.node.commands.submitFor(r, command{DeleteTopic: &deleteTopic{Name: "t"}}, func(res commandResult) { done(res.err) })
}

func isThrottled(err error) bool { return kafka.Code(err) == kerr.ThrottlingQuotaExceeded.Code }

// Commands leave the queue when nobody waits for them, and one connection can't fill it.
func TestCommandsThatNobodyWaitsFor(t *testing.T) {
	o := newOne(t, func(c *Config) { c.MaxCommands = 1700 })
	q := &o.node.commands.queue
	greedy, polite, refused := o.someone(77), o.someone(78), 0
	for range 105 {
		o.deletion(greedy, func(err error) { refused += btoi(isThrottled(err)) })
	}
	o.deletion(polite, func(err error) { refused += btoi(isThrottled(err)) })
	if h := o.held(); refused != 5 || h.Commands != 101 || q.count.used != 101 {
		t.Fatalf("%d refused, %d wait, %d of clients", refused, h.Commands, q.count.used)
	}
	greedy.gone = true
	o.node.commands.hangUp(greedy.conn)
	if h := o.held(); h.Commands != 1 || q.count.used != 1 || greedy.conn.commands.count != 0 {
		t.Fatalf("%d wait, %d of clients, %d of the connection that is gone", h.Commands, q.count.used, greedy.conn.commands.count)
	}
	polite.settled = true
	if o.node.commands.forget(); o.held().Commands != 0 || q.bytes.used != 0 {
		t.Errorf("%d wait, with %d bytes", o.held().Commands, q.bytes.used)
	}
}

// Few commands can hold many bytes: those are bounded, too, and a small command always finds a place.
func TestBytesOfCommandsAreBounded(t *testing.T) {
	o := newOne(t, func(c *Config) { c.CommandBytes, c.MaxPartitionsPerBroker = 1<<20, 1<<20 })
	wide := command{CreateTopic: &createTopic{Name: "wide", Replicas: slices.Repeat([][]BrokerID{{1}}, 1000)}}
	taken := 0
	for i := range 500 {
		r := o.someone(ConnID(100 + i))
		for range 5 {
			refused := false
			o.node.commands.submitFor(r, wide, func(res commandResult) { refused = isThrottled(res.err) })
			taken += btoi(!refused)
		}
		refused := false
		o.deletion(r, func(err error) { refused = isThrottled(err) })
		if refused && r.conn.commands.count == 0 {
			t.Fatalf("connection %d may not have a small command", i)
		}
	}
	o.held()
	if used := o.node.commands.queue.bytes.used; taken < 10 || taken > 38 || used > 1<<20+500*smallCommand {
		t.Errorf("%d commands of 28 KiB are taken, with %d bytes", taken, used)
	}
}

// Connections have their turns: one with many commands delays one with a single command by one of them. The order of
// each connection's commands stays.
func TestCommandsOfConnectionsTakeTurns(t *testing.T) {
	o := newOne(t, nil)
	var order []string
	note := func(who string) func(error) {
		return func(error) { order = append(order, who) }
	}
	greedy := []*request{o.someone(70), o.someone(71)}
	for i := range 300 {
		o.deletion(greedy[i%2], note(fmt.Sprint("greedy ", i)))
	}
	o.deletion(o.someone(72), note("polite"))
	o.node.commands.submit(command{DeleteTopic: &deleteTopic{Name: "t"}}, func(commandResult) { order = append(order, "own") })
	for len(order) < 302 {
		o.step(Input{})
	}
	if at := slices.Index(order, "polite"); at > 5 {
		t.Errorf("the polite client's command is number %d", at)
	}
	if at := slices.Index(order, "own"); at > 3 {
		t.Errorf("the broker's own command is number %d", at)
	}
	last := [2]int{-1, -1}
	for _, who := range order {
		var i int
		if _, err := fmt.Sscanf(who, "greedy %d", &i); err == nil {
			if i < last[i%2] {
				t.Fatalf("command %d comes after %d of the same connection", i, last[i%2])
			}
			last[i%2] = i
		}
	}
	o.held()
}

// The same through requests: topics that one connection wants, a thousand at once, and one that another wants.
func TestCreationsOfConnectionsTakeTurns(t *testing.T) {
	o := newOne(t, nil)
	many := kmsg.NewPtrCreateTopicsRequest()
	many.Version, many.TimeoutMillis = 7, 60_000
	for i := range 1000 {
		in := kmsg.NewCreateTopicsRequestTopic()
		in.Topic, in.NumPartitions, in.ReplicationFactor = fmt.Sprint("m", i), 1, 1
		many.Topics = append(many.Topics, in)
	}
	frame := func(req kmsg.Request) []byte { return kafka.AppendRequest(nil, 7, "c", req) }
	in := Input{Requests: []Request{{Conn: 5, Frame: frame(many)}, {Conn: 6, Frame: frame(creationOf("one", 1, 1))}}}
	for steps := 0; o.node.catalog.byName["one"] == nil; steps++ {
		if steps > 100 {
			t.Fatal("the one topic is not made")
		}
		o.tick(in)
		in = Input{}
	}
	if n := len(o.node.catalog.topics); n > 50 {
		t.Errorf("%d topics of the other connection were made before", n)
	}
}

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// toldErrorsOf collects what the operator is told of errors from now on.
func (o *one) toldErrorsOf() *[]string {
	var told []string
	o.look = func(out *Output) {
		for _, e := range out.Events {
			if a := e.Audit; e.Kind == EventErrorAnswered {
				told = append(told, fmt.Sprintf("%s %s %q %s: %s: %s", a.Principal, a.Client, a.API, a.Resource, a.Outcome, e.Text))
			}
		}
	}
	return &told
}

// Each error is told with what it is about and why, at debug and else not.
func TestErrorsAreTold(t *testing.T) {
	o := newOne(t, func(c *Config) { c.AutoCreateTopics = false })
	o.create("t")
	told := o.toldErrorsOf()
	provoke := func() {
		o.fetch(fetchRequest("t", 7))
		o.produce("t", []byte("no batch"))
		o.produce("none", nil)
		o.ask(&kmsg.HeartbeatRequest{Version: 4, Group: "g", MemberID: "m"})
		o.setLevel("loud")
		o.ask(&kmsg.EndTxnRequest{Version: 3, TransactionalID: "x"})
	}
	provoke()
	if len(*told) > 0 {
		t.Fatalf("at the level %v: %v", o.node.logLevel, *told)
	}
	o.setLevel("DEBUG")
	provoke()
	want := []string{
		`User:ANONYMOUS test "Fetch" topic t, partition 0: OFFSET_OUT_OF_RANGE: offset 7 is asked for, and the partition has those from 0 up to 0`,
		`User:ANONYMOUS test "Produce" topic t, partition 0: CORRUPT_MESSAGE: `,
		`User:ANONYMOUS test "Produce" topic none, partition 0: UNKNOWN_TOPIC_OR_PARTITION: `,
		`User:ANONYMOUS test "Heartbeat" group g: NOT_COORDINATOR: `,
		`User:ANONYMOUS test "IncrementalAlterConfigs" resource 1: INVALID_CONFIG: the level of root must be DEBUG, INFO, WARN or ERROR, not "loud"`,
		`User:ANONYMOUS test "EndTxn" transactional id x: NOT_COORDINATOR: `,
	}
	for i := range max(len(want), len(*told)) {
		if i >= len(*told) || i >= len(want) || !strings.HasPrefix((*told)[i], want[i]) || strings.HasSuffix((*told)[i], ": ") {
			t.Fatalf("told\n%s\nnot\n%s", strings.Join(*told, "\n"), strings.Join(want, "\n"))
		}
	}
	o.setLevel("INFO")
	*told = nil
	provoke()
	if len(*told) > 0 {
		t.Errorf("at the level %v again: %v", o.node.logLevel, *told)
	}
}

// A client that asks for many errors is told of a bounded number of times, and the next line says how many were left out.
func TestErrorsAreToldOnlySoOften(t *testing.T) {
	o := newOne(t, func(c *Config) { c.AutoCreateTopics, c.LogLevel = false, LogDebug })
	told, left := 0, uint64(0)
	o.look = func(out *Output) {
		for _, e := range out.Events {
			if e.Kind == EventErrorAnswered {
				told++
				left += e.Term
			}
		}
	}
	o.now = (o.now/Time(time.Second) + 1) * Time(time.Second)
	many := &kmsg.DeleteTopicsRequest{Version: 5, TimeoutMillis: 5000}
	for i := range 3 * toldErrors {
		many.TopicNames = append(many.TopicNames, fmt.Sprint("none", i))
	}
	o.ask(many)
	if told != toldErrors || left != 0 {
		t.Fatalf("%d told, %d left out", told, left)
	}
	o.now += Time(time.Second)
	o.produce("none", nil)
	if told != toldErrors+1 || left != 2*toldErrors {
		t.Fatalf("%d told, %d left out", told, left)
	}
}

// What isn't told costs nothing.
func TestErrorsThatAreNotToldCostNothing(t *testing.T) {
	o := newOne(t, nil)
	r := o.someone(1)
	resp := kmsg.NewPtrHeartbeatResponse()
	resp.ErrorCode = kerr.NotCoordinator.Code
	if n := testing.AllocsPerRun(100, func() { r.code(kerr.NotCoordinator); r.tellErrors(resp) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// watcher is a member that subscribes by an expression, as somebody.
type watcher struct {
	*modern
	who string
}

func newRuledGroups(t *testing.T, change func(*Config)) *one {
	o := newGroups(t, func(c *Config) {
		c.ConsumerSession, c.ConsumerHeartbeat = time.Minute, 500*time.Millisecond
		c.Authorize, c.SuperUsers = true, []string{anonymous, "User:root"}
		if change != nil {
			change(c)
		}
	})
	for _, topic := range []string{"p1", "p2", "q1"} {
		o.createPartitions(topic, 2)
	}
	o.want("rules", "NONE NONE NONE NONE", o.allow("ALLOW User:* * READ GROUP LITERAL g", "ALLOW User:a * DESCRIBE TOPIC LITERAL p1", "ALLOW User:a * READ TOPIC LITERAL q1",
		"ALLOW User:b * ALL TOPIC PREFIXED p"))
	return o
}

func (o *one) watcher(conn ConnID, who, regex string) *watcher {
	w := &watcher{o.modern(conn), who}
	w.topics, w.regex = nil, &regex
	return w
}

// settle beats until nothing changes any more, all together, and says what each has.
func settle(all ...*watcher) string {
	o := all[0].o
	for round := 0; round < 4; round++ {
		for _, w := range all {
			resp := o.as(w.who, w.conn, w.request()).(*kmsg.ConsumerGroupHeartbeatResponse)
			if code := w.take(resp); code != "NONE" {
				return w.who + ": " + code
			}
		}
	}
	var has []string
	for _, w := range all {
		has = append(has, fmt.Sprintf("%s: %s", strings.TrimPrefix(w.who, "User:"), w.has()))
	}
	return strings.Join(has, "; ")
}

// Who subscribes by an expression gets those topics alone that it may describe by the rules of now, whoever asks first. That is
// as in Kafka, which looks again every ten minutes.
func TestExpressionsGoByRights(t *testing.T) {
	o := newRuledGroups(t, nil)
	a := o.watcher(21, "User:a", "p.*")
	o.want("alone", "a: p10 p11", settle(a))
	o.createPartitions("p3", 1)
	o.want("a topic that a may not describe", "a: p10 p11", settle(a))
	b := o.watcher(22, "User:b", "p.*")
	o.want("two members", "a: p10 p11; b: p20 p21 p30", settle(a, b))
	o.want("a rule", "NONE", o.allow("DENY User:b * DESCRIBE TOPIC LITERAL p2"))
	o.want("less for b", "a: p10 p11; b: p30", settle(a, b))
	epoch := a.epoch
	o.want("a rule that changes nothing", "NONE", o.allow("DENY User:c * DESCRIBE TOPIC LITERAL p2"))
	o.want("the same", "b: p30; a: p10 p11", settle(b, a))
	if a.epoch != epoch {
		t.Errorf("epoch %d after a rule that is about nobody here, %d before", a.epoch, epoch)
	}
	o.want("a rule", "NONE", o.allow("ALLOW User:a 10.0.0.7 ALTER TOPIC LITERAL p2"))
	o.want("more for a", "a: p11 p20 p21; b: p10 p30", settle(a, b))
	o.want("a rule", "NONE", o.allow("DENY User:a 10.0.0.7 ALL TOPIC LITERAL *"))
	o.want("nothing for a", "a: ; b: p10 p11 p30", settle(a, b))
	root := o.watcher(23, "User:root", "p.*")
	o.want("who may do everything", "a: ; b: p11 p30; root: p10 p20 p21", settle(a, b, root))
}

// The same holds after a restart, when the rules have changed meanwhile, and for names that a member gives beside an expression.
func TestExpressionsGoByRightsLater(t *testing.T) {
	o := newRuledGroups(t, nil)
	a := o.watcher(21, "User:a", "p.*")
	a.topics = []string{"q1"}
	o.want("names count by themselves", "a: p10 p11 q10 q11", settle(a))
	o.want("a rule", "NONE", o.allow("DENY User:a * DESCRIBE TOPIC LITERAL p1"))
	o.restart()
	o.findCoordinator()
	a.conn++
	o.want("after a restart", "a: q10 q11", settle(a))
}

// Where it takes long, questions are answered over many steps.
func TestManyExpressionsGoByRights(t *testing.T) {
	o := newRuledGroups(t, func(c *Config) { c.StepBudget = 200 })
	for i := range 60 {
		o.createPartitions(fmt.Sprintf("p-%02d", i), 1)
	}
	o.want("a rule", "NONE", o.allow("ALLOW User:a * READ TOPIC PREFIXED p-0"))
	a := o.watcher(21, "User:a", "p.*")
	a.assignor = kmsg.StringPtr("range")
	got := settle(a)
	if want := "a: p10 p11 p-000 p-010 p-020 p-030 p-040 p-050 p-060 p-070 p-080 p-090"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

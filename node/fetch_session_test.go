// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"chronik/kafka"
)

// sessionRequest asks within a session, or for one, and doesn't wait.
func sessionRequest(id, epoch int32, topics ...string) *kmsg.FetchRequest {
	req := fetchRequest("", 0)
	req.Topics, req.MaxWaitMillis, req.SessionID, req.SessionEpoch = nil, 0, id, epoch
	for _, t := range topics {
		req.Topics = append(req.Topics, fetchRequest(t, 0).Topics[0])
	}
	return req
}

func (o *one) askSession(req *kmsg.FetchRequest) *kmsg.FetchResponse {
	o.t.Helper()
	return o.ask(req).(*kmsg.FetchResponse)
}

// said tells of an answer which topics are in it, and which of them with records.
func said(resp *kmsg.FetchResponse) (all []string) {
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			p := &resp.Topics[i].Partitions[j]
			line := fmt.Sprintf("%s@%d", resp.Topics[i].Topic, p.HighWatermark)
			if len(p.RecordBatches) > 0 {
				line += "+"
			}
			if p.ErrorCode != 0 {
				line += " " + kafka.CodeName(p.ErrorCode)
			}
			all = append(all, line)
		}
	}
	return all
}

func TestFetchSession(t *testing.T) {
	o := newOne(t, nil)
	for _, topic := range []string{"a", "b", "c"} {
		o.create(topic)
	}
	o.produce("a", plain("1"))
	first := o.askSession(sessionRequest(0, 0, "a", "b"))
	id := first.SessionID
	if id <= 0 || !slices.Equal(said(first), []string{"a@1+", "b@0"}) {
		t.Fatalf("session %d: %v", id, said(first))
	}
	at := func(req *kmsg.FetchRequest, i int, offset int64) *kmsg.FetchRequest {
		req.Topics[i].Partitions[0].FetchOffset = offset
		return req
	}
	forget := sessionRequest(id, 6)
	forget.ForgottenTopics = []kmsg.FetchRequestForgottenTopic{{Topic: "b", Partitions: []int32{0, 7}}, {Topic: "absent", Partitions: []int32{0}}}
	for _, c := range []struct {
		before func()
		req    *kmsg.FetchRequest
		want   []string
	}{
		{nil, sessionRequest(id, 1), []string{"a@1+"}},
		{nil, at(sessionRequest(id, 2, "a"), 0, 1), nil},
		{func() { o.produce("b", plain("2")) }, sessionRequest(id, 3), []string{"b@1+"}},
		{nil, at(sessionRequest(id, 4, "b", "c"), 0, 1), []string{"c@0"}},
		{func() { o.produce("b", plain("3")); o.produce("c", plain("4")) }, sessionRequest(id, 5), []string{"b@2+", "c@1+"}},
		{nil, forget, []string{"c@1+"}},
		{func() { o.produce("b", plain("5")) }, at(sessionRequest(id, 7, "c"), 0, 1), nil},
		{nil, at(sessionRequest(id, 8, "c"), 0, 9), []string{"c@1 OFFSET_OUT_OF_RANGE"}},
		{nil, at(sessionRequest(id, 9, "c", "c"), 1, 1), []string{"c@1"}}, // as after any error
	} {
		if c.before != nil {
			c.before()
		}
		resp := o.askSession(c.req)
		if got := said(resp); resp.ErrorCode != 0 || resp.SessionID != id || !slices.Equal(got, c.want) {
			t.Errorf("epoch %d: %v in session %d (%s), want %v", c.req.SessionEpoch, got, resp.SessionID, kafka.CodeName(resp.ErrorCode), c.want)
		}
	}
	last := sessionRequest(id, 10)
	last.ForgottenTopics = []kmsg.FetchRequestForgottenTopic{{Topic: "a", Partitions: []int32{0}}, {Topic: "c", Partitions: []int32{0}}}
	if resp := o.askSession(last); resp.SessionID != 0 || resp.ErrorCode != 0 || o.node.sessions.memory.used != 0 {
		t.Errorf("with nothing left: session %d, %d bytes", resp.SessionID, o.node.sessions.memory.used)
	}
	o.held()
}

func TestFetchSessionErrors(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	o.produce("t", plain("a"))
	for _, c := range []struct{ id, epoch int32 }{{0, 0}, {0, -1}, {-1, -1}, {77, 0}, {77, -1}} {
		resp := o.askSession(sessionRequest(c.id, c.epoch, "t"))
		if resp.ErrorCode != 0 || (resp.SessionID > 0) != (c.epoch == 0) || len(resp.Topics[0].Partitions[0].RecordBatches) == 0 {
			t.Errorf("session %d, epoch %d: %+v", c.id, c.epoch, resp)
		}
	}
	id := o.askSession(sessionRequest(0, 0, "t")).SessionID
	byID := sessionRequest(id, 1)
	byID.Version = 13
	for name, c := range map[string]struct {
		req  *kmsg.FetchRequest
		want *kerr.Error
	}{
		"another id":    {sessionRequest(id-1, 1), kerr.FetchSessionIDNotFound},
		"no id":         {sessionRequest(0, 5), kerr.FetchSessionIDNotFound},
		"a later epoch": {sessionRequest(id, 2), kerr.InvalidFetchSessionEpoch},
		"topic ids":     {byID, kerr.FetchSessionTopicIDError},
	} {
		if resp := o.askSession(c.req); resp.ErrorCode != c.want.Code || len(resp.Topics) > 0 || resp.SessionID != 0 {
			t.Errorf("%s: %+v", name, resp)
		}
	}
	if resp := o.begin(9, sessionRequest(id, 1)).peek().(*kmsg.FetchResponse); resp.ErrorCode != kerr.FetchSessionIDNotFound.Code {
		t.Errorf("from another connection: %s", kafka.CodeName(resp.ErrorCode))
	}
	if resp := o.askSession(sessionRequest(id, 1)); resp.ErrorCode != 0 || len(said(resp)) != 1 {
		t.Errorf("after all that: %s, %v", kafka.CodeName(resp.ErrorCode), said(resp))
	}
	if resp := o.askSession(sessionRequest(id, -1)); resp.ErrorCode != 0 || o.node.sessions.used.Len() != 0 {
		t.Errorf("the last request leaves %d sessions", o.node.sessions.used.Len())
	}
	o.node.sessions.lastID = math.MaxInt32
	id = o.askSession(sessionRequest(0, 0, "t")).SessionID
	o.node.conns[1].session.epoch = math.MaxInt32
	if id != 1 || o.askSession(sessionRequest(id, math.MaxInt32)).ErrorCode != 0 || o.askSession(sessionRequest(id, 1)).ErrorCode != 0 {
		t.Errorf("session %d doesn't go on after its last epoch", id)
	}
}

// Whatever happens in a session, its client knows after each answer what a client without one would be told.
func TestFetchSessionTellsAll(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		o := newOne(t, nil)
		topics := []string{"a", "b", "c", "d"}
		for _, topic := range topics {
			o.create(topic)
		}
		position, end := make(map[string]int64), make(map[string]int64)
		in := []string(nil) // the session
		req := sessionRequest(0, 0)
		for range 30 {
			for range rapid.IntRange(0, 3).Draw(rt, "records") {
				o.produce(rapid.SampledFrom(topics).Draw(rt, "to"), plain("v"))
			}
			want := rapid.SliceOfNDistinct(rapid.SampledFrom(topics), 1, 4, rapid.ID).Draw(rt, "in")
			for _, topic := range topics {
				was, is := slices.Contains(in, topic), slices.Contains(want, topic)
				moved := rapid.IntRange(0, 3).Draw(rt, "back") == 0 && position[topic] > 0
				if moved {
					position[topic]--
				}
				switch {
				case is:
					f := fetchRequest(topic, position[topic]).Topics[0]
					req.Topics = append(req.Topics, f)
				case was:
					req.ForgottenTopics = append(req.ForgottenTopics, kmsg.FetchRequestForgottenTopic{Topic: topic, Partitions: []int32{0}})
					delete(end, topic)
				}
			}
			in = want
			if rapid.IntRange(0, 2).Draw(rt, "little") == 0 {
				req.MaxBytes = 1 // one batch
			}
			resp := o.askSession(req)
			if resp.ErrorCode != 0 {
				rt.Fatalf("epoch %d: %s", req.SessionEpoch, kafka.CodeName(resp.ErrorCode))
			}
			got := make(map[string]int)
			for i := range resp.Topics {
				p := &resp.Topics[i].Partitions[0]
				end[resp.Topics[i].Topic], got[resp.Topics[i].Topic] = p.HighWatermark, len(p.RecordBatches)
			}
			for _, topic := range want {
				full := o.fetch(fetchRequest(topic, position[topic]))
				if told, ok := end[topic]; !ok || told != full.HighWatermark {
					rt.Fatalf("epoch %d: %s ends at %d, and the client was told %d", req.SessionEpoch, topic, full.HighWatermark, told)
				}
				if n := got[topic]; n != len(full.RecordBatches) && req.MaxBytes > 1 {
					rt.Fatalf("epoch %d: %s has %d bytes from %d on, and the client got %d", req.SessionEpoch, topic, len(full.RecordBatches), position[topic], n)
				}
				if got[topic] > 0 && req.MaxBytes > 1 {
					position[topic] = full.HighWatermark
				}
			}
			req = sessionRequest(resp.SessionID, req.SessionEpoch+1)
		}
		o.held()
	})
}

// A partition that wasn't in the last request, only in its session, wakes a fetch that waits.
func TestFetchSessionWakes(t *testing.T) {
	o := newOne(t, nil)
	o.create("a")
	o.create("b")
	id := o.askSession(sessionRequest(0, 0, "a", "b")).SessionID
	req := sessionRequest(id, 1, "a")
	req.MaxWaitMillis = 1 << 30
	before := o.node.conns[1].session.bytes
	c := &call{o, 1, o.lastID + 1, req}
	o.lastID++
	o.step(Input{Requests: []Request{{Conn: 1, Frame: kafka.AppendRequest(nil, o.lastID, "test", req)}}})
	if c.peek() != nil || o.node.parkedBytes.used < before {
		t.Fatalf("it doesn't wait, with %d bytes", o.node.parkedBytes.used)
	}
	o.begin(8, produceRequest("b", -1, plain("v")))
	for range 5 {
		o.step(Input{})
	}
	if resp, ok := c.peek().(*kmsg.FetchResponse); !ok || !slices.Equal(said(resp), []string{"b@1+"}) {
		t.Errorf("after a record: %v", resp)
	}
	o.held()
	o.step(Input{Hangups: []ConnID{1}})
	if o.node.sessions.used.Len() != 0 || o.node.sessions.memory.used != 0 {
		t.Errorf("%d sessions outlive their connections", o.node.sessions.used.Len())
	}
}

// Where each answer has room for one batch, all partitions have their turn.
func TestFetchSessionTakesTurns(t *testing.T) {
	o := newOne(t, nil)
	topics := []string{"a", "b", "c"}
	for _, topic := range topics {
		o.create(topic)
		for range 5 {
			o.produce(topic, plain("v"))
		}
	}
	req, got := sessionRequest(0, 0, topics...), make(map[string]int)
	for range 6 {
		req.MaxBytes = 1
		resp := o.askSession(req)
		req = sessionRequest(resp.SessionID, req.SessionEpoch+1)
		for i := range resp.Topics {
			if p := &resp.Topics[i].Partitions[0]; len(p.RecordBatches) > 0 {
				got[resp.Topics[i].Topic]++
				f := fetchRequest(resp.Topics[i].Topic, int64(got[resp.Topics[i].Topic])).Topics[0]
				req.Topics = append(req.Topics, f)
			}
		}
	}
	for _, topic := range topics {
		if got[topic] != 2 {
			t.Errorf("of six answers %s got %d", topic, got[topic])
		}
	}
	for moved, want := range map[string]string{"": "[0 1 2 3]", "1": "[0 2 3 1]", "03": "[1 2 0 3]", "0123": "[0 1 2 3]"} {
		all, at := []int{0, 1, 2, 3}, []int(nil)
		for _, d := range moved {
			at = append(at, int(d-'0'))
		}
		if rotate(all, at); fmt.Sprint(all) != want {
			t.Errorf("%q goes to the end: %v", moved, all)
		}
	}
}

// Sessions are bounded. One that nobody uses makes place, and who gets none goes on without.
func TestFetchSessionsAreBounded(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	ask := func(conn ConnID, req *kmsg.FetchRequest) *kmsg.FetchResponse {
		return o.begin(conn, req).peek().(*kmsg.FetchResponse)
	}
	first := ask(10, sessionRequest(0, 0, "t")).SessionID
	second := ask(11, sessionRequest(0, 0, "t")).SessionID
	o.node.sessions.memory.limit = o.node.sessions.memory.used
	if resp := ask(12, sessionRequest(0, 0, "t")); resp.SessionID != 0 || resp.ErrorCode != 0 || len(resp.Topics) != 1 {
		t.Errorf("without room: %+v", resp)
	}
	if resp := ask(11, sessionRequest(second, 1, "u")); resp.ErrorCode != kerr.FetchSessionIDNotFound.Code {
		t.Errorf("a session that can't grow: %s", kafka.CodeName(resp.ErrorCode))
	}
	if resp := ask(11, sessionRequest(0, 0, "t")); resp.SessionID == 0 {
		t.Error("its place isn't free")
	}
	o.now = o.now.Add(sessionEvictable + time.Second)
	if resp := ask(12, sessionRequest(0, 0, "t")); resp.SessionID == 0 {
		t.Error("a session that nobody uses keeps its place")
	}
	if resp := ask(10, sessionRequest(first, 1)); resp.ErrorCode != kerr.FetchSessionIDNotFound.Code {
		t.Errorf("the oldest: %s", kafka.CodeName(resp.ErrorCode))
	}
	o.held()
}

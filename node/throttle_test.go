// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node/quota"
	"chronik/node/sasl"
)

// waitIn is for how long an answer tells its client to wait.
func waitIn(resp kmsg.Response) time.Duration {
	ms, _ := resp.(kmsg.ThrottleResponse).Throttle()
	return millis(ms)
}

// pusher is a client that sends its next request as soon as it has an answer, whatever that says.
type pusher struct {
	conn    ConnID
	client  string
	req     kmsg.Request
	sent    Time
	mute    Time // until then it shall get no answer
	answers int
	bytes   int           // of requests that were answered
	slowest time.Duration // since the time of the last answer, or of its mute
}

func (p *pusher) send(c *many, m *member) {
	m.lastID++
	p.sent = c.now
	m.in.Requests = append(m.in.Requests, Request{Conn: p.conn, Frame: kafka.AppendRequest(nil, m.lastID, p.client, p.req)})
}

// run lets clients push for some time.
func push(c *many, m *member, d time.Duration, all ...*pusher) {
	c.t.Helper()
	for end := c.now.Add(d); c.now < end; {
		m.replies = nil
		c.now, c.unixMs = c.now.Add(15*time.Millisecond), c.unixMs+15
		c.round()
		for _, r := range m.replies {
			for _, p := range all {
				if p.conn != r.Conn {
					continue
				}
				resp := p.req.ResponseKind()
				resp.SetVersion(p.req.GetVersion())
				if _, err := kafka.ParseResponse(kafka.Frame(r.Frame).Bytes(), resp); err != nil || codesIn(resp) != "NONE" {
					c.t.Fatalf("%v, %s", err, codesIn(resp))
				}
				if c.now < p.mute {
					c.t.Errorf("client %s got an answer %v before the end of its wait", p.client, p.mute.Sub(c.now))
				}
				p.slowest = max(p.slowest, c.now.Sub(max(p.sent, p.mute)))
				p.answers++
				p.bytes += len(kafka.AppendRequest(nil, 0, p.client, p.req))
				if p.mute = c.now.Add(waitIn(resp)); r.Mute != waitIn(resp) {
					c.t.Errorf("the world is told to mute for %v, the client for %v", r.Mute, waitIn(resp))
				}
				p.send(c, m)
			}
		}
	}
}

// A client that produces more than its quota over several connections, and doesn't wait as it is told, is held to it within a
// tenth, is served again and again, and costs others nothing.
func TestProducerIsHeldToItsQuota(t *testing.T) {
	c := newMany(t, 3, func(cfg *Config) { cfg.Log.SegmentBytes = 8 << 20 })
	c.create("t", 1, 2, 3)
	m := c.nodes[c.leader("t")]
	request := func(bytes int) kmsg.Request { return produceRequest("t", -1, plain(strings.Repeat("x", bytes))) }
	polite := &pusher{conn: 10, client: "polite", req: request(100)}
	polite.send(c, m)
	push(c, m, 5*time.Second, polite)
	alone, slowest := polite.answers, polite.slowest
	const limit = 100_000
	c.ask(2, alterQuotas(fmt.Sprintf("client-id=fast: producer_byte_rate=%d", limit)))
	all := []*pusher{polite}
	for i := range 3 {
		all = append(all, &pusher{conn: ConnID(11 + i), client: "fast", req: request(4000)})
	}
	for _, p := range all {
		p.send(c, m)
	}
	push(c, m, 22*time.Second, all...)
	for _, p := range all {
		p.answers, p.bytes, p.slowest = 0, 0, 0
	}
	push(c, m, 33*time.Second, all...)
	bytes := 0
	for _, p := range all[1:] {
		if bytes += p.bytes; p.answers < 5 || p.slowest > time.Second {
			t.Errorf("a fast connection got %d answers in 33 s, the slowest %v after it might be served again", p.answers, p.slowest)
		}
	}
	if share := float64(bytes) / 33 / limit; share < 0.9 || share > 1.1 {
		t.Errorf("it was served %.2f of its quota", share)
	}
	if polite.answers*5 < alone*33*9/10 || polite.slowest > slowest+5*time.Millisecond {
		t.Errorf("another client got %d answers in 33 s, the slowest in %v; alone %d in 5 s, the slowest in %v", polite.answers, polite.slowest, alone, slowest)
	}
}

// The waits of a producer, by Kafka's formula, and whose they are.
func TestProduceQuotaOfUsers(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	o.ask(alterQuotas("user=a: producer_byte_rate=1000", "user=b: producer_byte_rate=2000"))
	req := produceRequest("t", -1, plain(strings.Repeat("x", 15_000)))
	size := len(kafka.AppendRequest(nil, 1, "c", req))
	wait := func(limit int) time.Duration {
		return millis(int32((size-10*limit)*1000/limit) + int32(btoi(((size-10*limit)*1000/limit)*limit != (size-10*limit)*1000)))
	}
	for i, c := range []struct {
		principal string
		want      time.Duration
	}{{"User:a", wait(1000)}, {"User:b", 0}, {"", 0}, {"User:c", 0}} {
		got := waitIn(o.as(c.principal, ConnID(20+i), req))
		if diff := got - c.want; diff < -time.Millisecond || diff > time.Millisecond {
			t.Errorf("%q: %v, want %v", c.principal, got, c.want)
		}
	}
	before := o.now
	if again := waitIn(o.as("User:a", 30, kmsg.NewPtrMetadataRequest())); again != 0 || o.now.Sub(before) > time.Second {
		t.Errorf("another connection of the user waits, too: %v, %v", again, o.now.Sub(before))
	}
	o.as("User:a", 20, kmsg.NewPtrMetadataRequest())
	if got := o.now.Sub(before); got < wait(1000)-2*time.Second {
		t.Errorf("the muted one was served after %v", got)
	}
	o.ask(alterQuotas("user=a: producer_byte_rate=", "user=b: producer_byte_rate="))
	if got := waitIn(o.as("User:a", 31, req)); got != 0 {
		t.Errorf("without a quota: %v", got)
	}
}

// With acks=0 there is no answer, and the connection is muted all the same.
func TestMutedWithoutAnswer(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	o.ask(alterQuotas("client-id=c: producer_byte_rate=1000"))
	call := o.begin(7, produceRequest("t", 0, plain(strings.Repeat("x", 20_000))))
	o.pass(time.Second)
	_ = call
	o.replies = nil
	before := o.now
	o.lastID++
	o.step(Input{Requests: []Request{{Conn: 7, Frame: kafka.AppendRequest(nil, o.lastID, "c", kmsg.NewPtrMetadataRequest())}}})
	for len(o.replies) == 0 {
		o.step(Input{})
	}
	if got := o.now.Sub(before); got < 5*time.Second || got > 12*time.Second {
		t.Errorf("served after %v", got)
	}
}

// A fetch beyond the quota gets nothing; what it may have is limited to what can be had at all; and a batch that is larger than
// that comes when the client had nothing lately.
func TestFetchQuota(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	for range 20 {
		o.produce("t", plain(strings.Repeat("x", 4000)))
	}
	o.ask(alterQuotas("user=a: consumer_byte_rate=1000"))
	fetch := func(conn ConnID, offset int64) (bytes int, wait time.Duration) {
		resp := o.as("User:a", conn, fetchRequest("t", offset)).(*kmsg.FetchResponse)
		if len(resp.Topics) > 0 {
			bytes = len(resp.Topics[0].Partitions[0].RecordBatches)
		}
		return bytes, waitIn(resp)
	}
	if bytes, wait := fetch(20, 0); bytes < 8000 || bytes > 10_000 || wait != 0 {
		t.Errorf("first: %d bytes, %v", bytes, wait)
	}
	if bytes, wait := fetch(21, 0); bytes != 0 || wait < 5*time.Second || wait > 7*time.Second {
		t.Errorf("over it: %d bytes, %v", bytes, wait)
	}
	before := o.now
	bytes, wait := fetch(21, 0)
	for range 10 {
		if bytes == 0 {
			bytes, wait = fetch(21, 0)
		}
	}
	if got := o.now.Sub(before); bytes == 0 || got > 30*time.Second {
		t.Errorf("%d bytes after %v, %v", bytes, got, wait)
	}
	o.ask(alterQuotas("user=a: consumer_byte_rate=100"))
	o.pass(12 * time.Second)
	if bytes, wait := fetch(22, 3); bytes < 4000 || wait < 20*time.Second {
		t.Errorf("a large batch: %d bytes, %v", bytes, wait)
	}
	if bytes, wait := fetch(23, 3); bytes != 0 || wait == 0 {
		t.Errorf("another: %d bytes, %v", bytes, wait)
	}
	if bytes, wait := fetch(20, 0); bytes != 0 && wait == 0 {
		t.Errorf("the first connection: %d bytes, %v", bytes, wait)
	}
}

// The time that requests take counts; a client waits for a second at most.
func TestRequestQuota(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	o.ask(alterQuotas("user=a client-id=c: request_percentage=0.01"))
	meta := kmsg.NewPtrMetadataRequest()
	meta.Version = 9
	longest, n := time.Duration(0), 0
	for o.now = o.now.Add(12 * time.Second); longest == 0 && n < 500; n++ {
		longest = waitIn(o.as("User:a", 20, meta))
	}
	if longest == 0 || longest > time.Second {
		t.Fatalf("after %d requests: %v", n, longest)
	}
	for range 3 {
		longest = max(longest, waitIn(o.as("User:a", 20, meta)))
	}
	if longest > time.Second {
		t.Errorf("it waits for %v", longest)
	}
	if got := waitIn(o.as("User:b", 21, meta)); got != 0 {
		t.Errorf("another user: %v", got)
	}
	fetched := o.as("User:a", 22, fetchRequest("t", 0)).(*kmsg.FetchResponse)
	if waitIn(fetched) > 0 && len(fetched.Topics) > 0 {
		t.Error("a fetch that is throttled has an answer")
	}
}

// Whoever is over a quota for time isn't held up when it logs in again, of which the answers couldn't tell it.
func TestLoginAgainIsNotThrottled(t *testing.T) {
	o := newGuarded(t, func(c *Config) { c.SessionLifetime = time.Minute })
	o.node.catalog.quotas.Apply([]quota.Change{{
		Entity: quota.Entity{User: quota.Named("alice")}, Ops: []quota.Op{{Value: quota.Value{Key: quota.Request.String(), Value: 0.001}}},
	}})
	s := &stranger{one: o, conn: 1, headers: true}
	s.logIn(sasl.ScramSHA512, "alice", "secret")
	o.pass(50 * time.Second)
	for n := 0; s.last.Mute == 0; n++ {
		if !s.served() || n > 500 {
			t.Fatal("no quota")
		}
	}
	o.pass(2 * time.Second)
	begun := o.now
	if _, code := s.logIn(sasl.ScramSHA512, "alice", "secret"); code != "NONE" || s.last.Mute > 0 || o.now.Sub(begun) > 900*time.Millisecond {
		t.Errorf("%s, muted for %v, after %v", code, s.last.Mute, o.now.Sub(begun))
	}
	if s.handshake(sasl.ScramSHA512); s.last.Mute == 0 {
		t.Error("a handshake at a wrong time is free")
	}
}

// Partitions that are created and deleted: refused by those who know the error, delayed otherwise.
func TestMutationQuota(t *testing.T) {
	o := newOne(t, nil)
	o.ask(alterQuotas("user=a: controller_mutation_rate=1"))
	create := func(version int16, name string, partitions int32) (string, time.Duration) {
		req := kmsg.NewPtrCreateTopicsRequest()
		req.Version, req.TimeoutMillis = version, 5000
		in := kmsg.NewCreateTopicsRequestTopic()
		in.Topic, in.NumPartitions, in.ReplicationFactor = name, partitions, 1
		req.Topics = append(req.Topics, in)
		resp := o.as("User:a", ConnID(o.lastID+100), req)
		return codesIn(resp), waitIn(resp)
	}
	check := func(what, code string, from, to time.Duration) func(string, time.Duration) {
		return func(got string, wait time.Duration) {
			t.Helper()
			if got != code || wait < from || wait > to {
				t.Errorf("%s: %s, %v; want %s and %v to %v", what, got, wait, code, from, to)
			}
		}
	}
	const s = time.Second
	check("a burst, and more", "NONE", 0, 0)(create(6, "t1", 16))
	check("at the limit", "THROTTLING_QUOTA_EXCEEDED", 3*s, 5*s)(create(6, "t2", 1))
	check("what is there is told all the same", "TOPIC_ALREADY_EXISTS", 0, 0)(create(6, "t1", 1))
	check("of an older client", "NONE", 6*s, 9*s)(create(5, "t3", 4))
	drop := kmsg.NewPtrDeleteTopicsRequest()
	drop.Version, drop.TopicNames, drop.TimeoutMillis = 5, []string{"t1"}, 5000
	resp := o.as("User:a", 90, drop)
	check("a deletion", "THROTTLING_QUOTA_EXCEEDED", s, 9*s)(codesIn(resp), waitIn(resp))
	grow := kmsg.NewPtrCreatePartitionsRequest()
	grow.Version, grow.TimeoutMillis = 3, 5000
	grow.Topics = append(grow.Topics, kmsg.CreatePartitionsRequestTopic{Topic: "t3", Count: 6})
	resp = o.as("User:a", 91, grow)
	check("partitions", "THROTTLING_QUOTA_EXCEEDED", s, 9*s)(codesIn(resp), waitIn(resp))
	meta := kmsg.NewPtrMetadataRequest()
	meta.Version, meta.AllowAutoTopicCreation = 9, true
	name := "t4"
	meta.Topics = append(meta.Topics, kmsg.MetadataRequestTopic{Topic: &name})
	o.as("User:a", 92, meta)
	if o.node.catalog.byName["t4"] != nil || o.node.catalog.byName["t1"] == nil || len(o.node.catalog.byName["t3"].Partitions) != 4 {
		t.Error("something was changed that was refused")
	}
	o.pass(12 * s)
	resp = o.as("User:a", 90, drop) // muted no longer
	check("after a while", "NONE", 0, 0)(codesIn(resp), waitIn(resp))
	resp = o.as("User:a", 93, grow)
	check("and it counts", "THROTTLING_QUOTA_EXCEEDED", s, 20*s)(codesIn(resp), waitIn(resp))
	resp = o.as("User:b", 94, grow)
	check("another user", "NONE", 0, 0)(codesIn(resp), waitIn(resp))
}

// A connection that ends while it is muted leaves nothing behind, and the client's next one waits for what it did on it.
func TestMutedConnectionEnds(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	o.ask(alterQuotas("user=a: producer_byte_rate=1000"))
	req := produceRequest("t", -1, plain(strings.Repeat("x", 15_000)))
	o.as("User:a", 20, req)
	o.begin(20, kmsg.NewPtrMetadataRequest())
	waiting := o.node.deadlines.Len()
	o.step(Input{Hangups: []ConnID{20}})
	if left := o.node.deadlines.Len(); left != waiting-1 {
		t.Errorf("%d deadlines are left of %d", left, waiting)
	}
	if got := waitIn(o.as("User:a", 21, req)); got < 15*time.Second {
		t.Errorf("on a new connection: %v", got)
	}
}

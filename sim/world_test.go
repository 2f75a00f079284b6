// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"chronik/checker"
	"chronik/node"
	"chronik/sim/plan"
	"chronik/wal"
)

func TestHeapIsAQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h eventHeap
		last := event{at: -1}
		pushed := 0
		for range rapid.IntRange(1, 200).Draw(t, "calls") {
			if len(h.keys) == 0 || rapid.Bool().Draw(t, "push") {
				// Never before what was taken out, as in a run.
				at := max(last.at, 0) + node.Time(rapid.IntRange(0, 3).Draw(t, "after"))
				h.push(event{at: at, index: pushed})
				pushed++
				continue
			}
			next := h.next()
			e := h.pop()
			if e.at != next || e.at < last.at || e.at == last.at && e.index < last.index {
				t.Fatalf("event %d at %v comes after event %d at %v", e.index, e.at, last.index, last.at)
			}
			last = e
		}
	})
}

func TestClockOfABroker(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := &broker{
			incarnation: rapid.Uint64Range(1, 100).Draw(t, "incarnation"),
			bootedAt:    node.Time(rapid.Int64Range(0, 1e12).Draw(t, "booted")),
			clock:       plan.Clock{DriftPPM: rapid.Int64Range(-200_000, 200_000).Draw(t, "drift")},
		}
		now := b.bootedAt + node.Time(rapid.Int64Range(0, 1e12).Draw(t, "later"))
		l := b.local(now) + node.Time(rapid.Int64Range(0, 1e12).Draw(t, "ahead"))
		v := b.virtual(l)
		if b.local(v) < l || b.local(v-1) >= l {
			t.Fatalf("the clock shows %d first at %d, where it shows %d", l, v, b.local(v))
		}
	})
}

func TestMailboxIsCutShort(t *testing.T) {
	b := new(broker)
	for i := range 5 {
		b.mail.messages = append(b.mail.messages, node.Message{From: node.BrokerID(i)})
		b.mail.requests = append(b.mail.requests, node.Request{Conn: node.ConnID(i)})
	}
	b.mail.hangups = append(b.mail.hangups, 4)
	var froms []node.BrokerID
	hungUpAfter := -1
	for steps := 0; !b.mail.empty(); steps++ {
		in := b.fill(2)
		if len(in.Messages) > 2 || len(in.Requests) > 2 {
			t.Fatalf("a step takes %d messages and %d requests, allowed are 2", len(in.Messages), len(in.Requests))
		}
		for _, m := range in.Messages {
			froms = append(froms, m.From)
		}
		if len(in.Hangups) > 0 {
			hungUpAfter = steps
		}
	}
	for i, f := range froms {
		if f != node.BrokerID(i) {
			t.Fatalf("messages come in order %v", froms)
		}
	}
	if len(froms) != 5 || hungUpAfter != 3 {
		t.Errorf("%d messages in all, hung up in step %d; the last request is in step 2", len(froms), hungUpAfter)
	}
}

// TestEveryFaultFiresAndMatters guards against a fault that is drawn and does nothing. Rare ones matter once in a
// hundred worlds, so it goes on while one is missing.
func TestEveryFaultFiresAndMatters(t *testing.T) {
	const seeds = 600
	fired, mattered := make([]int64, len(plan.FaultKinds)), make([]int64, len(plan.FaultKinds))
	run := func(s uint64, profile string) {
		r := Run(mustGenerate(t, s, profile), Options{})
		if r.Failure != nil {
			t.Errorf("seed %d of %s: %v", s, profile, r.Failure)
		}
		for i, f := range r.Faults {
			fired[i] += f.Fired
			mattered[i] += f.Mattered
		}
	}
	for s := range uint64(seeds) {
		if s >= 100 && !slices.Contains(mattered, 0) {
			return
		}
		run(s, "default")
		if s%10 == 0 {
			run(s, "beyond")
		}
		if s%25 == 0 {
			run(s, "rot")
		}
	}
	for i, k := range plan.FaultKinds {
		if fired[i] == 0 || mattered[i] == 0 {
			t.Errorf("%s: fired %d times, mattered %d times in %d seeds", k, fired[i], mattered[i], seeds)
		}
	}
}

// failureOf runs f in a world and returns how it ended the run.
func failureOf(w *world, f func()) string {
	if failure := w.protect(f); failure != nil {
		return failure.Check
	}
	return ""
}

// TestOwnChecksCanFail shows each check of the simulator itself failing; those of package checker
// are shown there.
func TestOwnChecksCanFail(t *testing.T) {
	w := newWorld(mustGenerate(t, 1, "tiny"), Options{})
	b, j := w.brokers[0], w.judge
	c := newClient(w, &w.plan.Clients[0])
	id := func() string { return failureOf(w, func() { j.producerID(w, c, 5, 0) }) }
	if first, again := id(), id(); first != "" || again != "producer-id" {
		t.Errorf("a producer id given out twice: %q, then %q", first, again)
	}
	e := event{kind: evMessage, broker: b, from: 2, frame: []byte("changed"), hash: hashOf([]byte("sent"))}
	if got := failureOf(w, func() { w.deliver(e) }); got != "aliasing" {
		t.Errorf("a message changed after sending: %q", got)
	}
	if got := failureOf(w, func() { j.synced(w, b, []byte("no records at all"), true) }); got != "write" {
		t.Errorf("a write of rubbish: %q", got)
	}
	if got := failureOf(w, func() { w.ended(b, &node.End{Kind: node.EndDisk, Err: errInjected}) }); got != "fatal" {
		t.Errorf("a broker that dies of a healthy disk: %q", got)
	}
	if got := failureOf(w, func() { w.ended(b, &node.End{Kind: node.EndRemoved, Err: errInjected}) }); got != "ended" {
		t.Errorf("a broker that says that it was removed, and nobody did: %q", got)
	}
	s := &broker{number: 1, first: b, empty: true}
	if got := failureOf(w, func() { w.secondEnded(s, &node.End{Kind: node.EndOutdated, Err: errInjected}) }); got != "second-process" {
		t.Errorf("a second process with an empty folder that ends as an old copy: %q", got)
	}
	w.extra = []*broker{s}
	if got := failureOf(w, w.waitForStrays); got != "second-process" {
		t.Errorf("a second process that runs on: %q", got)
	}
	w.extra = nil
	j.moves["t0/0"] = []move{{0, 5, []int{1, 2}}, {6, 8, []int{2, 3}}}
	placed := func(on ...int32) string { return failureOf(w, func() { j.checkPlacement(w, "t0/0", on) }) }
	if got, undone := placed(2, 3), placed(1, 2); got != "" || undone != "placement" {
		t.Errorf("a partition where it was moved: %q; where an earlier move brought it: %q", got, undone)
	}
	j.seen[2] = []*seenReplica{{view: node.View{Voters: []uint64{1<<32 | 1, 2<<32 | 1}}}}
	left := func(n int) string { return failureOf(w, func() { j.checkLeft(w, w.brokers[n-1]) }) }
	if got, early := left(3), left(2); got != "" || early != "removed-too-early" {
		t.Errorf("the removal of a broker that doesn't vote: %q; of one that does: %q", got, early)
	}
	if got := failureOf(w, func() { panic("broken invariant") }); got != "panic" {
		t.Errorf("a panic: %q", got)
	}
}

// TestLateChanges looks at changes of the catalog that come in time, and at some that don't.
func TestLateChanges(t *testing.T) {
	for name, c := range map[string]struct {
		at   node.Time
		term uint64
		want string
	}{
		"while it is asked for": {node.Time(2 * second), 5, ""},
		"soon after":            {node.Time(4 * second), 5, ""},
		"before":                {node.Time(second / 2), 5, "late-change"},
		"long after":            {node.Time(500 * second), 5, "late-change"},
		"in a term of group 0 that began later on": {node.Time(200 * second), 6, "late-change"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(mustGenerate(t, 1, "tiny"), Options{})
			j := w.judge
			j.terms = []reign{{term: 5, from: 1}, {term: 6, from: node.Time(150 * second)}}
			j.led = []reign{{1, 5, 1, node.Never, 2}}
			if c.term == 6 { // the leader of term 5 fell: an entry of it may take effect as late as this
				j.led = []reign{{1, 5, 1, node.Time(4 * second), 2}, {1, 6, node.Time(150 * second), node.Never, node.Time(250 * second)}}
			}
			call := &plan.Call{Kind: plan.CallConfigure, Topic: "t0"}
			w.now = node.Time(second)
			p := &pendingCall{call: call, wish: j.wished(w, call, 1)}
			w.now = node.Time(3 * second)
			j.stopWishing(w, p)
			w.now = c.at
			j.changed(w, node.Event{N: 9, Term: c.term, Text: "configure t0"})
			j.changed(w, node.Event{N: 8, Term: c.term, Text: "configure another"})
			if got := failureOf(w, func() { j.checkChanges(w) }); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// TestTruthOfTheDisk shows that a write whose sync failed in silence isn't taken for durable.
func TestTruthOfTheDisk(t *testing.T) {
	w := newWorld(mustGenerate(t, 1, "tiny"), Options{})
	b := w.brokers[0]
	f := create(t, b.disk, "a")
	b.disk.SyncDir()
	op := wal.Op{Kind: wal.OpWrite, File: "a", Data: []byte("no records")}
	f.WriteAt(op.Data, 0)
	w.judge.written(w, b, op)
	if len(b.limbo) != 1 {
		t.Fatal("a write that was never synced is taken for durable")
	}
	f.Sync()
	if got := failureOf(w, func() { w.judge.written(w, b, op) }); got != "write" {
		t.Fatalf("a durable write is not looked at: %q", got)
	}
}

func TestValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := checker.RecordID(rapid.Uint64().Draw(t, "id"))
		v := value(id, rapid.IntRange(plan.MinValue, 500).Draw(t, "size"))
		if got, ok := parseValue(v); !ok || got != id {
			t.Fatalf("%q is %d, %v", v, got, ok)
		}
		v[rapid.IntRange(0, len(v)-1).Draw(t, "at")] ^= 0x80
		if _, ok := parseValue(v); ok && len(v) > 0 {
			t.Fatalf("a changed byte goes unnoticed: %q", v)
		}
	})
}

// TestPlanByHand runs a plan that is written out: the format, the names of things, and the smallest
// knobs that there are.
func TestPlanByHand(t *testing.T) {
	text := strings.ReplaceAll(`{
"why": "", "commit": "", "seed": 5, "profile": "by hand", "brokers": 3, "safety": "4s",
"knobs": {"tick":"50ms","election_ticks":10,"heartbeat_ticks":2,"hot_entries":1,"cache_bytes":4096,"cold_read_bytes":64,"replication_bytes":1,
 "replication_window":1,"segment_bytes":4096,"flush_bytes":64,"step_cost":"50us","step_items":1,"link_latency":"1ms","link_in_order":false,
 "write_latency":"1ms","read_latency":"500us","restart_time":"5ms"},
"clocks": [{"offset_ms":0,"drift_ppm":0},{"offset_ms":5000,"drift_ppm":900},{"offset_ms":-5000,"drift_ppm":-900}],
"topics": [{"name":"t","partitions":1,"replicas":3,"auto":false}],
"clients": [{"id":1,"idempotent":true,"in_flight":5,"eager":true,"timeout":"300ms","give_up":"30s","home":2}],
"calls": [
 {"id":1,"at":"0s","client":1,"kind":"create","topic":"t","partition":0},
 {"id":2,"at":"1s","client":1,"kind":"produce","topic":"t","partition":0,"records":3,"size":100,"acks":-1},
 {"id":3,"at":"2s","client":1,"kind":"produce","topic":"t","partition":0,"records":1,"size":900,"acks":-1},
 {"id":4,"at":"2s","client":1,"kind":"fetch","topic":"t","partition":0}],
"faults": [{"id":1,"kind":"power","at":"0s","after":{"event":"became leader","count":2},"target":"here","for":"800ms"}]
}`, "us\"", "µs\"")
	p, err := plan.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	r := Run(p, Options{})
	if r.Failure != nil {
		t.Fatalf("%v\n%s", r.Failure, r.Failure.Stack)
	}
	if r.Acked < 3+1+1 || r.Crashes < 1 { // the last record is the verifier's
		t.Errorf("%d records acknowledged and %d crashes: the plan was not carried out", r.Acked, r.Crashes)
	}
}

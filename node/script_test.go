// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"crypto/rand"
	"flag"
	"fmt"
	randv2 "math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/wal"
)

// Scripts are stories of a cluster, to be read: testdata/*.txt. A script is comments (#), and commands, each followed by
// ---- and what the brokers' steps took and gave, as describe.go prints it, up to an empty line. To write a story, or to
// take over what has changed: go test ./node -run TestScripts -rewrite, and read the difference.
//
// Nothing moves by itself: messages lie between brokers and operations before disks until a command moves them.
//
//	cluster N [small]      N brokers that are ready; small: few entries in memory, checkpoints often, no more kept than needed
//	topic NAME B,B..       a topic with one partition on these brokers, the first of which leads
//	show REGEXP            which lines are printed from now on; show only the brokers' own lines
//	produce B TOPIC [acks=A] [producer=P seq=S] [n=N] [times=N]
//	fetch B TOPIC OFFSET [D]  B is the broker that is asked, to wait for so long; the answer shows when there is one
//	latest B TOPIC         ListOffsets for the end of the log, which has to be proven
//	trim B TOPIC OFFSET    DeleteRecords
//	coordinator B GROUP    FindCoordinator for a consumer group
//	coordinator B ID transactional     the same for a transactional id
//	init B ID              InitProducerId for a transactional id
//	write B TOPIC ID P E S Produce 12 of a transaction, by producer P in epoch E at sequence S
//	end B ID P E commit    EndTxn 5; or abort
//	beat B GROUP MEMBER EPOCH [TOPIC]  ConsumerGroupHeartbeat of a member that has what the last answer gave it
//	move B TOPIC B,B..     AlterPartitionReassignments
//	deliver A->B           B steps with all that A sent it
//	drop A->B              all that A sent B is lost
//	sync B                 B's disk does what it was asked to, and B steps with the results
//	tick B                 a tick passes, and B steps
//	cut B, heal B          B's messages are lost from now on, and no more
//	crash B                B dies, with all that its disk was asked to and hasn't done; restart B brings it back
//	lose B                 B dies with its disk; join B brings it back with an empty one
//	run D                  for so long, messages, disks and clocks go on as fast as they can
//	state TOPIC            what each replica believes; voter 3.5 is replica number 5, on broker 3
var rewrite = flag.Bool("rewrite", false, "write what the scripts of testdata print into them")

func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			old := rand.Reader // raft draws its election time-outs from it
			rand.Reader = randv2.NewChaCha8([32]byte{1})
			defer func() { rand.Reader = old }()
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := newStage(t).play(string(want))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("the story has changed (-rewrite takes it over):\n%s", diff)
			}
		})
	}
}

// stage is a cluster that moves as a script says.
type stage struct {
	*many
	show    *regexp.Regexp
	flights map[[2]BrokerID][]Message
	ops     map[BrokerID][]wal.Op
	printed []string
	fast    bool // run: no lines of their own
}

func newStage(t *testing.T) *stage {
	return &stage{show: regexp.MustCompile(``), flights: make(map[[2]BrokerID][]Message), ops: make(map[BrokerID][]wal.Op), many: &many{t: t}}
}

// play carries a script out and returns it with what was printed.
func (s *stage) play(script string) string {
	var out bytes.Buffer
	lines := strings.Split(strings.TrimRight(script, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		out.WriteString(line + "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		s.printed = nil
		s.do(strings.Fields(line))
		if len(s.printed) == 0 {
			s.printed = []string{"ok"}
		}
		out.WriteString("----\n" + strings.Join(s.printed, "\n") + "\n")
		for i+1 < len(lines) && lines[i+1] != "" {
			i++
		}
	}
	return out.String()
}

func (s *stage) do(words []string) {
	arg := func(i int) string {
		if i >= len(words) {
			s.t.Fatalf("%v lacks an argument", words)
		}
		return words[i]
	}
	switch words[0] {
	case "cluster":
		s.cluster(arg(1), slices.Contains(words, "small"))
	case "topic":
		s.create(arg(1), brokersIn[int32](s.t, arg(2))...)
		s.settle()
	case "show":
		s.show = regexp.MustCompile(strings.Join(words[1:], " "))
	case "produce", "fetch", "latest", "trim", "move", "coordinator", "beat", "init", "write", "end":
		s.request(words)
	case "deliver", "drop":
		var l [2]BrokerID
		if _, err := fmt.Sscanf(arg(1), "%d->%d", &l[0], &l[1]); err != nil {
			s.t.Fatalf("%v: %v", words, err)
		}
		sent := s.flights[l]
		delete(s.flights, l)
		if words[0] == "deliver" {
			s.step(l[1], Input{Messages: sent})
		}
	case "sync":
		b := s.broker(arg(1))
		s.step(b, Input{Results: s.disk(b)})
	case "tick":
		s.now = s.now.Add(s.nodes[s.broker(arg(1))].node.cfg.TickInterval)
		s.step(s.broker(arg(1)), Input{})
	case "run":
		d, err := time.ParseDuration(arg(1))
		if err != nil {
			s.t.Fatal(err)
		}
		s.run(d)
	case "state":
		s.state(arg(1))
	default:
		s.fate(words[0], s.broker(arg(1)))
	}
}

// cluster starts brokers, and lets them get ready.
func (s *stage) cluster(number string, few bool) {
	var change func(*Config)
	if few {
		change = small
	}
	n, err := strconv.Atoi(number)
	if err != nil {
		s.t.Fatal(err)
	}
	s.many = newMany(s.t, n, change)
	s.settle()
}

// settle lets what many does by itself come to rest.
func (s *stage) settle() {
	for range 100 {
		s.round()
	}
	for _, id := range s.ids {
		m := s.nodes[id]
		for len(m.in.Messages)+len(m.in.Results)+len(m.in.Done) > 0 {
			s.round()
		}
	}
}

// fate is what happens to a broker as a whole.
func (s *stage) fate(what string, b BrokerID) {
	switch m := s.nodes[b]; what {
	case "cut":
		m.cut = true
	case "heal":
		m.cut = false
	case "crash", "lose":
		s.kill(b)
		delete(s.ops, b)
		for l := range s.flights {
			if l[1] == b {
				delete(s.flights, l)
			}
		}
	case "restart":
		s.start(b)
	case "join":
		others := slices.DeleteFunc(slices.Clone(s.ids), func(id BrokerID) bool { return id == b })
		s.addKnowing(b, m.cfg.Incarnation+1, others...)
	default:
		s.t.Fatalf("unknown command %q", what)
	}
}

func (s *stage) broker(word string) BrokerID {
	return BrokerID(brokersIn[int32](s.t, word)[0])
}

func brokersIn[T ~int32](t testing.TB, list string) (ids []T) {
	for word := range strings.SplitSeq(list, ",") {
		id, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, T(id))
	}
	return ids
}

// disk carries out what a broker's disk was asked to.
func (s *stage) disk(b BrokerID) (results []wal.Result) {
	for _, op := range s.ops[b] {
		results = append(results, wal.Do(s.nodes[b].dir, op))
	}
	delete(s.ops, b)
	return results
}

// step steps a broker, again as long as it has more to do without the world, and prints what it took and gave.
func (s *stage) step(b BrokerID, in Input) {
	m := s.nodes[b]
	for more := true; more; {
		in.Now, in.UnixMs = s.now, s.unixMs+int64(s.now)/1e6
		s.print(b, DescribeInput(&in, 50))
		out := m.node.Step(&in)
		s.print(b, DescribeOutput(out, 50))
		in = Input{}
		for i := range out.Tasks {
			in.Done = append(in.Done, out.Tasks[i].Do())
		}
		s.ops[b] = append(s.ops[b], out.Ops...)
		for _, msg := range out.Messages {
			if to := s.nodes[msg.To]; to != nil && to.node != nil && !m.cut && !to.cut {
				l := [2]BrokerID{b, msg.To}
				s.flights[l] = append(s.flights[l], Message{From: b, Data: kafka.Frame(msg.Pieces).Bytes()})
			}
		}
		more = len(in.Done) > 0 || out.Wake <= s.now
	}
}

func (s *stage) print(b BrokerID, lines []string) {
	for _, line := range lines {
		if s.show.MatchString(line) && (!s.fast || told.MatchString(line)) {
			s.printed = append(s.printed, fmt.Sprintf("%d  %s", b, places.ReplaceAllString(line, "write")))
		}
	}
}

// places are where writes go, which the stories aren't about.
var places = regexp.MustCompile(`write \d+ \S+ \d+ bytes`)

// told are the lines that are printed while the cluster runs.
var told = regexp.MustCompile(`^[<>] conn|^event (became leader|lost leadership|truncated|snapshot|log start moved|replicas changed|cold read|recovered|duplicate)`)

// run lets everything go on for a while.
func (s *stage) run(d time.Duration) {
	s.fast = true
	for end := s.now.Add(d); s.now < end; {
		s.now = s.now.Add(5 * time.Millisecond)
		for _, b := range s.ids {
			if s.nodes[b].node == nil {
				continue
			}
			in := Input{Results: s.disk(b)}
			for _, from := range s.ids {
				in.Messages = append(in.Messages, s.flights[[2]BrokerID{from, b}]...)
				delete(s.flights, [2]BrokerID{from, b})
			}
			s.step(b, in)
		}
	}
	s.fast = false
}

// request sends a client's request to a broker.
func (s *stage) request(words []string) {
	b, topic := s.broker(words[1]), words[2]
	offset := func() int64 {
		offset, err := strconv.ParseInt(words[3], 10, 64)
		if err != nil {
			s.t.Fatal(err)
		}
		return offset
	}
	times := 1
	var req kmsg.Request
	switch words[0] {
	case "produce":
		req, times = s.produceOf(topic, words[3:])
	case "fetch":
		f := fetchRequest(topic, offset())
		if len(words) > 4 {
			wait, err := time.ParseDuration(words[4])
			if err != nil {
				s.t.Fatal(err)
			}
			f.MaxWaitMillis = int32(wait.Milliseconds())
		}
		req = f
	case "latest":
		r, rt, rp := kmsg.NewPtrListOffsetsRequest(), kmsg.NewListOffsetsRequestTopic(), kmsg.NewListOffsetsRequestTopicPartition()
		r.Version, rp.Timestamp = 6, -1
		rt.Topic, rt.Partitions = topic, append(rt.Partitions, rp)
		r.Topics = append(r.Topics, rt)
		req = r
	case "trim":
		r, rt, rp := kmsg.NewPtrDeleteRecordsRequest(), kmsg.NewDeleteRecordsRequestTopic(), kmsg.NewDeleteRecordsRequestTopicPartition()
		r.Version, r.TimeoutMillis, rp.Offset = 2, 5000, offset()
		rt.Topic, rt.Partitions = topic, append(rt.Partitions, rp)
		r.Topics = append(r.Topics, rt)
		req = r
	case "move":
		r, rt, rp := kmsg.NewPtrAlterPartitionAssignmentsRequest(), kmsg.NewAlterPartitionAssignmentsRequestTopic(), kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
		r.TimeoutMillis, rp.Replicas = 5000, brokersIn[int32](s.t, words[3])
		rt.Topic, rt.Partitions = topic, append(rt.Partitions, rp)
		r.Topics = append(r.Topics, rt)
		req = r
	}
	if req == nil {
		req = s.txnRequest(words)
	}
	if req == nil {
		req = s.groupRequest(words)
	}
	m := s.nodes[b]
	for range times {
		m.lastID++
		s.step(b, Input{Requests: []Request{{Conn: 1, Host: "/127.0.0.1", Frame: kafka.AppendRequest(nil, m.lastID, "script", req)}}})
	}
}

// txnRequest makes the requests of transactional producers.
func (s *stage) txnRequest(words []string) kmsg.Request {
	number := func(i int) int64 {
		n, err := strconv.ParseInt(words[i], 10, 32)
		if err != nil {
			s.t.Fatal(err)
		}
		return n
	}
	switch words[0] {
	case "init":
		r := kmsg.NewPtrInitProducerIDRequest()
		r.Version, r.TransactionalID, r.TransactionTimeoutMillis, r.ProducerID, r.ProducerEpoch = 5, &words[2], 60_000, -1, -1
		return r
	case "write":
		spec := kafka.NewBatchSpec(kafka.Record{Value: []byte("x")})
		spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence, spec.Attributes = number(4), int16(number(5)), int32(number(6)), kafka.TransactionalFlag
		r := produceRequest(words[2], -1, kafka.AppendBatch(nil, spec))
		r.Version, r.TransactionID = 12, &words[3]
		return r
	case "end":
		r := kmsg.NewPtrEndTxnRequest()
		r.Version, r.TransactionalID, r.ProducerID, r.ProducerEpoch, r.Commit = 5, words[2], number(3), int16(number(4)), words[5] == "commit"
		return r
	}
	return nil
}

// groupRequest makes the requests of consumers.
func (s *stage) groupRequest(words []string) kmsg.Request {
	if words[0] == "coordinator" {
		r := kmsg.NewPtrFindCoordinatorRequest()
		r.Version, r.CoordinatorKey, r.CoordinatorType = 3, words[2], int8(len(words)-3)
		return r
	}
	r := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	r.Version, r.Group, r.MemberID, r.RebalanceTimeoutMillis = 1, words[2], words[3], 60_000
	r.MemberEpoch = brokersIn[int32](s.t, words[4])[0]
	if r.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}; len(words) > 5 {
		r.SubscribedTopicNames = words[5:6]
	}
	if r.MemberEpoch > 0 {
		r.Topics, r.RebalanceTimeoutMillis = nil, -1
	}
	return r
}

// produceOf makes a produce request of the options of the command, and says how often it is sent.
func (s *stage) produceOf(topic string, options []string) (req *kmsg.ProduceRequest, times int) {
	values := map[string]int64{"acks": -1, "producer": -1, "seq": -1, "n": 1, "times": 1}
	for _, o := range options {
		name, value, _ := strings.Cut(o, "=")
		v, err := strconv.ParseInt(value, 10, 64)
		if _, known := values[name]; !known || err != nil {
			s.t.Fatalf("produce can't read %q", o)
		}
		values[name] = v
	}
	spec := kafka.NewBatchSpec(slices.Repeat([]kafka.Record{{Value: []byte("value")}}, int(values["n"]))...)
	spec.FirstTimestamp = s.unixMs
	if values["producer"] >= 0 {
		spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence = values["producer"], 0, int32(values["seq"])
	}
	return produceRequest(topic, int16(values["acks"]), kafka.AppendBatch(nil, spec)), int(values["times"])
}

// state prints what each replica of a topic's partition believes.
func (s *stage) state(topic string) {
	for _, id := range s.ids {
		if s.nodes[id].node == nil {
			s.printed = append(s.printed, fmt.Sprintf("%d  is down", id))
			continue
		}
		v, ok := s.view(id, topic)
		if !ok {
			s.printed = append(s.printed, fmt.Sprintf("%d  has no replica", id))
			continue
		}
		moving := ""
		if p := s.nodes[id].node.catalog.partition(topic, 0); p != nil && p.moving() {
			moving = ", moving"
		}
		s.printed = append(s.printed, fmt.Sprintf("%d  t%d leader %d, entries i%d..%d c%d, offsets %d..%d, voters %s%s", id, v.Term, v.Lead,
			v.FirstIndex, v.LastIndex, v.Commit, v.LogStart, v.HighWatermark, replicaNumbers(v.Voters), moving))
	}
}

// replicaNumbers lists replicas as broker and number: a replica that comes back has another number.
func replicaNumbers(ids []uint64) string {
	return listed(len(ids), len(ids), " ", func(i int) string { return fmt.Sprintf("%d.%d", brokerOf(ids[i]), uint32(ids[i])) })
}

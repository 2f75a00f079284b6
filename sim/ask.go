// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/node"
	"chronik/sim/keyed"
	"chronik/sim/plan"
)

// Asks are requests that usual clients seldom make, each sent once over a connection of an asker's. None changes what others
// rely on: most of them are refused, the others only ask. What may be answered is in askAnswers; where an answer says
// something that can be compared with the plan or with what others saw, it is.

// askerID is the first of the clients that make the plan's asks.
const askerID = 1 << 21

// askers is how many share the asks: one that waits for an answer doesn't keep all others waiting.
const askers = 3

// asking is an ask under way.
type asking struct {
	world  *world
	client *client
	spec   *plan.Ask
	draw   keyed.Draw
	topic  *plan.Topic
	broker int // where to
	sentAt node.Time
	group  string // whose coordinator is asked; "": none
	epoch  int32  // of the partition's leader
	wrote  []int  // places in world.simple, or world.settings
	done   bool   // it was answered

	producer *client // in whose name a batch is written, nil: nobody's, and
	key      producerKey
}

// asks is what an asker does.
type asks struct {
	queue        []*asking // that wait for a connection
	over         bool      // everybody goes: what was not asked by now isn't asked
	coordinators map[string]int
	unlisted     int // outcomes that others met and package matrix doesn't list
}

// newAskers makes the clients that ask, if the plan has asks.
func (w *world) newAskers() {
	if len(w.plan.Asks) == 0 {
		return
	}
	for i := range askers {
		c := newClient(w, &plan.Client{ID: askerID + i, InFlight: 1, Timeout: 5 * second, GiveUp: 10 * second, Home: 1 + i%len(w.brokers)})
		c.asks = &asks{coordinators: make(map[string]int)}
		w.askers = append(w.askers, c)
	}
	w.topicIDs = make(map[string][16]byte)
}

// beginAsk begins ask index of the plan.
func (w *world) beginAsk(index int) {
	spec := &w.plan.Asks[index]
	if w.healing {
		return
	}
	c := w.askers[spec.ID%askers]
	a := &asking{world: w, client: c, spec: spec, draw: w.seed.Draw(domainAsk, uint64(spec.ID), 0), topic: w.plan.Topic(spec.Topic)}
	a.epoch = -1
	leader := a.findLeader()
	switch api := spec.Kind.API(); {
	case slices.Contains(groupAPIs, api):
		if a.group = askGroups[a.pick(int64(len(askGroups)))]; a.what() == "simple" {
			a.group = simpleGroup
		} else if m := w.plan.Members; len(m) > 0 && slices.Contains(describeAPIs, api) && a.pick(2) == 1 {
			a.group = m[a.pick(int64(len(m)))].Group // only asked about
		}
		a.broker = c.asks.coordinators[a.group] // 0: to be found
	case slices.Contains(partitionAPIs, api) && leader != nil:
		a.broker = leader.number
	}
	if spec.Broker > 0 {
		a.broker = spec.Broker
	} else if a.broker == 0 && a.group == "" {
		a.broker = 1 + int(a.pick(int64(len(w.brokers))))
	}
	c.asks.queue = append(c.asks.queue, a)
	c.advance()
}

// groupAPIs are kinds of request that a coordinator serves.
var groupAPIs = []string{
	"JoinGroup", "SyncGroup", "Heartbeat", "LeaveGroup", "OffsetCommit", "OffsetFetch", "DeleteGroups", "OffsetDelete",
	"ConsumerGroupHeartbeat", "DescribeGroups", "ConsumerGroupDescribe",
}

// describeAPIs are those of them that change nothing.
var describeAPIs = []string{"DescribeGroups", "ConsumerGroupDescribe"}

// partitionAPIs are kinds of request that a leader serves.
var partitionAPIs = []string{"Produce", "Fetch", "ListOffsets", "OffsetForLeaderEpoch", "DeleteRecords", "DescribeProducers"}

// askGroups are the askers' own.
var askGroups = []string{"asks-a", "asks-b", "asks-c"}

// findLeader returns who leads the ask's partition, and notes its epoch: a client can find that out.
func (a *asking) findLeader() *broker {
	w := a.world
	for _, g := range w.judge.groups {
		if g.topic == a.spec.Topic && g.partition == a.spec.Partition && !w.judge.gone[g.id] {
			leader := w.leader(g.id)
			if leader != nil {
				v, _ := leader.node.Inspect(g.id)
				a.epoch = int32(v.Term)
			}
			return leader
		}
	}
	return nil
}

// pick draws one of n.
func (a *asking) pick(n int64) int64 {
	a.draw = a.draw.Next()
	return a.draw.Below(n)
}

// advanceAsks sends what has a connection.
func (c *client) advanceAsks() {
	queue := c.asks.queue
	if c.asks.queue = nil; c.asks.over {
		return
	}
	for _, a := range queue {
		if !a.send() {
			c.asks.queue = append(c.asks.queue, a)
		}
	}
}

// dropAsks forgets what waits for a connection to a broker that can't be made.
func (c *client) dropAsks(broker int) {
	c.asks.queue = slices.DeleteFunc(c.asks.queue, func(a *asking) bool { return a.to() == broker })
}

// to is the broker that is asked now.
func (a *asking) to() int {
	if a.broker == 0 {
		return a.client.spec.Home // who the coordinator is
	}
	return a.broker
}

// send sends the request, or the question for the coordinator that comes first; false if there is no connection yet.
func (a *asking) send() bool {
	cn := a.client.conn(a.to())
	if cn == nil {
		return false
	}
	w := a.world
	if a.broker == 0 {
		a.findCoordinator(cn)
		return true
	}
	req := a.request()
	if req == nil {
		return true // there is nothing of that kind in this world now
	}
	a.sentAt = w.now
	if w.tracing() {
		w.tracef("asker %d  ask %d goes to broker %d, conn %d: %s", a.client.spec.ID-askerID, a.spec.ID, a.broker, cn.id, a.spec.Kind)
	}
	w.result.Asks++
	cn.ask(w, req, func(resp kmsg.Response) { a.answered(req, resp) })
	return true
}

// findCoordinator asks for the coordinator of the ask's group first.
func (a *asking) findCoordinator(cn *conn) {
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.CoordinatorKey, req.CoordinatorKeys = a.group, []string{a.group}
	req.Version = []int16{0, 3, 4, 6}[a.pick(4)]
	cn.ask(a.world, req, func(resp kmsg.Response) {
		r := resp.(*kmsg.FindCoordinatorResponse)
		id, code := r.NodeID, r.ErrorCode
		if len(r.Coordinators) == 1 {
			id, code = r.Coordinators[0].NodeID, r.Coordinators[0].ErrorCode
		}
		if code != 0 {
			return
		}
		if a.broker = a.client.brokerNumber(id); a.broker > 0 {
			a.client.asks.coordinators[a.group] = a.broker
			a.client.asks.queue = append(a.client.asks.queue, a)
			a.client.again = true
		}
	})
}

// answered demands that an answer is one of those that the kind of ask may get.
func (a *asking) answered(req kmsg.Request, resp kmsg.Response) {
	w := a.world
	codes := w.cells.Codes(resp)
	if w.tracing() {
		w.tracef("asker %d  ask %d is answered %v", a.client.spec.ID-askerID, a.spec.ID, codes)
	}
	may, limited := askAnswers[a.spec.Kind]
	if a.overtaken() {
		may += " INVALID_PRODUCER_EPOCH"
	}
	for _, code := range codes {
		excused := slices.Contains(strings.Fields(excuses), code)
		if code == "NOT_COORDINATOR" && a.group != "" {
			delete(a.client.asks.coordinators, a.group)
		}
		if limited && !excused && !slices.Contains(strings.Fields(may), code) {
			w.fail("unexpected-error", "ask %d (%s, version %d, about %s/%d): broker %d answers %s; it may answer %s", a.spec.ID, a.spec.Kind, req.GetVersion(), a.spec.Topic, a.spec.Partition, a.broker, code, may)
		}
	}
	if unlisted := w.cells.Unlisted(); len(unlisted) > a.client.asks.unlisted {
		w.fail("unexpected-error", "ask %d (%s): an answer isn't one of those that package matrix lists: %v", a.spec.ID, a.spec.Kind, unlisted)
	}
	a.done = true
	switch a.what() {
	case "simple":
		a.simpleAnswered(codes, resp)
	case "harmless":
		a.settingsAnswered(codes)
	}
	a.check(req, resp)
}

// excuses are errors that any ask may be answered: leaders and coordinators move, catalogs lag, and disks are full.
const excuses = `NOT_LEADER_FOR_PARTITION LEADER_NOT_AVAILABLE UNKNOWN_TOPIC_OR_PARTITION UNKNOWN_TOPIC_ID REQUEST_TIMED_OUT NOT_ENOUGH_REPLICAS
	NOT_COORDINATOR COORDINATOR_LOAD_IN_PROGRESS COORDINATOR_NOT_AVAILABLE KAFKA_STORAGE_ERROR NOT_CONTROLLER THROTTLING_QUOTA_EXCEEDED
	UNKNOWN_LEADER_EPOCH FENCED_LEADER_EPOCH OFFSET_NOT_AVAILABLE GROUP_MAX_SIZE_REACHED`

// askAnswers is what kinds of ask may be answered; others may be answered whatever package matrix lists.
var askAnswers = map[plan.AskKind]string{
	"Produce/too-large":     "MESSAGE_TOO_LARGE",
	"Produce/corrupt":       "CORRUPT_MESSAGE",
	"Produce/bad-acks":      "INVALID_REQUIRED_ACKS",
	"Produce/transactional": "TRANSACTIONAL_ID_AUTHORIZATION_FAILED INVALID_PRODUCER_ID_MAPPING",
	"Produce/old-format":    "INVALID_RECORD",
	"Produce/old-zstd":      "UNSUPPORTED_COMPRESSION_TYPE",
	"Produce/no-key":        "INVALID_RECORD",
	"Produce/nothing":       "INVALID_RECORD",
	"Produce/brokers-own":   "INVALID_TOPIC_EXCEPTION",
	"Produce/no-such-topic": "",
	"Produce/no-such-id":    "",
	"Produce/gap":           "OUT_OF_ORDER_SEQUENCE_NUMBER",
	"Produce/zombie":        "INVALID_PRODUCER_EPOCH",
	"Produce/bad-time":      "INVALID_TIMESTAMP",
	"Produce/twice":         "INVALID_REQUEST",

	"Fetch/plain":         "OK OFFSET_OUT_OF_RANGE",
	"Fetch/session":       "FETCH_SESSION_ID_NOT_FOUND",
	"Fetch/beyond":        "OK OFFSET_OUT_OF_RANGE", // a leader that has yet to apply something waits
	"Fetch/fenced":        "",
	"Fetch/future":        "",
	"Fetch/diverging":     "OK OFFSET_OUT_OF_RANGE",
	"Fetch/no-such-topic": "",
	"Fetch/no-such-id":    "",
	"Fetch/brokers-own":   "OK OFFSET_OUT_OF_RANGE",
	"Fetch/rack":          "OK OFFSET_OUT_OF_RANGE",
	"Fetch/several":       "OK OFFSET_OUT_OF_RANGE",

	"ListOffsets/any":           "OK",
	"ListOffsets/twice":         "INVALID_REQUEST",
	"ListOffsets/fenced":        "",
	"ListOffsets/future":        "",
	"ListOffsets/no-such-time":  "UNSUPPORTED_VERSION",
	"ListOffsets/no-such-topic": "",

	"OffsetForLeaderEpoch/any":           "OK",
	"OffsetForLeaderEpoch/fenced":        "",
	"OffsetForLeaderEpoch/future":        "",
	"OffsetForLeaderEpoch/no-such-topic": "",

	"DeleteRecords/beyond":        "OFFSET_OUT_OF_RANGE POLICY_VIOLATION",
	"DeleteRecords/no-such-topic": "",
	"DeleteRecords/brokers-own":   "INVALID_TOPIC_EXCEPTION",

	"InitProducerID/odd":           "INVALID_REQUEST",
	"InitProducerID/transactional": "OK INVALID_REQUEST CONCURRENT_TRANSACTIONS POLICY_VIOLATION",
	"InitProducerID/next":          "OK",

	"OffsetCommit/simple":    "OK",
	"OffsetFetch/simple":     "OK",
	"OffsetFetch/no-such-id": "",
	"OffsetDelete/simple":    "OK GROUP_ID_NOT_FOUND",
	"DeleteGroups/simple":    "OK GROUP_ID_NOT_FOUND",

	"AlterConfigs/harmless":            "OK",
	"IncrementalAlterConfigs/harmless": "OK",

	"DescribeACLs/any":  "SECURITY_DISABLED",
	"CreateACLs/any":    "SECURITY_DISABLED OK",
	"DeleteACLs/any":    "SECURITY_DISABLED OK",
	"ApiVersions/newer": "UNSUPPORTED_VERSION",
}

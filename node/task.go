// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"cmp"
	"math"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	pb "go.etcd.io/raft/v3/raftpb"

	"chronik/kafka"
	"chronik/node/consumers"
	"chronik/node/sasl"
	"chronik/node/step"
)

// Task is work on bytes that may take long, because a batch may unfold to much more than it has, or a frame has many
// elements. The world calls Do where nobody waits for it, and hands the result back in a later Input. Tasks may be done
// in any order, and several at once. One kind of task may be done in the step itself: the check of uncompressed records,
// up to inlineBytes in each step (arrive).
//
// The batch and the pieces are not to be changed by anybody until then; Keys, what is assigned and the machine belong to
// the task.
type Task struct {
	ID    uint64
	Kind  TaskKind
	Batch []byte
	Limit int // bytes that the batch may unfold to; not TaskCheck

	Demands    kafka.Demands       // TaskCheck
	Since      int64               // TaskFind: the timestamp looked for, in ms
	From       int64               // TaskFind: the first record that counts, by its place in the batch
	Base       int64               // TaskKeys, TaskKeep: the batch's offset
	Tombstones bool                // TaskKeep: they go
	Keys       *Keys               // TaskKeys, TaskKeep
	assigning  *consumers.Assigner // TaskAssign
	Pieces     [][]byte            // TaskPack
	machine    machine             // TaskDecode: empty, and nobody's
	conf       *pb.ConfState       // TaskRepack
	confIndex  uint64              // TaskRepack
	packer     *Packer             // see Config.Packer
	credential sasl.Credential     // TaskPassword
	password   string              // TaskPassword, TaskToken: what the client shows
	tokens     TokenChecker        // TaskToken

	Header   kafka.Header          // TaskParse, TaskEncode: of the request
	Response kmsg.Response         // TaskEncode: it belongs to the task
	Batches  [][]kafka.PlacedBatch // TaskEncode of a fetch: per partition

	// Tools are those of whoever does the task, and are set there; nil: none.
	Tools *Tools
}

// Tools are what one who does one task at a time keeps between them. What comes of a task doesn't depend on them.
type Tools struct {
	unfolds kafka.Decompressor
	// Salt takes the place of sasl.SaltPassword where time for it is never spent, in simulated worlds; nil: it doesn't.
	Salt func(h sasl.Hash, password string, salt []byte, iterations int) []byte
}

func (t *Tools) salt() func(sasl.Hash, string, []byte, int) []byte {
	if t == nil || t.Salt == nil {
		return sasl.SaltPassword
	}
	return t.Salt
}

func (t *Tools) decompressor() *kafka.Decompressor {
	if t == nil {
		return nil
	}
	return &t.unfolds
}

// TaskKind says what a task is.
type TaskKind uint8

// The kinds of tasks.
const (
	TaskCheck    TaskKind = iota + 1 // are the records of a producer's batch what its header says?
	TaskFind                         // which is the first record as new as a timestamp?
	TaskKeys                         // note the keys of a batch
	TaskKeep                         // leave out records with a newer one of the same key
	TaskAssign                       // who of a consumer group gets which partitions? Another piece of it
	TaskParse                        // parse the body of a large request
	TaskEncode                       // make the frame of a large answer
	TaskPack                         // compress a checkpoint
	TaskRepack                       // put other replicas into a checkpoint
	TaskDecode                       // build the state that a checkpoint holds
	TaskPassword                     // is a password the one of a credential?
	TaskToken                        // whose is a token of OAUTHBEARER?
)

// TaskResult is what came of a task.
type TaskResult struct {
	ID    uint64
	Err   error  // an *kafka.Error about the batch
	At    int64  // TaskFind: the record's place in the batch; -1: there is none
	Time  int64  // TaskFind: its timestamp in ms; TaskCheck: the largest one
	Batch []byte // TaskKeep: what is left; TaskPack, TaskRepack: the checkpoint
	Bytes int64  // of keys and values; TaskKeys, TaskKeep

	Message  kmsg.Request // TaskParse
	Elements int          // TaskParse: how many it has
	Frame    kafka.Frame  // TaskEncode
	errors   map[apiError]int64

	checkpoint checkpoint  // TaskDecode: but for its state
	matches    bool        // TaskPassword
	claims     TokenClaims // TaskToken
}

// Do carries the task out. It depends on nothing but the task, and is the same in every world; but which tokens are right depends on
// the world's keys and time of day.
func (t *Task) Do() TaskResult {
	res := TaskResult{ID: t.ID, At: -1, Time: -1}
	switch t.Kind {
	case TaskCheck:
		res.Time, res.Err = t.Tools.decompressor().CheckRecords(t.Batch, t.Demands)
	case TaskFind:
		res.Err = t.Tools.decompressor().Unpack(t.Batch, t.Limit, func(delta, ms int64, _, _ []byte) error {
			if res.At < 0 && ms >= t.Since && delta >= t.From {
				res.At, res.Time = delta, ms
			}
			return nil
		})
	case TaskKeys:
		res.Err = t.Tools.decompressor().Unpack(t.Batch, t.Limit, func(delta, _ int64, key, value []byte) error {
			res.Bytes += int64(len(key) + len(value))
			t.Keys.note(key, t.Base+delta)
			return nil
		})
	case TaskKeep:
		res.Batch, res.Err = t.Tools.decompressor().Filter(t.Batch, t.Limit, func(delta, _ int64, key, value []byte) bool {
			res.Bytes += int64(len(key) + len(value))
			return t.keep(delta, key, value)
		})
	case TaskAssign:
		t.assigning.Piece()
	case TaskParse:
		res.Message, res.Elements, res.Err = kafka.ParseWithin(t.Header, t.Batch, math.MaxInt32)
	case TaskEncode:
		t.encode(&res)
	case TaskPack:
		res.Batch = cmp.Or(t.packer, new(Packer)).pack(bytes.Join(t.Pieces, nil))
	case TaskRepack:
		res.Batch, res.Err = cmp.Or(t.packer, new(Packer)).repack(t.Batch, t.conf, t.confIndex)
	case TaskDecode:
		res.checkpoint, res.Err = cmp.Or(t.packer, new(Packer)).decode(t.Batch, t.machine)
	case TaskPassword:
		res.matches = t.credential.MatchesBy(t.password, t.Tools.salt())
	case TaskToken:
		res.claims, res.Err = t.tokens.Check(t.password)
	}
	return res
}

// Bounds of a check that is done where others wait for its end.
const (
	quickBatch  = 64 << 10  // bytes of the batch
	quickUnfold = 256 << 10 // that it unfolds to, which takes about a millisecond
)

// DoQuickly carries out a check that turns out to be short. It returns false if it doesn't, or for another task.
func (t *Task) DoQuickly() (TaskResult, bool) {
	if t.Kind != TaskCheck || len(t.Batch) > quickBatch {
		return TaskResult{}, false
	}
	quick := *t
	quick.Demands.Unfold = min(t.Demands.Unfold, quickUnfold)
	res := quick.Do()
	return res, quick.Demands.Unfold == t.Demands.Unfold || kafka.Code(res.Err) != kerr.MessageTooLarge.Code
}

// keep reports whether compaction leaves a record in its batch.
func (t *Task) keep(delta int64, key, value []byte) bool {
	newest, known := t.Keys.newest[string(key)]
	if !known || key == nil {
		return true
	}
	return t.Base+delta >= newest && (value != nil || !t.Tombstones)
}

// Keys are the newest offsets of keys, as far as they fit into a number of bytes. What a key's record is
// compared with is there whether or not all keys fit: an offset that is noted is that of a record in the log.
type Keys struct {
	newest  map[string]int64
	bytes   int64 // that newest takes
	limit   int64
	leftOut bool // some key
}

const keyOverhead = 64 // bytes that a key costs beside its own

func newKeys(limit int64) *Keys { return &Keys{newest: make(map[string]int64), limit: limit} }

// note notes a record's key. A new one that doesn't fit is left out.
func (k *Keys) note(key []byte, offset int64) {
	if key == nil {
		return
	}
	if _, known := k.newest[string(key)]; !known {
		if k.full() {
			k.leftOut = true
			return
		}
		k.bytes += int64(len(key)) + keyOverhead
	}
	k.newest[string(key)] = offset
}

func (k *Keys) full() bool { return k.bytes > k.limit }

// unfoldFactor times max.message.bytes is what the records of a batch may unfold to.
const (
	unfoldFactor = 16
	minUnfolded  = 1 << 20
)

// unfoldLimit returns how many bytes a batch of a topic may unfold to. The factor leaves room for any
// ordinary data: where records shrink to less than a sixteenth, their batches are small.
func (n *Node) unfoldLimit(t *topicMeta) int {
	return int(min(max(unfoldFactor*int64(n.maxMessageBytes(t)), minUnfolded), math.MaxInt32))
}

// tasks are the node's tasks in the world. Their number and bytes are bounded by who asks: checks and
// searches take turns, and compaction has one at a time.
type tasks struct {
	last    uint64
	pending map[uint64]func(TaskResult)
	checks  turns
	finds   turns
	assigns turns
	logins  turns
	colds   turns // reads of old entries, which aren't tasks but take turns like them
}

// Bounds of the tasks under way. What waits for a turn costs no more memory than its request, which the
// world bounds.
const (
	checksAtOnce  = 16
	findsAtOnce   = 4
	assignsAtOnce = 2
)

func newTasks() tasks {
	return tasks{
		pending: make(map[uint64]func(TaskResult)),
		checks:  turns{limit: checksAtOnce},
		finds:   turns{limit: findsAtOnce},
		assigns: turns{limit: assignsAtOnce},
		logins:  turns{limit: loginsAtOnce},
		colds:   turns{limit: coldAtOnce},
	}
}

// start hands a task to the world; done is called with its result. The world may have changed by then.
func (n *Node) start(t Task, done func(TaskResult)) {
	n.tasks.last++
	t.ID, t.packer = n.tasks.last, n.cfg.Packer
	n.tasks.pending[t.ID] = done
	n.out.Tasks = append(n.out.Tasks, t)
}

// did takes the result of a task.
func (n *Node) did(res TaskResult) {
	done, ok := n.tasks.pending[res.ID]
	step.Assert(ok, "a task has one result, task %d", res.ID)
	delete(n.tasks.pending, res.ID)
	done(res)
}

// turns lets at most limit users go at once. The others wait in turn (rota), so that one which asks for much waits for
// itself.
type turns struct {
	limit int
	taken int
	queue rota[func()]
	busy  bool // begin is running
}

// take calls begin when it is the connection's turn, perhaps at once. Who was called calls give.
func (t *turns) take(c *conn, begin func()) {
	t.queue.add(c, begin)
	t.begin()
}

// give ends a turn.
func (t *turns) give() {
	t.taken--
	t.begin()
}

// begin lets go who can. Turns that end at once don't nest.
func (t *turns) begin() {
	if t.busy {
		return
	}
	t.busy = true
	for t.taken < t.limit {
		next, ok := t.queue.next()
		if !ok {
			break
		}
		t.taken++
		next()
	}
	t.busy = false
}

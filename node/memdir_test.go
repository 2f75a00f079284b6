// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/wal"
)

// memDir is a directory in memory for tests of one node. It never loses anything; disks that do are
// the simulator's.
type memDir map[string]*memFile

type memFile struct {
	b    []byte
	fail error // of every read
	bad  int64 // a byte that can't be read, 0 if all can
}

func (d memDir) List() ([]string, error) {
	var names []string
	for name := range d {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

func (d memDir) Create(name string) (wal.File, error) {
	if d[name] != nil {
		return nil, fmt.Errorf("%s exists", name)
	}
	d[name] = &memFile{}
	return d[name], nil
}

func (d memDir) Open(name string) (wal.File, error) {
	if d[name] == nil {
		return nil, fmt.Errorf("%s does not exist", name)
	}
	return d[name], nil
}

func (d memDir) Remove(name string) error { delete(d, name); return nil }
func (d memDir) SyncDir() error           { return nil }

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	switch {
	case f.fail != nil:
		return 0, f.fail
	case f.bad >= off && f.bad < off+int64(len(p)) && f.bad > 0:
		return 0, wal.ErrUnreadable
	case off >= int64(len(f.b)):
		return 0, io.EOF
	}
	n := copy(p, f.b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	if need := int(off) + len(p); need > len(f.b) {
		f.b = append(f.b, make([]byte, need-len(f.b))...)
	}
	return copy(f.b[off:], p), nil
}

func (f *memFile) Size() (int64, error) { return int64(len(f.b)), nil }
func (f *memFile) Sync() error          { return nil }
func (f *memFile) Close() error         { return nil }

// one is a cluster of one broker on a disk that answers at once.
type one struct {
	unread         int64         // bytes of answers, as the node is told
	total, longest Work          // of steps: all together, and the one that did most
	slowest        time.Duration // of the steps
	look           func(*Output) // at each step; nil: nobody does
	byHand         bool          // the test changes states by hand, so what is noted of them isn't checked
	t              *testing.T
	dir            memDir
	cfg            Config
	node           *Node
	now            Time
	done           []TaskResult
	results        []wal.Result
	replies        []Reply
	lastID         int32
	events         [EventKinds]int
}

func newOne(t *testing.T, change func(*Config)) *one {
	o := &one{t: t, dir: memDir{}, cfg: Config{
		ClusterID: "test", BrokerID: 1, AutoCreateTopics: true, ClockPatience: time.Second,
		Members: []Member{{ID: 1, Host: "localhost", Port: 9092}},
		Log:     wal.Options{SegmentBytes: 64 << 10},
	}}
	if change != nil {
		change(&o.cfg)
	}
	o.restart()
	return o
}

// restart opens the node again on its directory and steps it until it is ready.
func (o *one) restart() {
	var err error
	o.results = nil
	if o.node, err = Open(o.cfg, o.dir, o.now); err != nil {
		o.t.Fatal(err)
	}
	ready := o.events[EventReady]
	for range 10_000 { // groups are opened a few in each step
		if o.step(Input{}); o.events[EventReady] > ready {
			return
		}
	}
	o.t.Fatal("the node doesn't get ready")
}

// tally notes the work of a step, apart from taking and giving bytes.
func (o *one) tally(w Work) {
	w.Bytes = 0
	if w.Cost() > o.longest.Cost() {
		o.longest = w
	}
	o.total.Requests, o.total.Names, o.total.Parts, o.total.Elements, o.total.Entries =
		o.total.Requests+w.Requests, o.total.Names+w.Names, o.total.Parts+w.Parts, o.total.Elements+w.Elements, o.total.Entries+w.Entries
}

// step gives the node an input and carries out what it wants, until it is quiet.
func (o *one) step(in Input) {
	for range 20_000 {
		if o.tick(in) {
			return
		}
		in = Input{}
	}
	o.t.Fatal("the node doesn't come to rest")
}

// tick takes one step and carries out what the node wants, and reports whether it is quiet.
func (o *one) tick(in Input) bool {
	in.Now, in.UnixMs, in.Unread, in.Results, in.Done = o.now, int64(o.now)/1e6, o.unread, o.results, o.done
	begun := time.Now()
	out := o.node.Step(&in)
	o.slowest = max(o.slowest, time.Since(begun))
	if !o.byHand {
		checkNotes(o.t, o.node, out)
	}
	o.results, o.done = nil, nil
	o.tally(out.Work)
	if o.look != nil {
		o.look(out)
	}
	for i := range out.Tasks {
		o.done = append(o.done, out.Tasks[i].Do())
	}
	for _, op := range out.Ops {
		o.results = append(o.results, wal.Do(o.dir, op))
	}
	for _, e := range out.Events {
		o.events[e.Kind]++
	}
	if out.End != nil {
		o.t.Fatal(out.End)
	}
	o.replies = append(o.replies, out.Replies...)
	if len(o.results)+len(o.done) > 0 {
		return false
	}
	o.now = max(o.now, min(out.Wake, o.now.Add(20*time.Millisecond)))
	return true
}

// ask sends a request and returns its answer, which may take some time on the node's clock.
func (o *one) ask(req kmsg.Request) kmsg.Response {
	o.t.Helper()
	o.lastID++
	o.step(Input{Requests: []Request{{Conn: 1, Frame: kafka.AppendRequest(nil, o.lastID, "test", req)}}})
	for range 1000 {
		if len(o.replies) > 0 {
			r := o.replies[0]
			o.replies = o.replies[1:]
			if r.Close {
				o.t.Fatalf("%T was refused", req)
			}
			resp := req.ResponseKind()
			resp.SetVersion(req.GetVersion())
			if id, err := kafka.ParseResponse(kafka.Frame(r.Frame).Bytes(), resp); err != nil || id != o.lastID {
				o.t.Fatalf("answer %d of %T: %v", id, req, err)
			}
			return resp
		}
		o.step(Input{})
	}
	o.t.Fatalf("no answer to %T", req)
	return nil
}

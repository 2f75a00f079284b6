// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"strings"

	"chronik/kafka"
)

// This file and describe_*.go print an Input and an Output so that a person can follow. What they print depends on
// nothing but what they are given. They never print what belongs to users: keys and values of records, values of
// settings, credentials, and the bytes that members of consumer groups exchange. Those show as a number of bytes.
//
// How things are written: g3 is raft group 3, t5 a term, i40 an entry, i40..42 some of them, c39 a commit index; 1->2 a
// raft message from a replica on broker 1 to one on broker 2. Lines of an Input begin with <, those of an Output with >,
// apart from events.

// description collects lines. Of each kind of thing it takes at most limit, and counts the rest.
type description struct {
	limit int
	lines []string
	kind  string // of the lines that are added now
	count int    // of them
}

// DescribeInput returns a line for each thing in an Input, at most limit of each kind, and how many more there are.
func DescribeInput(in *Input, limit int) []string {
	d := &description{limit: limit}
	for i := range in.Results {
		d.add("results", "< %s", text(func() string { return describeResult(&in.Results[i]) }))
	}
	for i := range in.Done {
		d.add("task results", "< %s", text(func() string { return describeTaskResult(&in.Done[i]) }))
	}
	for i := range in.Messages {
		m := &in.Messages[i]
		describeEnvelope(m.Data, func(item text) { d.add("items of messages", "< %s", peerLine("from", m.From, item)) })
	}
	for _, id := range in.Lost {
		d.add("lost connections", "< lost connection from %d", id)
	}
	for i := range in.Requests {
		r := &in.Requests[i]
		d.add("requests", "< conn %d %s", r.Conn, text(func() string { return describeRequest(r.Frame) }))
	}
	for _, c := range in.Hangups {
		d.add("hangups", "< conn %d hangs up", c)
	}
	if in.Unread > 0 {
		d.add("unread", "< %d bytes of answers are unread", in.Unread)
	}
	if in.Stop {
		d.add("stop", "< stop")
	}
	return d.done()
}

// DescribeOutput returns a line for each thing in an Output, at most limit of each kind, and how many more there are.
func DescribeOutput(out *Output, limit int) []string {
	d := &description{limit: limit}
	for i := range out.Events {
		d.add("events", "%s", text(func() string { return describeEvent(&out.Events[i]) }))
	}
	for i := range out.Messages {
		m := &out.Messages[i]
		describeEnvelope(kafka.Frame(m.Pieces).Bytes(), func(item text) { d.add("items of messages", "> %s", peerLine("to", m.To, item)) })
	}
	for i := range out.Ops {
		d.add("operations", "> %s", text(func() string { return describeOp(&out.Ops[i]) }))
	}
	for i := range out.Tasks {
		d.add("tasks", "> %s", text(func() string { return describeTask(&out.Tasks[i]) }))
	}
	for i := range out.Replies {
		d.add("replies", "> conn %d %s", out.Replies[i].Conn, text(func() string { return describeReply(&out.Replies[i]) }))
	}
	if out.Members != nil {
		d.add("members", "> members are %s", text(func() string { return listMembers(out.Members) }))
	}
	if out.Stopped {
		d.add("stopped", "> stopped")
	}
	if out.End != nil {
		d.add("end", "> ENDS %v", out.End)
	}
	return d.done()
}

func (d *description) add(kind, format string, args ...any) {
	if kind != d.kind {
		d.end()
		d.kind, d.count = kind, 0
	}
	if d.count++; d.count <= d.limit {
		d.lines = append(d.lines, shorten(fmt.Sprintf(format, args...), maxDescribed))
	}
}

func (d *description) end() {
	if d.count > d.limit {
		d.lines = append(d.lines, fmt.Sprintf("... and %d more %s", d.count-d.limit, d.kind))
	}
}

func (d *description) done() []string {
	d.end()
	return d.lines
}

func describeEvent(e *Event) string {
	return strings.TrimRight(fmt.Sprintf("event %v group=%d term=%d n=%d %s", e.Kind, e.Group, e.Term, e.N, e.Text), " ")
}

func listMembers(ms []Member) string {
	return listed(len(ms), 12, ", ", func(i int) string { return fmt.Sprintf("%d at %s", ms[i].ID, ms[i].Peer) })
}

func describeTask(t *Task) string {
	s := fmt.Sprintf("task %d %v %d bytes", t.ID, t.Kind, len(t.Batch))
	switch t.Kind {
	case TaskFind:
		s += fmt.Sprintf(", since %d from record %d", t.Since, t.From)
	case TaskKeys, TaskKeep:
		s += fmt.Sprintf(", base offset %d", t.Base)
	}
	return s
}

func describeTaskResult(r *TaskResult) string {
	s := fmt.Sprintf("task %d is done", r.ID)
	if r.Err != nil {
		return s + ": " + kafka.CodeName(kafka.Code(r.Err))
	}
	if r.At >= 0 {
		s += fmt.Sprintf(": record %d", r.At)
	}
	if len(r.Batch) > 0 {
		s += fmt.Sprintf(": %d bytes left", len(r.Batch))
	}
	return s
}

// String returns what a task of the kind does.
func (k TaskKind) String() string {
	names := [...]string{"unknown", "check", "find", "keys", "keep"}
	if int(k) < len(names) {
		return names[k]
	}
	return names[0]
}

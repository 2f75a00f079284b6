// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"log/slog"
	"time"

	"chronik/node"
)

// events turns the node's events into lines for people, for the kinds that somebody may have to
// act on or will want to know after an incident; the others are only counted.
type events struct {
	log    *slog.Logger
	ready  func() // called once, at the node's EventReady
	counts [node.EventKinds]uint64
	second int64 // in which the lines below were written
	lines  [node.EventKinds]int
	tells  map[node.EventKind]*teller // of the kinds that others cause by what they send
}

// tellKinds are the events that say what is wrong with something that came from elsewhere.
var tellKinds = []node.EventKind{node.EventRequestRefused, node.EventEnvelopeRefused, node.EventCommandRefused, node.EventCreationRefused, node.EventSecondProcess, node.EventLoginFailed, node.EventAccessDenied}

func newEvents(log *slog.Logger, ready func()) events {
	e := events{log: log, ready: ready, tells: make(map[node.EventKind]*teller)}
	for _, kind := range tellKinds {
		e.tells[kind] = &teller{log: log}
	}
	return e
}

// linesPerSecond bounds the lines of one kind: it keeps an election of ten thousand groups, or a client that makes
// topics, from drowning the log. What is left out is still counted.
const linesPerSecond = 50

type eventLine struct {
	level slog.Level
	text  string
	n     string // the name of Event.N; "" if it says nothing
}

var eventLines = map[node.EventKind]eventLine{
	node.EventBecameLeader:      {slog.LevelInfo, "leads a group", ""},
	node.EventLostLeadership:    {slog.LevelInfo, "no longer leads a group", ""},
	node.EventTermsRunOut:       {slog.LevelError, "a group uses up its leader epochs, which elections can't have done: some broker, or somebody who knows the cluster secret, says what isn't so. Change the secret; long before none are left, copy the records to a new topic", "left"},
	node.EventSecondProcess:     {slog.LevelError, "two processes have one broker_id; the second one is shut out, and ends", "broker"},
	node.EventFoundersDiffer:    {slog.LevelError, "the founders of the cluster don't agree", "broker"},
	node.EventNotReady:          {slog.LevelWarn, "not ready yet", ""},
	node.EventLeadershipMoved:   {slog.LevelInfo, "handed a group over", "to"},
	node.EventGaveWay:           {slog.LevelInfo, "asked another broker to lead a group, since most have no room for what this one holds of it", "to"},
	node.EventTornTail:          {slog.LevelWarn, "cut a torn tail off the log: the last write before the crash was never acknowledged", "bytes"},
	node.EventRecovered:         {slog.LevelInfo, "recovered the log", "entries"},
	node.EventTopicCreated:      {slog.LevelInfo, "a topic was created", ""},
	node.EventTwoReplicas:       {slog.LevelWarn, "a topic was created with two replicas: it takes no records while either of their brokers is down; with three it survives the loss of one, with one it depends on one broker only", ""},
	node.EventCreationRefused:   {slog.LevelWarn, "a limit refuses what a client asks for", ""},
	node.EventTopicDeleted:      {slog.LevelInfo, "a topic was deleted", ""},
	node.EventBrokerRegistered:  {slog.LevelInfo, "a broker is registered", "broker"},
	node.EventEntryRefused:      {slog.LevelError, "an entry of the log means nothing to this version and has no effect", "entry"},
	node.EventCommandRefused:    {slog.LevelWarn, "refused a command to the catalog, which is of another release or no command at all", "broker"},
	node.EventEnvelopeRefused:   {slog.LevelWarn, "refused an envelope from a broker", "broker"},
	node.EventAudited:           {slog.LevelInfo, "audit", ""},
	node.EventAccessDenied:      {slog.LevelInfo, "a client lacks a right", ""},
	node.EventRequestRefused:    {slog.LevelWarn, "refused a request and hung up", ""},
	node.EventLoginFailed:       {slog.LevelWarn, "a login failed", ""},
	node.EventReadFailed:        {slog.LevelError, "a read of the log failed and is tried again; see to the disk, and to the limits of this process", "entry"},
	node.EventReplicaDamaged:    {slog.LevelError, "the disk gives back other bytes than were written: a replica is closed, and re-created from the others if there are any", "entry"},
	node.EventDiskFull:          {slog.LevelWarn, "the disk is full (1) or has space again (0): while it is full, this broker takes no records and hands its leaderships over; make room, then it goes on by itself", "full"},
	node.EventBrokerRemoved:     {slog.LevelWarn, "a broker was removed from the cluster; if it still runs, it ends by itself", "broker"},
	node.EventReplicasChanged:   {slog.LevelInfo, "the replicas of a group changed", "voters"},
	node.EventSnapshotInstalled: {slog.LevelInfo, "took a checkpoint from the leader of a group", "entry"},
	node.EventGroupMemberLost:   {slog.LevelInfo, "a member of a consumer group was silent for too long", ""},
	node.EventTxnTimedOut:       {slog.LevelWarn, "a transaction took longer than its client's transaction.timeout.ms and is aborted", ""},
	node.EventGroupExpired:      {slog.LevelInfo, "a consumer group without members expired with its offsets", ""},
	node.EventBrokerSilent:      {slog.LevelInfo, "a broker was not heard for an election timeout", "broker"},
	node.EventInSyncChanged:     {slog.LevelDebug, "other replicas are in sync than before", "in_sync"},
	node.EventProposalLost:      {slog.LevelInfo, "the fate of writes under way is unknown: leadership ended", "writes"},
}

func (e *events) report(list []node.Event) {
	for i := range list {
		ev := &list[i]
		if e.counts[ev.Kind]++; ev.Kind == node.EventReady && e.counts[ev.Kind] == 1 {
			e.ready()
		}
		if ev.Kind == node.EventErrorAnswered {
			e.answered(ev)
			continue
		}
		line, ok := eventLines[ev.Kind]
		switch tell := e.tells[ev.Kind]; {
		case !ok:
		case tell != nil:
			tell.tell(line.level, line.text, ev.Text, line.attrs(ev)...)
		case e.mayLog(ev.Kind):
			e.write(line, ev)
		}
	}
}

// slogLevel is a level of the node's, which steps by one, in package slog.
func slogLevel(l node.LogLevel) slog.Level { return 4 * slog.Level(l) }

// nodeLogLevel is the other way round, for a level between two of them the lower one.
func nodeLogLevel(l *slog.LevelVar) node.LogLevel {
	if l == nil {
		return node.LogInfo
	}
	return node.LogLevel(min(max(l.Level()>>2, slog.LevelDebug>>2), slog.LevelError>>2))
}

// answered tells of an error that a client gets. The node has seen to it that they aren't many.
func (e *events) answered(ev *node.Event) {
	a := ev.Audit
	attrs := []slog.Attr{
		slog.String("error", a.Outcome), slog.String("reason", ev.Text), slog.String("api", a.API), slog.String("resource", a.Resource), slog.Int64("connection", ev.N),
		slog.String("principal", a.Principal), slog.String("client_id", a.Client), slog.String("address", a.Address), slog.String("listener", a.Listener),
	}
	if ev.Term > 0 {
		attrs = append(attrs, slog.Uint64("left_out", ev.Term))
	}
	e.log.LogAttrs(context.Background(), slog.LevelDebug, "a client gets an error", attrs...)
}

func (e *events) write(line eventLine, ev *node.Event) {
	attrs := line.attrs(ev)
	if ev.Text != "" {
		attrs = append(attrs, slog.String("what", ev.Text))
	}
	e.log.LogAttrs(context.Background(), line.level, line.text, attrs...)
}

// attrs are the numbers of an event.
func (line eventLine) attrs(ev *node.Event) []slog.Attr {
	attrs := make([]slog.Attr, 0, 4)
	if ev.Kind == node.EventBrokerRemoved {
		attrs = append(attrs, slog.Uint64("incarnation", ev.Term))
	} else if ev.Term != 0 {
		attrs = append(attrs, slog.Uint64("group", uint64(ev.Group)), slog.Uint64("term", ev.Term))
	} else if ev.Group != 0 {
		attrs = append(attrs, slog.Uint64("group", uint64(ev.Group)))
	}
	if line.n != "" {
		attrs = append(attrs, slog.Int64(line.n, ev.N))
	}
	if a := ev.Audit; a != nil {
		attrs = append(attrs, auditAttrs(*a)...)
	}
	return attrs
}

// auditAttrs are the same for all lines about what a client did or may not do, also if it did it at the admin port.
func auditAttrs(a node.Audit) []slog.Attr {
	return []slog.Attr{
		slog.String("principal", a.Principal), slog.String("client_id", a.Client), slog.String("address", a.Address), slog.String("listener", a.Listener),
		slog.String("api", a.API), slog.String("resource", a.Resource), slog.String("outcome", a.Outcome),
	}
}

func (e *events) mayLog(kind node.EventKind) bool {
	if now := time.Now().Unix(); now != e.second {
		for kind, n := range e.lines {
			if left := n - linesPerSecond; left > 0 {
				e.log.Warn("left out lines about events", "count", left, "like", eventLines[node.EventKind(kind)].text)
			}
		}
		e.second = now
		clear(e.lines[:])
	}
	e.lines[kind]++
	return e.lines[kind] <= linesPerSecond
}

// stop writes nothing any more by itself.
func (e *events) stop() {
	for _, t := range e.tells {
		t.stop()
	}
}

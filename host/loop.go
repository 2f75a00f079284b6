// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"chronik/node"
)

// slowStep is a step that is worth a line: everybody waited for it.
const slowStep = 100 * time.Millisecond

// loop is the one goroutine that steps the node.
type loop struct {
	step     func(*node.Input) *node.Output
	sofar    func() *node.Output // what a step wanted that panicked; nil: not known
	mail     *mailbox
	clock    clock
	log      *slog.Logger
	logLevel *slog.LevelVar // nil: it stays as it is
	stopTime time.Duration

	clients *clients
	peers   *peers
	disk    *disk
	tasks   *tasks

	events  events
	steps   uint64
	longest time.Duration
	over    uint64 // steps that did more than their budget allows

	overLine, slowLine teller

	started time.Time
	last    [16]inputSummary // the newest inputs, for the text of a panic
	input   *node.Input      // of the step under way
}

// run steps the node until it has stopped (nil) or is at its end.
func (l *loop) run() (err error) {
	defer func() {
		if broken := recover(); broken != nil {
			stack := debug.Stack()
			err = fmt.Errorf("%w: %v\n%slast inputs, the newest last:\n%s\n%s", ErrBroken, broken, l.brokenStep(), l.lastInputs(), stack)
		}
	}()
	l.started = time.Now()
	l.overLine.log, l.slowLine.log = l.log, l.log
	var wake, giveUp node.Time
	for {
		in := l.mail.take(l.clock, wake)
		in.Unread = l.clients.unread.Load()
		out := l.timedStep(in)
		l.peers.consumed(in.Messages)
		l.carryOut(out)
		wake = out.Wake
		if out.End != nil {
			return out.End
		}
		if !in.Stop {
			continue
		}
		if giveUp == 0 {
			giveUp = in.Now.Add(l.stopTime)
		}
		if out.Stopped {
			return nil
		}
		if in.Now >= giveUp {
			return fmt.Errorf("the clean stop took longer than %v and was given up; nothing acknowledged is lost", l.stopTime)
		}
		wake = min(wake, giveUp)
	}
}

// timedStep steps the node and remembers how long it took and on what.
func (l *loop) timedStep(in *node.Input) *node.Output {
	l.last[l.steps%uint64(len(l.last))] = summarize(in)
	l.steps++
	l.input = in
	out := l.step(in)
	l.input = nil
	took := l.clock.now().Sub(in.Now)
	if !out.Work.Within(node.StepBudget) {
		l.over++
		l.overLine.tell(slog.LevelWarn, "a step did more than its budget allows; please report it as a bug", "", slog.String("work", fmt.Sprintf("%+v", out.Work)),
			slog.Duration("took", took), slog.Any("input", summarize(in)))
	}
	l.longest = max(l.longest, took)
	if took > slowStep {
		l.slowLine.tell(slog.LevelWarn, "a slow step: everything waited for it", "", slog.Duration("took", took), slog.Any("input", summarize(in)))
	}
	return out
}

// stopLines ends the lines that would come later.
func (l *loop) stopLines() {
	l.events.stop()
	l.overLine.stop()
	l.slowLine.stop()
}

// carryOut starts everything the node wants done, what takes longest first.
func (l *loop) carryOut(out *node.Output) {
	l.disk.do(out.Ops)
	l.tasks.do(out.Tasks)
	if out.Members != nil {
		l.peers.update(out.Members)
	}
	if out.Rates != nil {
		l.clients.rates.update(out.Rates)
	}
	if out.LogLevel != nil {
		l.setLogLevel(*out.LogLevel)
	}
	l.peers.send(out.Messages)
	l.clients.deliver(out.Replies)
	l.events.report(out.Events)
}

// setLogLevel says so at the lower of the two levels, so that the line is there whenever one of them lets it.
func (l *loop) setLogLevel(to node.LogLevel) {
	if l.logLevel == nil {
		return
	}
	was, level := l.logLevel.Level(), slogLevel(to)
	l.logLevel.Set(min(was, level))
	l.log.Info("the level of this log was set, until the broker ends", "was", was, "is", level)
	l.logLevel.Set(level)
}

func (l *loop) summary() {
	l.log.Info("stopped stepping", "up", time.Since(l.started).Round(time.Millisecond),
		"steps", l.steps, "longest_step", l.longest)
}

// inputSummary is what an input was made of.
type inputSummary struct {
	now                                         node.Time
	requests, messages, results, tasks, hangups int
	requestBytes, messageBytes, readBytes       int
	failed                                      int // results with an error
	stop                                        bool
}

func summarize(in *node.Input) inputSummary {
	s := inputSummary{
		now: in.Now, stop: in.Stop, hangups: len(in.Hangups),
		requests: len(in.Requests), messages: len(in.Messages), results: len(in.Results), tasks: len(in.Done),
	}
	for i := range in.Requests {
		s.requestBytes += len(in.Requests[i].Frame)
	}
	for i := range in.Messages {
		s.messageBytes += len(in.Messages[i].Data)
	}
	for i := range in.Results {
		s.readBytes += len(in.Results[i].Data)
		if in.Results[i].Err != nil {
			s.failed++
		}
	}
	return s
}

func (s inputSummary) String() string {
	text := fmt.Sprintf("at %v: %d requests (%d bytes), %d messages (%d bytes), %d results (%d bytes read, %d failed), %d tasks done, %d hangups",
		time.Duration(s.now), s.requests, s.requestBytes, s.messages, s.messageBytes, s.results, s.readBytes, s.failed, s.tasks, s.hangups)
	if s.stop {
		text += ", stop"
	}
	return text
}

func (l *loop) lastInputs() string {
	var b strings.Builder
	n := uint64(len(l.last))
	for i := l.steps - min(l.steps, n); i < l.steps; i++ {
		fmt.Fprintf(&b, "  %d %v\n", i, l.last[i%n])
	}
	return b.String()
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"time"

	"chronik/tests/rig"
)

// copier is a system that copies the values of one topic to another, until it is told to end.
type copier struct {
	name   string
	output func(in, out string) string                                  // the topic that it writes; nil: out
	cmd    func(in, out, group string, exactly bool) (*exec.Cmd, error) // exactly: by transactions
}

// A system that is to be killed gets small pieces, with pauses: some make a transaction of each record.
const (
	smallPiece = 50
	checkPause = 20 * time.Millisecond
)

// copying is what all systems that copy are asked.
func (b *bench) copying(c copier) []check {
	return []check{
		{records, func(ctx context.Context) error { return b.copied(ctx, c, false) }},
		{resume, func(ctx context.Context) error { return b.copied(ctx, c, true) }},
	}
}

// copied has a system copy, and, if it is to resume, copy more after an orderly end and a new start.
func (b *bench) copied(ctx context.Context, c copier, again bool) error {
	in, out, err := b.inAndOut(ctx, c)
	if err != nil {
		return err
	}
	all := values(in, piece)
	if err := b.round(ctx, c, in, out, all, all); err != nil || !again {
		return err
	}
	more := values(in+"-again", piece)
	return b.round(ctx, c, in, out, more, append(all, more...))
}

// round starts a system, gives it values, expects all that it should have copied by then, and has it end.
func (b *bench) round(ctx context.Context, c copier, in, out string, give, all []string) error {
	cmd, err := c.cmd(in, out, in+"-group", false)
	if err != nil {
		return err
	}
	p, err := b.start(c.name, cmd)
	if err != nil {
		return err
	}
	defer p.kill()
	if err := b.write(ctx, in, give); err != nil {
		return err
	}
	if err := b.expect(ctx, c.topic(in, out), all); err != nil {
		return p.explain(err)
	}
	return p.stop()
}

func (c copier) topic(in, out string) string {
	if c.output == nil {
		return out
	}
	return c.output(in, out)
}

func (b *bench) inAndOut(ctx context.Context, c copier) (in, out string, err error) {
	if in, err = b.topic(ctx, c.name+"-in"); err != nil {
		return "", "", err
	}
	out, err = b.topic(ctx, c.name+"-out")
	return in, out, err
}

// exact has a system copy by transactions, kills it twice half-way, and expects each value once.
func (b *bench) exact(c copier) check {
	return check{exactlyOnce, func(ctx context.Context) error {
		in, out, err := b.inAndOut(ctx, c)
		if err != nil {
			return err
		}
		var all []string
		for i := range 3 {
			if all, err = b.exactRound(ctx, c, in, out, all, i); err != nil {
				return fmt.Errorf("start %d: %w", i+1, err)
			}
		}
		return nil
	}}
}

// exactRound gives a system values in small pieces; the last round waits for all, the others end in the middle.
func (b *bench) exactRound(ctx context.Context, c copier, in, out string, all []string, i int) ([]string, error) {
	cmd, err := c.cmd(in, out, in+"-group", true)
	if err != nil {
		return nil, err
	}
	p, err := b.start(c.name, cmd)
	if err != nil {
		return nil, err
	}
	defer p.kill()
	begin := len(all)
	for part := range 20 {
		more := values(fmt.Sprintf("%s-%d-%d", in, i, part), smallPiece)
		if err := b.write(ctx, in, more); err != nil {
			return nil, err
		}
		all = append(all, more...)
		if part == 0 { // killed before it has begun would prove nothing
			if err := b.begun(ctx, c.topic(in, out), begin); err != nil {
				return nil, p.explain(err)
			}
		}
		if err := rig.Pause(ctx, checkPause); err != nil {
			return nil, err
		}
	}
	if i < 2 {
		return all, nil
	}
	return all, p.explain(b.expect(ctx, c.topic(in, out), slices.Clone(all)))
}

// begun waits until a topic has more than n values.
func (b *bench) begun(ctx context.Context, topic string, n int) error {
	got, err := b.readSome(ctx, topic, n+1)
	if err == nil && len(got) <= n {
		err = fmt.Errorf("%s: no more than %d values came within %v", topic, len(got), patience)
	}
	return err
}

// SPDX-License-Identifier: Apache-2.0

package node

import "slices"

// commandQueue holds the commands that are not under way yet, in a line for each connection and one for the broker
// itself. Lines are served in turn, the broker's own every other time, so that a client with thousands of commands
// delays one with a single command by one of them. Each line keeps its order. What connections hold is
// bounded by number and by bytes; see waits.go for how they share.
type commandQueue struct {
	own     commandLine
	lines   []*commandLine // of connections, the next one first; none is empty
	ownTurn bool
	waiting int // commands in all lines

	count, bytes pool // of connections, the command under way included
}

// commandLine is the commands of a connection, oldest first, and what they hold with the one under way.
type commandLine struct {
	list         []*pendingCommand
	count, bytes int64
}

// smallCommand is the size up to which a connection may always have one.
const smallCommand = 1 << 10

// take takes a place for a connection's command, if its share is that large.
func (q *commandQueue) take(line *commandLine, size int64) bool {
	small := line.count == 0 && size <= smallCommand
	if !small && !(q.count.fits(line.count, 1) && q.bytes.fits(line.bytes, size)) {
		return false
	}
	q.count.used++
	q.bytes.used += size
	line.count++
	line.bytes += size
	return true
}

// leave gives the place of a command back.
func (q *commandQueue) leave(p *pendingCommand) {
	if p.request == nil {
		return
	}
	line := &p.request.conn.commands
	q.count.give(1)
	q.bytes.give(p.size)
	line.count--
	line.bytes -= p.size
}

func (q *commandQueue) add(p *pendingCommand) {
	line := &q.own
	if p.request != nil {
		line = &p.request.conn.commands
		if len(line.list) == 0 {
			q.lines = append(q.lines, line)
		}
	}
	line.list = append(line.list, p)
	q.waiting++
}

// next takes out the command whose turn it is, nil if there is none.
func (q *commandQueue) next() *pendingCommand {
	own := len(q.own.list) > 0 && (q.ownTurn || len(q.lines) == 0)
	q.ownTurn = !own
	switch {
	case own:
		return q.pop(&q.own)
	case len(q.lines) == 0:
		return nil
	}
	line := q.lines[0]
	q.lines[0] = nil
	q.lines = q.lines[1:]
	p := q.pop(line)
	if len(line.list) > 0 {
		q.lines = append(q.lines, line)
	}
	return p
}

func (q *commandQueue) pop(line *commandLine) *pendingCommand {
	p := line.list[0]
	line.list[0] = nil
	line.list = line.list[1:]
	q.waiting--
	return p
}

// forget takes out the commands that nobody waits for.
func (q *commandQueue) forget() {
	q.lines = slices.DeleteFunc(q.lines, func(line *commandLine) bool {
		line.list = slices.DeleteFunc(line.list, func(p *pendingCommand) bool {
			if !p.abandoned() {
				return false
			}
			q.waiting--
			q.leave(p)
			return true
		})
		return len(line.list) == 0
	})
}

// hangUp drops the line of a connection that is gone.
func (q *commandQueue) hangUp(line *commandLine) {
	if len(line.list) == 0 {
		return
	}
	for _, p := range line.list {
		q.leave(p)
	}
	q.waiting -= len(line.list)
	line.list = nil
	q.lines = slices.DeleteFunc(q.lines, func(l *commandLine) bool { return l == line })
}

// size estimates the memory that a command takes while it waits. A request of few bytes can ask for thousands of
// partitions.
func (c *command) size() int64 {
	size := int64(256)
	lists := func(all [][]BrokerID) {
		for _, list := range all {
			size += 24 + 4*int64(len(list))
		}
	}
	configs := func(all []configValue) {
		for _, v := range all {
			size += 32 + int64(len(v.Name)+len(v.Value))
		}
	}
	switch {
	case c.CreateTopic != nil:
		lists(c.CreateTopic.Replicas)
		configs(c.CreateTopic.Configs)
	case c.AddPartitions != nil:
		lists(c.AddPartitions.Replicas)
	case c.AlterConfigs != nil:
		configs(c.AlterConfigs.Configs)
	case c.Reassign != nil:
		size += 4 * int64(len(c.Reassign.Replicas))
	}
	return size
}

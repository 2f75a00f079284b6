// SPDX-License-Identifier: Apache-2.0

package node

// commandQueue holds the commands that are not under way yet: those of connections in turn (rota), and those of the broker
// itself, which is served every other time. So a client with thousands of commands, or thousands of connections,
// delays one with a single command by one of them. What connections hold is bounded by number and by bytes; see
// waits.go for how they share.
type commandQueue struct {
	own     []*pendingCommand // oldest first
	clients rota[*pendingCommand]
	ownTurn bool

	count, bytes pool // of connections, the command under way included
}

// commandShare is what the commands of a connection, or of an address, hold.
type commandShare struct{ count, bytes int64 }

// smallCommand is the size up to which a connection may always have one.
const smallCommand = 1 << 10

// waiting is how many commands are in it.
func (q *commandQueue) waiting() int { return len(q.own) + q.clients.len }

// take takes a place for a connection's command, if its share is that large.
func (q *commandQueue) take(c *conn, size int64) bool {
	small := c.commands.count == 0 && size <= smallCommand
	if !small && !(q.count.fits(c.commands.count, c.from.commands.count, 1) && q.bytes.fits(c.commands.bytes, c.from.commands.bytes, size)) {
		return false
	}
	q.count.used++
	q.bytes.used += size
	c.commands.add(1, size)
	c.from.commands.add(1, size)
	return true
}

func (s *commandShare) add(count, bytes int64) {
	s.count += count
	s.bytes += bytes
}

// leave gives the place of a command back.
func (q *commandQueue) leave(p *pendingCommand) {
	if p.request == nil {
		return
	}
	c := p.request.conn
	q.count.give(1)
	q.bytes.give(p.size)
	c.commands.add(-1, -p.size)
	c.from.commands.add(-1, -p.size)
}

func (q *commandQueue) add(p *pendingCommand) {
	if p.request == nil {
		q.own = append(q.own, p)
		return
	}
	q.clients.add(p.request.conn, p)
}

// next takes out the command whose turn it is, nil if there is none.
func (q *commandQueue) next() *pendingCommand {
	own := len(q.own) > 0 && (q.ownTurn || q.clients.len == 0)
	q.ownTurn = !own
	if own {
		return takeFirst(&q.own)
	}
	p, _ := q.clients.next()
	return p
}

// forget takes out the commands that nobody waits for.
func (q *commandQueue) forget() {
	q.clients.forget(func(p *pendingCommand) bool {
		if p.abandoned() {
			q.leave(p)
			return true
		}
		return false
	})
}

// hangUp drops the commands of a connection that is gone.
func (q *commandQueue) hangUp(c *conn) {
	for _, p := range q.clients.drop(c) {
		q.leave(p)
	}
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
	case c.Configure != nil:
		size += int64(len(c.Configure.Name))
		configs(c.Configure.Configs)
	case c.CreateRules != nil:
		for i := range c.CreateRules.Rules {
			size += c.CreateRules.Rules[i].Bytes()
		}
	case c.DeleteRules != nil:
		size += c.DeleteRules.Filter.Bytes()
	case c.ChangeQuotas != nil:
		size += c.ChangeQuotas.size()
	case c.ChangeUser != nil:
		size += int64(len(c.ChangeUser.Name))
		if set := c.ChangeUser.Set; set != nil {
			size += int64(len(set.Salt) + len(set.StoredKey) + len(set.ServerKey) + len(c.ChangeUser.Key))
		}
	case c.Reassign != nil:
		size += 4 * int64(len(c.Reassign.Replicas))
	}
	return size
}

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"

	pb "go.etcd.io/raft/v3/raftpb"
)

// Clients' reads of old entries take turns, as tasks do: each costs up to Config.ColdReadBytes until its result has
// been taken, and one connection could ask for thousands at once.
const (
	coldAtOnce   = 32 // reads for clients under way
	coldOfReader = 16 // of them, or waiting for a turn, for one fetch or search
)

// entryWait is a fetch or a search that may have to wait for old entries.
type entryWait struct {
	request *request
	ready   func()    // looks again, whether or not the request is over
	in      []GroupID // of which it waits for a read, each once
}

// entry returns an entry from memory, or nil: then a read was asked for, and the reader looks again when it
// is done. An error says that it can't be read at all.
func (n *Node) entry(p *partition, index uint64, rd *entryWait) (*pb.Entry, error) {
	if e := p.group.view.entry(index); e != nil {
		n.counters.hotHits++
		return e, nil
	}
	if e := n.cold.lookup(p.group.id, index); e != nil {
		n.counters.cacheHits++
		return e, nil
	}
	if slices.Contains(p.group.unreadable, index) {
		return nil, errUnreadable
	}
	if len(rd.in) < coldOfReader && !slices.Contains(rd.in, p.group.id) {
		rd.in = append(rd.in, p.group.id)
		n.readFor(rd, p.group, index)
	}
	return nil, nil
}

// readFor reads an entry of a group, and those after it, for a reader: when its turn has come, or with a read that is
// under way.
func (n *Node) readFor(rd *entryWait, g *group, index uint64) {
	key := coldRead{g.id, index}
	if _, underWay := n.cold.reading[key]; underWay {
		n.coldFor[g.id] = append(n.coldFor[g.id], rd)
		return
	}
	n.tasks.colds.take(rd.request.conn, func() {
		_, underWay := n.cold.reading[key]
		_, there := n.log.Address(g.id, index)
		switch {
		case rd.request.over():
			rd.readyIn(g.id)
		case underWay:
			n.coldFor[g.id] = append(n.coldFor[g.id], rd)
		case n.byID[g.id] != g || !there || n.cold.lookup(g.id, index) != nil: // the world has moved on
			rd.readyIn(g.id)
		default:
			end := g.applied + 1
			if p := n.partitions[g.id]; p != nil {
				end = p.worthReading(index, end, n.cfg.ColdReadBytes)
			}
			if g.careful {
				end = index + 1
			}
			n.cold.read(g.id, index, end)
			n.cold.forClients[key] = true
			n.coldFor[g.id] = append(n.coldFor[g.id], rd)
			return
		}
		n.tasks.colds.give()
	})
}

// readyIn lets a reader look again: what it waited for in a group may be there.
func (rd *entryWait) readyIn(id GroupID) {
	rd.in = slices.DeleteFunc(rd.in, func(in GroupID) bool { return in == id })
	rd.ready()
}

// coldDone is called when a read of a group's old entries is done.
func (n *Node) coldDone(read coldRead, err error) {
	if g := n.group(read.group); g != nil && err != nil {
		n.damaged(g, read.first, err)
	} else if g != nil {
		g.kick()
	}
	if n.cold.forClients[read] {
		delete(n.cold.forClients, read)
		n.tasks.colds.give()
	}
	waiting := n.coldFor[read.group]
	delete(n.coldFor, read.group)
	for _, rd := range waiting {
		rd.readyIn(read.group) // which may wait again
	}
}

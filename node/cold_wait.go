// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"

	pb "go.etcd.io/raft/v3/raftpb"
)

// Clients' reads of old entries take turns, as tasks do. Each takes up to Config.ColdReadBytes of memory until its result
// is used, and one connection could ask for thousands at once.
const (
	coldAtOnce   = 32 // reads for clients under way, at most
	coldOfReader = 16 // reads of one fetch or search, under way or waiting for their turn, at most
)

// entryWait is a fetch or a search that may have to wait for old entries.
type entryWait struct {
	request *request
	again   func()    // looks again, whether or not the request is over
	in      []GroupID // groups in which it waits for a read, each once
}

// entry returns an entry from memory. If it isn't there, entry asks for a read and returns nil, and rd looks again when
// the read is done. An error says that the entry can't be read at all.
func (n *Node) entry(p *partition, index uint64, rd *entryWait) (*pb.Entry, error) {
	p.group.noteRead()
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
	if n.now < p.group.readAgain {
		return nil, errReadFailed
	}
	if len(rd.in) < coldOfReader && !slices.Contains(rd.in, p.group.id) {
		rd.in = append(rd.in, p.group.id)
		n.readFor(rd, p.group, index)
	}
	return nil, nil
}

// readFor reads an entry of a group, and those after it, for a reader. It waits for its turn, or joins a read that is
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
			rd.lookAgain(g.id)
		case underWay:
			n.coldFor[g.id] = append(n.coldFor[g.id], rd)
		case n.byID[g.id] != g || !there || n.cold.lookup(g.id, index) != nil: // the world has moved on
			rd.lookAgain(g.id)
		default:
			end := g.applied + 1
			if p := n.partitions[g.id]; p != nil {
				end = p.worthReading(index, end, n.cfg.ColdReadBytes)
			}
			n.cold.read(g.id, index, g.upTo(index, end))
			n.cold.forClients[key] = true
			n.coldFor[g.id] = append(n.coldFor[g.id], rd)
			return
		}
		n.tasks.colds.give()
	})
}

// lookAgain lets a reader look again: the entry that it waited for in a group may be in memory now.
func (rd *entryWait) lookAgain(id GroupID) {
	rd.in = slices.DeleteFunc(rd.in, func(in GroupID) bool { return in == id })
	rd.again()
}

// coldDone is called when a read of old entries is done. It wakes all readers that wait in the group, and raft.
func (n *Node) coldDone(read coldRead, err error) {
	if g := n.group(read.group); g != nil && err != nil {
		n.cantRead(g, read.first, err)
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
		rd.lookAgain(read.group) // which may wait again
	}
}

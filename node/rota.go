// SPDX-License-Identifier: Apache-2.0

package node

import "slices"

// source is an address that clients come from, and what all its connections hold together.
type source struct {
	host     string
	conns    int
	queued   []*conn // that have requests which are not begun, the next one first
	begun    int     // requests, not answered
	parked   int64   // bytes of fetches that wait for records
	waits    int64   // see Config.MaxWaits
	large    int64   // bytes, see large.go
	sessions int64   // bytes of fetch sessions
	commands commandShare
}

// sourceOf returns the address of a new connection.
func (n *Node) sourceOf(host string) *source {
	s := n.sources[host]
	if s == nil {
		s = &source{host: host}
		n.sources[host] = s
	}
	s.conns++
	return s
}

// leave takes a connection off its address. What it holds is given back by whoever took it.
func (s *source) leave(n *Node) {
	if s.conns--; s.conns == 0 && n.sources[s.host] == s {
		delete(n.sources, s.host)
	}
}

// rota is what connections wait for in turn. Addresses take turns, and so do the connections of an address; each
// gets what it asked for in its order. So whoever asks for much delays others by one of what it wants, however many
// connections it has.
type rota[T any] struct {
	order []*source // that have something, the next one first
	lines map[*source]*rotaLine[T]
	len   int
}

// rotaLine is the part of one address.
type rotaLine[T any] struct {
	order []*conn // that have something, the next one first
	items map[*conn][]T
}

// add puts something at the end of what a connection waits for.
func (r *rota[T]) add(c *conn, item T) {
	line := r.lines[c.from]
	if line == nil {
		if r.lines == nil {
			r.lines = make(map[*source]*rotaLine[T])
		}
		line = &rotaLine[T]{items: make(map[*conn][]T)}
		r.lines[c.from] = line
		r.order = append(r.order, c.from)
	}
	if len(line.items[c]) == 0 {
		line.order = append(line.order, c)
	}
	line.items[c] = append(line.items[c], item)
	r.len++
}

// next takes out what is next; false if there is nothing.
func (r *rota[T]) next() (item T, ok bool) {
	if r.len == 0 {
		return item, false
	}
	from := takeFirst(&r.order)
	line := r.lines[from]
	c := takeFirst(&line.order)
	items := line.items[c]
	item = takeFirst(&items)
	if len(items) > 0 {
		line.items[c] = items
		line.order = append(line.order, c)
	} else {
		delete(line.items, c)
	}
	if len(line.order) > 0 {
		r.order = append(r.order, from)
	} else {
		delete(r.lines, from)
	}
	r.len--
	return item, true
}

// first returns what is next. There must be something.
func (r *rota[T]) first() T {
	line := r.lines[r.order[0]]
	return line.items[line.order[0]][0]
}

// pass lets the other addresses go first.
func (r *rota[T]) pass() { r.order = append(r.order, takeFirst(&r.order)) }

// forget takes out all of which drop says that nobody waits for it.
func (r *rota[T]) forget(drop func(T) bool) {
	if r.len == 0 {
		return
	}
	r.len = 0
	r.order = slices.DeleteFunc(r.order, func(from *source) bool {
		line := r.lines[from]
		line.order = slices.DeleteFunc(line.order, func(c *conn) bool {
			items := slices.DeleteFunc(line.items[c], drop)
			if r.len += len(items); len(items) > 0 {
				line.items[c] = items
				return false
			}
			delete(line.items, c)
			return true
		})
		if len(line.order) > 0 {
			return false
		}
		delete(r.lines, from)
		return true
	})
}

// drop takes out all that a connection waits for.
func (r *rota[T]) drop(c *conn) (items []T) {
	line := r.lines[c.from]
	if line == nil || len(line.items[c]) == 0 {
		return nil
	}
	items = line.items[c]
	delete(line.items, c)
	line.order = slices.DeleteFunc(line.order, func(o *conn) bool { return o == c })
	if len(line.order) == 0 {
		delete(r.lines, c.from)
		r.order = slices.DeleteFunc(r.order, func(from *source) bool { return from == c.from })
	}
	r.len -= len(items)
	return items
}

// takeFirst takes the first element out of a list. The array of one that is empty then serves again.
func takeFirst[T any](list *[]T) T {
	first := (*list)[0]
	var zero T
	(*list)[0] = zero
	if len(*list) == 1 {
		*list = (*list)[:0]
	} else {
		*list = (*list)[1:]
	}
	return first
}

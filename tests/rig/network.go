// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"time"
)

// Network is a proxy in front of every broker's port for other brokers. It can cut each direction
// between two brokers: then nothing arrives, and nobody is told, as when packets are dropped; what
// was sent arrives when the cut is healed, as TCP sends it again.
type Network struct {
	mu        sync.Mutex
	cut       map[way]bool
	changed   chan struct{} // closed when cut changes
	listeners map[int]net.Listener
	open      map[net.Conn]way
	closed    bool
	wg        sync.WaitGroup
}

// way is a direction between two brokers.
type way struct{ from, to int }

func newNetwork() *Network {
	return &Network{
		cut: make(map[way]bool), changed: make(chan struct{}),
		listeners: make(map[int]net.Listener), open: make(map[net.Conn]way),
	}
}

// Cut cuts both directions between a broker and some others.
func (n *Network) Cut(id int, others ...int) {
	for _, o := range others {
		n.set(true, way{id, o}, way{o, id})
	}
}

// CutTo keeps what a broker sends from some others; it still hears them.
func (n *Network) CutTo(id int, others ...int) {
	for _, o := range others {
		n.set(true, way{id, o})
	}
}

// CutFrom keeps what some others send from a broker; they still hear it.
func (n *Network) CutFrom(id int, others ...int) {
	for _, o := range others {
		n.set(true, way{o, id})
	}
}

// Heal ends all cuts.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cut)
	n.tell()
}

// Reset breaks the connections between two brokers, so that both are told.
func (n *Network) Reset(a, b int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for sock, w := range n.open {
		if w == (way{a, b}) || w == (way{b, a}) {
			sock.Close()
		}
	}
}

func (n *Network) set(cut bool, ways ...way) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range ways {
		n.cut[w] = cut
	}
	n.tell()
}

func (n *Network) tell() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// wait returns when a direction is open; false if the network is closed.
func (n *Network) wait(w way) bool {
	for {
		n.mu.Lock()
		cut, closed, changed := n.cut[w], n.closed, n.changed
		n.mu.Unlock()
		if !cut || closed {
			return !closed
		}
		<-changed
	}
}

// serve listens for a broker.
func (n *Network) serve(id int, addr, behind string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.listeners[id] = l
	n.mu.Unlock()
	n.wg.Go(func() {
		for {
			sock, err := l.Accept()
			if err != nil {
				return
			}
			n.wg.Go(func() { n.connect(sock, id, behind) })
		}
	})
	return nil
}

// helloBytes is the beginning of what a broker says when it connects: "CHRK", a version (2 bytes), who
// it is and whom it looks for (4 each). See host/hello.go.
const helloBytes = 14

// connect passes on one connection to a broker.
func (n *Network) connect(dialer net.Conn, to int, behind string) {
	defer dialer.Close()
	head := make([]byte, helloBytes)
	dialer.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.ReadFull(dialer, head); err != nil {
		return
	}
	dialer.SetReadDeadline(time.Time{})
	there := way{int(binary.BigEndian.Uint32(head[6:])), to}
	back := way{there.to, there.from}
	if !n.wait(there) {
		return
	}
	listener, err := net.Dial("tcp", behind)
	if err != nil {
		return
	}
	defer listener.Close()
	if !n.track(there, dialer, listener) {
		return
	}
	defer n.untrack(dialer, listener)
	if _, err := listener.Write(head); err != nil {
		return
	}
	done := make(chan struct{})
	go func() {
		n.pass(back, listener, dialer)
		close(done)
	}()
	n.pass(there, dialer, listener)
	<-done
}

// pass passes bytes on in one direction, and in the end the end.
func (n *Network) pass(w way, from, to net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		k, err := from.Read(buf)
		if !n.wait(w) {
			break
		}
		if _, werr := to.Write(buf[:k]); err != nil || werr != nil {
			break
		}
	}
	from.Close()
	to.Close()
}

func (n *Network) track(w way, socks ...net.Conn) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range socks {
		n.open[s] = w
	}
	return !n.closed
}

func (n *Network) untrack(socks ...net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range socks {
		delete(n.open, s)
	}
}

func (n *Network) close() {
	n.mu.Lock()
	n.closed = true
	for _, l := range n.listeners {
		l.Close()
	}
	for s := range n.open {
		s.Close()
	}
	n.tell()
	n.mu.Unlock()
	n.wg.Wait()
}

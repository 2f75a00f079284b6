// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bufio"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"chronik/node"
)

const (
	handshakeTime = 2 * time.Second
	aliveEvery    = time.Second     // a link that has nothing to say says this often that it lives
	silenceTime   = 5 * time.Second // a link that says nothing for this long is dead

	// maxStrangers bounds the connections from brokers that are not in the cluster: those that are
	// about to join, and those that were removed. A new one takes the place of the oldest.
	maxStrangers = 16

	// maxHandshakes bounds the connections that have not said yet who they are, and maxGreetings those from one address, so that one
	// machine doesn't take the places of all others; one more is closed at once.
	maxHandshakes = 64
	maxGreetings  = 16

	// maxInbound bounds the connections from one broker: the newest, those before it which are dead or about to be, and
	// those of another process that has its id.
	maxInbound = 4
)

// peers is the listener for other brokers and one link to each of them; the node says who they are.
// What arrives goes to the mailbox; what is sent may be lost.
type peers struct {
	listener  net.Listener // nil for a broker that stays alone
	self      hello
	secrets   secrets       // of the cluster
	tls       *certificates // nil: brokers speak without TLS
	tlsMode   PeerTLS
	mail      *mailbox
	budget    *budget // bytes of messages in the mailbox and in the step
	linkBytes int     // of envelopes that wait for a connected peer
	log       *slog.Logger
	accept    teller // what is wrong with connections that are made to this broker
	greeted   teller
	ended     teller

	turns    *turns                    // of those that shake hands
	visits   func(sock net.Conn) error // serves one; nil: none are taken
	visitors gate

	quit chan struct{}
	wg   sync.WaitGroup

	mu        sync.Mutex
	kafka     map[string]node.BrokerID // brokers by the address that clients are told
	links     map[node.BrokerID]*link
	folders   map[node.BrokerID]string // ids of the brokers' data folders, of those that are known
	socks     map[net.Conn]bool
	proven    map[net.Conn]string // the secrets that connections were made with
	ways      map[uint64]way      // connections from brokers, by node.Message.Via
	nextWay   uint64
	inbound   map[node.BrokerID][]net.Conn // connections from each broker, the newest last
	strangers []node.BrokerID              // of inbound, the oldest first
	greeting  map[string]int               // connections that have not said yet who they are, by address
	greetings int                          // all of them
	closed    bool
}

// way is a connection from another broker.
type way struct {
	sock    net.Conn
	version uint16 // of the protocol that is spoken on it
}

// listenPeers binds addr, unless it is empty.
func listenPeers(addr, secret string, self hello, mail *mailbox, bytes int64, log *slog.Logger) (*peers, error) {
	p := &peers{
		self: self, mail: mail, log: log,
		secrets: secrets{list: []string{secret}, line: teller{log: log}},
		accept:  teller{log: log}, greeted: teller{log: log}, ended: teller{log: log},
		visitors: make(gate, maxVisits),
		links:    make(map[node.BrokerID]*link),
		folders:  make(map[node.BrokerID]string),
		budget:   newBudget(bytes), linkBytes: int(bytes),
		turns:   newTurns(),
		quit:    make(chan struct{}),
		socks:   make(map[net.Conn]bool),
		ways:    make(map[uint64]way),
		inbound: make(map[node.BrokerID][]net.Conn), greeting: make(map[string]int),
	}
	if addr == "" {
		return p, nil
	}
	if err := checkOpen(addr, secret); err != nil {
		return nil, err
	}
	l, err := listen(addr, "other brokers", "peer_listen")
	if err != nil {
		return nil, err
	}
	p.listener = l
	return p, nil
}

func (p *peers) start() {
	if p.listener == nil {
		return
	}
	if p.secrets.file != "" {
		p.wg.Go(p.watchSecrets)
	}
	p.wg.Go(func() {
		acceptAll(p.listener, &p.accept, p.quit, func(c net.Conn) { p.wg.Go(func() { p.receive(c) }) })
	})
}

// update sets the links to those to the given brokers. It opens links to new brokers, reopens those whose address has
// changed, and closes those to brokers that are no longer named.
func (p *peers) update(members []node.Member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	stale := maps.Clone(p.links)
	clear(p.folders)
	p.kafka = make(map[string]node.BrokerID, len(members))
	for _, m := range members {
		p.folders[m.ID] = m.Folder
		p.kafka[net.JoinHostPort(m.Host, strconv.Itoa(int(m.Port)))] = m.ID
		if l := p.links[m.ID]; l != nil && l.addr == m.Peer {
			delete(stale, m.ID)
		}
	}
	for id, l := range stale {
		l.stop()
		delete(p.links, id)
	}
	for _, m := range members {
		if m.ID != p.self.from && p.links[m.ID] == nil && m.Peer != "" {
			l := newLink(p, m.ID, m.Peer)
			p.links[m.ID] = l
			p.wg.Go(l.run)
		}
	}
}

// send queues the messages of one step. It never blocks.
func (p *peers) send(msgs []node.Envelope) {
	if len(msgs) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range msgs {
		if m.Back != 0 {
			p.sendBack(m)
		} else if l := p.links[m.To]; l != nil {
			l.push(m.Pieces)
		}
	}
}

// sendBack answers a process that isn't believed to be the broker whose id it has. If its connection ends, that says
// nothing about the broker.
func (p *peers) sendBack(m node.Envelope) {
	w, ok := p.ways[m.Back]
	if !ok {
		return
	}
	sock := w.sock
	p.inbound[m.To] = slices.DeleteFunc(p.inbound[m.To], func(s net.Conn) bool { return s == sock })
	p.wg.Go(func() {
		var out gather
		out.envelope(w.version, m.Pieces)
		sock.SetWriteDeadline(time.Now().Add(writeTime))
		_ = out.writeTo(sock) // it may be gone
	})
}

// consumed gives back the room of messages that the node has taken.
func (p *peers) consumed(msgs []node.Message) {
	n := int64(0)
	for _, m := range msgs {
		n += int64(len(m.Data))
	}
	p.budget.release(n)
}

// receive serves one connection from another broker.
func (p *peers) receive(sock net.Conn) {
	if !p.track(sock) {
		return
	}
	addr := addressOf(sock)
	if !p.greet(addr) {
		p.untrack(sock)
		p.greeted.tell(slog.LevelWarn, "closed a connection to the peer port: too many have not said who they are", "", from(sock), slog.Int("most", maxHandshakes),
			slog.Int("most_of_one_address", maxGreetings))
		return
	}
	sock, err := p.replaceTracked(sock)
	defer p.untrack(sock)
	var h hello
	var version uint16
	if err == nil {
		h, version, err = p.welcome(sock)
	}
	p.greetingEnds(addr)
	if err != nil {
		p.greeted.tell(slog.LevelWarn, "refused a broker's connection", err.Error(), from(sock))
		return
	}
	broker := h.from
	if h.visit {
		p.receiveVisit(broker, sock)
		return
	}
	if err = p.readMessages(broker, p.enter(broker, way{sock, version}), sock, version); !isHangup(err) {
		p.ended.tell(slog.LevelWarn, "closed the connection from a broker", err.Error(), slog.Int("broker", int(broker)))
	}
	if p.newest(broker, sock) {
		p.mail.lost(broker)
	}
}

// greet counts a connection that begins to say who it is; false if there are too many.
func (p *peers) greet(addr string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.greetings >= maxHandshakes || p.greeting[addr] >= maxGreetings {
		return false
	}
	p.greetings++
	p.greeting[addr]++
	return true
}

// greetingEnds takes it out again, whatever came of it.
func (p *peers) greetingEnds(addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.greetings--
	if p.greeting[addr]--; p.greeting[addr] == 0 {
		delete(p.greeting, addr)
	}
}

// newest reports whether sock is the newest connection from a broker, and still wanted.
func (p *peers) newest(from node.BrokerID, sock net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	socks := p.inbound[from]
	return !p.closed && len(socks) > 0 && socks[len(socks)-1] == sock
}

// welcome answers the other end's hello and returns that, and the version of the protocol that both ends speak.
func (p *peers) welcome(sock net.Conn) (h hello, version uint16, err error) {
	if err := shakeTLS(sock, &turn{of: p.turns, addr: addressOf(sock), quit: p.quit}); err != nil {
		return h, 0, err
	}
	sock.SetDeadline(time.Now().Add(handshakeTime))
	if h, err = readHello(sock); err != nil {
		return h, 0, closedBy(err, "before it said who it is", "a scan of ports, a probe of health, or a client that looks for another port")
	}
	secret, known, err := challenge(sock, p.secrets.now(), h)
	if err != nil {
		return h, 0, fmt.Errorf("it doesn't prove that it knows the cluster secret: %w",
			closedBy(err, "after it was sent this broker's proof", "it has another secret, which its own lines then say, or it died"))
	}
	self := p.self.replica
	no, final := refusal(h, p.self, p.knownFolder(h.from))
	if h.visit && no == "" {
		no = p.refuseVisit(h.from)
	}
	if !known {
		self, no, final = replica{}, "another cluster secret", false // and nothing else: a stranger learns nothing
	}
	if final && p.hears(h.from) {
		no += fmt.Sprintf(". Broker %d is running: two processes must never share an id, so give this one another broker_id if that one is to go on", h.from)
	}
	version, both := p.self.spoken().common(h.speaks)
	if !both {
		version = h.speaks.lowest // it has to read why not
	}
	if _, err := sock.Write(appendAnswer(nil, version, self, final, no)); err != nil {
		return h, 0, err
	}
	if no != "" {
		return h, 0, fmt.Errorf("told broker %d: %s", h.from, no)
	}
	p.prove(sock, secret)
	return h, version, sock.SetDeadline(time.Time{})
}

func (p *peers) readMessages(from node.BrokerID, via uint64, sock net.Conn, version uint16) error {
	in := bufio.NewReaderSize(sock, 64<<10)
	reserved := int64(0)
	reserve := func(n int64) bool {
		p.budget.release(reserved)
		reserved = 0
		if !p.budget.acquire(n, p.quit) {
			return false
		}
		reserved = n
		return true
	}
	for {
		reserved = 0
		data, err := readEnvelope(sock, in, version, reserve)
		if err != nil {
			p.budget.release(reserved)
			return err
		}
		if l := p.link(from); l != nil {
			l.received.Add(int64(len(data) + headBytes(version)))
		}
		if len(data) > 0 {
			p.mail.message(node.Message{From: from, Via: via, Data: data})
		}
	}
}

// link returns the link to a broker, nil if that is not in the cluster.
func (p *peers) link(id node.BrokerID) *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.links[id]
}

// hears reports whether a broker is connected to this one.
func (p *peers) hears(id node.BrokerID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.inbound[id]) > 0
}

// knownFolder returns the id of a broker's data folder, if the cluster knows it.
func (p *peers) knownFolder(id node.BrokerID) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.folders[id]
}

// enter makes sock the newest connection from a broker, and returns its name. Earlier ones are usually dead or about to
// be. But the new one may come from a second process with the broker's id, which must not displace the first.
func (p *peers) enter(from node.BrokerID, w way) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.nextWay++
	p.ways[p.nextWay] = w
	if p.inbound[from] = append(p.inbound[from], w.sock); len(p.inbound[from]) > maxInbound {
		p.inbound[from][0].Close()
		p.inbound[from] = p.inbound[from][1:]
	}
	p.strangers = slices.DeleteFunc(p.strangers, func(id node.BrokerID) bool {
		return id == from || p.links[id] != nil || len(p.inbound[id]) == 0
	})
	if p.links[from] != nil {
		return p.nextWay
	}
	if p.strangers = append(p.strangers, from); len(p.strangers) > maxStrangers {
		for _, s := range p.inbound[p.strangers[0]] {
			s.Close()
		}
		p.strangers = p.strangers[1:]
	}
	return p.nextWay
}

// track remembers a socket so that close can end it; false, and closed, if that was already.
func (p *peers) track(sock net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		sock.Close()
		return false
	}
	p.socks[sock] = true
	return true
}

// replaceTracked makes TLS of a socket, if it is to have that, and tracks the one in the other's place.
func (p *peers) replaceTracked(sock net.Conn) (net.Conn, error) {
	taken, err := p.secureTaken(sock)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.socks, sock)
	if p.socks[taken] = true; p.closed {
		taken.Close()
	}
	return taken, err
}

func (p *peers) untrack(sock net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.socks, sock)
	delete(p.proven, sock)
	for id, socks := range p.inbound {
		if p.inbound[id] = slices.DeleteFunc(socks, func(s net.Conn) bool { return s == sock }); len(p.inbound[id]) == 0 {
			delete(p.inbound, id)
		}
	}
	maps.DeleteFunc(p.ways, func(_ uint64, w way) bool { return w.sock == sock })
	sock.Close()
}

func (p *peers) close() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.closed = true
	close(p.quit)
	for _, l := range p.links {
		l.stop()
	}
	for sock := range p.socks {
		sock.Close()
	}
	p.mu.Unlock()
	if p.listener != nil {
		p.listener.Close()
	}
	p.wg.Wait()
	for _, t := range []*teller{&p.accept, &p.greeted, &p.ended, &p.secrets.line} {
		t.stop()
	}
}

// all lists the links to other brokers.
func (p *peers) all() []*link {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Values(p.links))
}

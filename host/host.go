// SPDX-License-Identifier: Apache-2.0

// Package host is the real world around one node: sockets, files, goroutines and the clock. It
// moves bytes and decides nothing; whatever knows a Kafka request or a raft term is in package
// node.
//
// One goroutine, the loop, steps the node. All others feed its mailbox or carry out what it
// answered:
//
//	client sockets -> reader -\                                  /-> conn.writer -> client sockets
//	peer sockets   -> reader --> mailbox -> loop: node.Step -> out --> link.writer -> peer sockets
//	disk workers (wal.Do) ----/                                  \-> disk workers
//	task workers (Task.Do) --/                                    \-> task workers
//
// Nothing between them grows without bound: a client that sends more than fits is not read from,
// a peer that takes less than we send loses envelopes, which raft sends again.
package host

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"chronik/host/bearer"
	"chronik/host/console"
	"chronik/node"
)

// Config says where a node lives. The zero value of an optional field means its default.
type Config struct {
	// Node is handed to node.Open. Open fills in ClusterID (if it is empty), Incarnation, Seed and this
	// broker's Folder in Members.
	Node node.Config

	Dir        string     // data folder; see Format
	Listen     string     // host:port for Kafka clients
	TLS        *TLS       // for these; nil: none
	Listeners  []Listener // and further ports for them
	PeerListen string     // host:port for other brokers; empty for a broker that stays alone
	PeerSecret string     // that the brokers of the cluster share; without one they only talk on loopback addresses
	// PeerSecretFile is where PeerSecret came from, and may be changed while the broker runs; empty: from elsewhere.
	PeerSecretFile string
	// PeerTLS is for connections between brokers; nil: none. Its CAFile is for both directions. PeerTLSMode says when it is used.
	PeerTLS     *TLS
	PeerTLSMode PeerTLS
	// Join makes a new replica of an empty data folder, in a cluster that runs already. A formatted
	// folder ignores it.
	Join bool

	Metrics    string // host:port for /metrics and /healthz; empty: none
	MetricsTLS *TLS   // of that port; nil: none
	// MetricsLogin says for what its clients must log in, and MetricsTokenFile which tokens count, beside the users of the cluster;
	// empty: none.
	MetricsLogin     AdminLogin
	MetricsTokenFile string
	OAuth            *OAuth // which tokens of OAUTHBEARER count, there and for Kafka clients; nil: none
	Pprof            string // host:port for Go's profiler, with the same TLS and logins; empty: none
	// CheckOnRequest lets POST /check on the metrics port compare all that the node has noted with what it stands for. The
	// loop does nothing else meanwhile.
	CheckOnRequest bool

	Limits Limits
	Log    *slog.Logger
	// LogLevel is that of Log, which is set when somebody asks for another one; nil: it stays as it is.
	LogLevel *slog.LevelVar
	Ready    func() // called once, when clients can be served; may be nil
}

// Listener is a further port for Kafka clients, with a name: see node.Listener.
type Listener struct {
	Name   string
	Listen string // host:port
	TLS    *TLS   // nil: none

	Conns    int     // most connections that came in by it, as Limits.Conns of all; 0: as many as those
	ConnRate float64 // most that are accepted in a second, as Limits.ConnRate; 0: any number
}

// clientPorts are all ports for Kafka clients.
func (c *Config) clientPorts() []Listener {
	return append([]Listener{{Listen: c.Listen, TLS: c.TLS}}, c.Listeners...)
}

// Limits bound what clients can make this process hold.
type Limits struct {
	// FrameBytes is the largest request, Kafka's socket.request.max.bytes. Default 100 MiB.
	FrameBytes int
	// RequestBytes bounds all clients' requests that the node has not answered yet. When they are
	// that many, no client is read from until some are answered. Default 256 MiB.
	RequestBytes int64
	// UnreadBytes bounds the answers that clients have not taken, over all connections. Above it a connection that
	// has a request under way is not read from, and those whose clients take nothing are closed. Default:
	// RequestBytes.
	UnreadBytes int64
	// PeerBytes bounds what other brokers have sent and the node hasn't taken, and what waits to be sent to each of them.
	// Above it they are not read from, and the oldest is dropped: raft sends it again. Default 64 MiB.
	PeerBytes int64
	// ConnRequests bounds the requests of one connection whose answer is not on its way yet.
	// Default 64.
	ConnRequests int
	// ConnReplyBytes bounds the answers that wait for one client to take them: above it the
	// connection is not read from. Default 1 MiB.
	ConnReplyBytes int64
	// Conns bounds the client connections; further ones are closed at once. Default 10000.
	Conns int
	// AddressConns bounds the client connections from one address. Default: half of Conns.
	AddressConns int
	// ConnRate bounds the client connections that are accepted in a second. Default: any number.
	ConnRate float64
	// IdleTime is how long a connection may stay open with nothing under way, Kafka's
	// connections.max.idle.ms. Default 10 minutes.
	IdleTime time.Duration
	// LoginTime is how long a client may take to log in, where that is asked for. Default 10 s.
	LoginTime time.Duration
	// StopTime bounds a clean stop. Default 10 s.
	StopTime time.Duration
}

func (l *Limits) setDefaults() {
	setDefault(&l.FrameBytes, 100<<20)
	setDefault(&l.RequestBytes, 256<<20)
	setDefault(&l.ConnRequests, 64)
	setDefault(&l.ConnReplyBytes, 1<<20)
	setDefault(&l.UnreadBytes, l.RequestBytes)
	setDefault(&l.PeerBytes, 64<<20)
	setDefault(&l.Conns, 10000)
	setDefault(&l.AddressConns, max(1, l.Conns/2))
	setDefault(&l.IdleTime, 10*time.Minute)
	setDefault(&l.LoginTime, 10*time.Second)
	setDefault(&l.StopTime, 10*time.Second)
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Host is one running broker.
type Host struct {
	cfg     Config
	process *process // that the brokers of this process share; nil: there is one
	folder  *folder
	mail    *mailbox
	loop    *loop
	clients *clients
	peers   *peers
	disk    *disk
	tasks   *tasks
	fs      *dirFS
	metrics *metrics

	http      *http.Server // nil without metrics
	httpAddr  net.Addr
	httpTLS   *certificates // nil: none
	pprof     *http.Server  // nil: none
	pprofAddr net.Addr
	doorman   *doorman
	console   *console.Console // nil without metrics
	history   *history
	recent    recent
	began     time.Time
	bearer    *bearer.Checker // nil: no tokens of OAUTHBEARER
	recovered atomic.Bool
	wasInSync atomic.Bool // in all partitions at the same time, once; see serveReady
}

// Open locks the data folder, binds the listeners and recovers the node from its log; it may take
// as long as reading that log. Nothing is served before Run.
func Open(cfg Config) (*Host, error) { return openIn(nil, cfg) }

func openIn(shared *process, cfg Config) (*Host, error) {
	cfg.Limits.setDefaults()
	setDefault(&cfg.Log, slog.Default())
	cfg.Limits.fitDescriptors(cfg.Log)
	if cfg.Ready == nil {
		cfg.Ready = func() {}
	}
	h := &Host{cfg: cfg, process: shared, mail: newMailbox()}
	if err := h.open(); err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

func (h *Host) open() (err error) {
	cfg := &h.cfg
	if h.folder, err = openFolder(cfg.Dir, identity(cfg.Node), cfg.whenEmpty()); err != nil {
		return err
	}
	meta := h.folder.meta
	cfg.adopt(meta)
	h.metrics = newMetrics(cfg.Node.BrokerID, h.process != nil)

	// Ports before the log: a port that is taken should be said at once.
	if h.clients, err = listenClients(cfg.clientPorts(), cfg.Limits, h.mail, cfg.Log); err != nil {
		return err
	}
	h.clients.expectLogins(cfg.Node.Listeners)
	h.history, h.began = newHistory(h.clients.meter), time.Now()
	self := hello{cluster: meta.ClusterID, from: meta.BrokerID, replica: replica{meta.Incarnation, meta.Folder}}
	if h.peers, err = listenPeers(cfg.PeerListen, cfg.PeerSecret, self, h.mail, cfg.Limits.PeerBytes, cfg.Log); err != nil {
		return err
	}
	h.peers.secrets.file = cfg.PeerSecretFile
	if h.peers.tls, err = cfg.PeerTLS.open("other brokers", cfg.Log); err != nil {
		return err
	}
	h.peers.tlsMode, h.peers.turns = cfg.PeerTLSMode, h.clients.turns
	if h.fs, err = openDir(h.folder.logDir()); err != nil {
		return err
	}
	h.disk, h.tasks = newDisk(h.fs, h.mail), newTasks(h.mail)
	if h.mail.glance, err = newGlance(); err != nil {
		return err
	}
	if err := h.openIssuer(); err != nil {
		return err
	}
	if err := h.openAdmin(); err != nil {
		return err
	}
	if cfg.PeerSecret != "" || !h.asksLogins() {
		h.peers.visits = h.takeVisit // or anybody on this machine could say who he is
	}
	cfg.Node.LogLevel = nodeLogLevel(cfg.LogLevel)
	clock := newClock()
	n, err := node.Open(cfg.Node, h.fs, clock.now())
	if err != nil {
		return err
	}
	h.fs.between = giveWay
	if err := h.folder.begun(); err != nil {
		return err
	}
	h.loop = &loop{
		step: h.metrics.around(n), sofar: n.Unfinished, mail: h.mail, clock: clock, log: cfg.Log, logLevel: cfg.LogLevel, stopTime: cfg.Limits.StopTime,
		clients: h.clients, peers: h.peers, disk: h.disk, tasks: h.tasks,
		events: newEvents(cfg.Log, cfg.Ready),
	}
	h.recovered.Store(true)
	return nil
}

// whenEmpty says what to do about an empty data folder. A broker alone that others can reach might
// be what is left of a larger cluster.
func (c *Config) whenEmpty() emptyFolder {
	switch {
	case c.Join:
		return joinEmpty
	case len(c.Node.Members) == 1 && c.PeerListen == "":
		return foundAlone
	default:
		return refuseEmpty
	}
}

// adopt fills in what the data folder says.
func (c *Config) adopt(m Meta) {
	c.Node.ClusterID, c.Node.LogCluster = m.ClusterID, m.LogCluster
	c.Node.Incarnation, c.Node.Seed = m.Incarnation, randomSeed()
	rand.Read(c.Node.LoginSecret[:])
	c.Node.Members = slices.Clone(c.Node.Members)
	for i := range c.Node.Members {
		if self := &c.Node.Members[i]; self.ID == m.BrokerID {
			self.Folder = m.Folder
		}
	}
}

// Addr is the address that clients can connect to.
func (h *Host) Addr() net.Addr { return h.clients.ports[0].listener.Addr() }

// Serve opens a host and runs it until ctx ends or the node is at its end. A replica that joins with an incarnation that
// isn't new takes a higher one and begins again.
func Serve(ctx context.Context, cfg Config) error { return serveIn(ctx, nil, cfg) }

func serveIn(ctx context.Context, shared *process, cfg Config) error {
	for {
		h, err := openIn(shared, cfg)
		if err != nil {
			return err
		}
		err = h.Run(ctx)
		low, ok := errors.AsType[*node.IncarnationError](err)
		if !ok {
			return err
		}
		h.cfg.Log.Info("joining again with a higher incarnation", "why", low.Error())
		if err := raise(cfg.Dir, low.Known); err != nil {
			return err
		}
	}
}

// Run serves until ctx ends and the node has handed its leaderships over, or until the node is at its
// end. It returns nil only after a clean stop, a *node.End if the node ended by itself, and an ErrBroken if an
// invariant did not hold.
func (h *Host) Run(ctx context.Context) error {
	defer h.close()
	h.disk.start()
	h.tasks.start()
	h.clients.wg.Go(func() { watchFiles(h.clients.quit, h.watched()) })
	h.clients.wg.Go(func() { h.history.watch(h.clients.quit) })
	if h.bearer != nil {
		h.clients.wg.Go(func() { h.bearer.Watch(h.clients.quit) })
	}
	h.peers.start()
	h.clients.start()
	stop := context.AfterFunc(ctx, func() {
		h.clients.stopAccepting()
		h.mail.stop()
	})
	defer stop()
	err := h.loop.run()
	h.loop.stopLines()
	h.loop.summary()
	end, ended := errors.AsType[*node.End](err)
	if ended && end.Kind == node.EndOutdated {
		err = errors.Join(err, h.folder.outdated(end))
	}
	if err == nil || ended && end.OutOfCluster() {
		h.clients.drain(time.Second)
		h.folder.clean()
	}
	return err
}

// watched are the files that change while the broker runs.
func (h *Host) watched() (all []watched) {
	for _, c := range h.certificates() {
		all = append(all, c)
	}
	if h.doorman.tokens != nil {
		all = append(all, h.doorman.tokens)
	}
	return all
}

// certificates are those of all ports.
func (h *Host) certificates() (all []*certificates) {
	for _, p := range h.clients.ports {
		if p.tls != nil {
			all = append(all, p.tls)
		}
	}
	for _, c := range []*certificates{h.peers.tls, h.httpTLS} {
		if c != nil {
			all = append(all, c)
		}
	}
	return all
}

// close ends every goroutine and releases what Open took, in the order in which they feed each
// other. It also serves an Open that failed halfway.
func (h *Host) close() {
	if h.process != nil {
		h.process.leave(h)
	}
	for _, s := range []*http.Server{h.http, h.pprof} {
		if s != nil {
			s.Close()
		}
	}
	if h.console != nil {
		h.console.Close()
	}
	if h.doorman != nil {
		h.doorman.stop()
	}
	if h.clients != nil {
		h.clients.close()
	}
	if h.peers != nil {
		h.peers.close()
	}
	if h.disk != nil {
		h.disk.close()
	}
	if h.tasks != nil {
		h.tasks.close()
	}
	if h.mail.glance != nil {
		h.mail.glance.close()
	}
	if h.fs != nil {
		h.fs.close()
	}
	if h.folder != nil {
		h.folder.close()
	}
}

// ErrBroken is wrapped by the error of a Run that ended because an invariant of the node did not
// hold. The text has the stack and the last inputs.
var ErrBroken = errors.New("the broker stopped itself because an invariant does not hold (a bug)")

// clock is the node's monotonic time: nanoseconds since the process opened it, from 1.
type clock struct{ base time.Time }

func newClock() clock { return clock{base: time.Now()} }

func (c clock) now() node.Time { return node.Time(1 + time.Since(c.base)) }

// until is how long it is from now to t, at most an hour.
func (c clock) until(t node.Time) time.Duration { return min(t.Sub(c.now()), time.Hour) }

func randomSeed() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.LittleEndian.Uint64(b[:])
}

func identity(n node.Config) Meta {
	return Meta{ClusterID: n.ClusterID, BrokerID: n.BrokerID}
}

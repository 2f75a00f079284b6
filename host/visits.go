// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"chronik/host/console"
	"chronik/node"
)

// Somebody at the console of one broker wants something of another one: as a Kafka client, or a page that only that broker can
// write. The broker at whose door he has logged in pays the other a visit on its peer port, and says who he is. Brokers believe
// each other, as they do about votes and records, and the one that is visited decides by its own rules what he may do (ADR 23).
//
// After the handshake (hello.go), numbers being big-endian:
//
//	dialer -> listener:  kind 1 | principal: length 2, bytes | host: length 1, bytes | page: length 1, bytes
//	kind K:              Kafka's requests and answers, until an end hangs up
//	kind P, listener -> dialer:  status 2 | the page, or why there is none, and the end
const (
	visitKafka = 'K'
	visitPage  = 'P'

	maxVisits    = 256 // at the same time, from all brokers
	maxPrincipal = 1 << 10
	maxPage      = 16 << 20
)

// visit says who wants what.
type visitOf struct {
	kind            byte
	principal, host string
	page            string
}

func (v visitOf) append(b []byte) []byte {
	b = append(b, v.kind)
	b = binary.BigEndian.AppendUint16(b, uint16(len(v.principal)))
	b = append(b, v.principal...)
	b = append(append(b, byte(len(v.host))), v.host...)
	return append(append(b, byte(len(v.page))), v.page...)
}

func readVisit(r io.Reader) (v visitOf, err error) {
	var head [3]byte
	if _, err = io.ReadFull(r, head[:]); err != nil {
		return v, err
	}
	n := binary.BigEndian.Uint16(head[1:])
	if v.kind = head[0]; v.kind != visitKafka && v.kind != visitPage || n == 0 || n > maxPrincipal {
		return v, fmt.Errorf("a visit of kind %d by a name of %d bytes", v.kind, n)
	}
	name := make([]byte, n)
	if _, err = io.ReadFull(r, name); err != nil {
		return v, err
	}
	v.principal = string(name)
	if v.host, err = readShort(r); err != nil {
		return v, err
	}
	v.page, err = readShort(r)
	return v, err
}

// refuseVisit says why a broker may not pay visits; "" if it may.
func (p *peers) refuseVisit(from node.BrokerID) string {
	switch {
	case p.visits == nil:
		return "this broker takes no visits from consoles: who logs in elsewhere isn't known here without a cluster secret; set peer_secret_file"
	case p.link(from) == nil:
		return fmt.Sprintf("broker %d is none of this cluster's", from)
	}
	return ""
}

// receiveVisit serves a visit until it ends.
func (p *peers) receiveVisit(broker node.BrokerID, sock net.Conn) {
	select {
	case p.visitors <- struct{}{}:
		defer func() { <-p.visitors }()
	default:
		p.greeted.tell(slog.LevelWarn, "refused a visit", "there are too many", from(sock), slog.Int("most", maxVisits))
		return
	}
	if err := p.visits(sock); err != nil && !isHangup(err) {
		p.ended.tell(slog.LevelWarn, "ended a visit from a broker", err.Error(), slog.Int("broker", int(broker)))
	}
}

// takeVisit serves one.
func (h *Host) takeVisit(sock net.Conn) error {
	sock.SetDeadline(time.Now().Add(handshakeTime))
	v, err := readVisit(sock)
	if err != nil {
		return err
	}
	who := console.Person{Principal: v.principal, Host: v.host}
	if v.kind == visitKafka {
		sock.SetDeadline(time.Time{})
		h.clients.welcome(sock, who).wait()
		return nil
	}
	status, page := h.writePage(who, v.page)
	sock.SetDeadline(time.Now().Add(writeTime))
	_, err = sock.Write(append(binary.BigEndian.AppendUint16(nil, uint16(status)), page...))
	return err
}

// welcome starts a connection of somebody who has logged in at a console.
func (s *clients) welcome(sock net.Conn, who console.Person) *conn {
	c := newConn(s, s.ports[0], sock)
	c.host, c.principal, c.loggedIn = "/"+who.Host, who.Principal, true
	s.enter(c)
	return c
}

func (c *conn) wait() { <-c.quit }

// pay pays a visit to another broker.
func (p *peers) pay(ctx context.Context, to node.BrokerID, v visitOf) (net.Conn, error) {
	l := p.link(to)
	if l == nil {
		return nil, fmt.Errorf("broker %d isn't known", to)
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	sock, _, err := l.connect(ctx, true)
	if err != nil {
		return nil, fmt.Errorf("no way to broker %d: %w", to, err)
	}
	if _, err := sock.Write(v.append(nil)); err != nil {
		p.untrack(sock)
		return nil, err
	}
	return visiting{sock, p}, nil
}

// visiting is a connection that peers no longer know of once it is closed.
type visiting struct {
	net.Conn
	peers *peers
}

// Close implements net.Conn.
func (v visiting) Close() error {
	v.peers.untrack(v.Conn)
	return nil
}

// selfSeed is the address by which a client of the console finds this broker first.
const selfSeed = "this.broker:1"

// Dial implements console.Cluster: it connects somebody to the broker that clients are told to find at an address.
func (h *Host) Dial(ctx context.Context, who console.Person, addr string) (net.Conn, error) {
	h.peers.mu.Lock()
	id, known := h.peers.kafka[addr]
	h.peers.mu.Unlock()
	switch {
	case addr == selfSeed, known && id == h.folder.meta.BrokerID:
		near, far := net.Pipe()
		h.clients.welcome(far, who)
		return near, nil
	case !known:
		return nil, fmt.Errorf("no broker of this cluster is at %s", addr)
	}
	return h.peers.pay(ctx, id, visitOf{kind: visitKafka, principal: who.Principal, host: who.Host})
}

// Page implements console.Cluster: it asks a broker for what only it can tell.
func (h *Host) Page(ctx context.Context, who console.Person, broker int32, name string) ([]byte, error) {
	if id := node.BrokerID(broker); id != h.folder.meta.BrokerID {
		return h.peers.page(ctx, id, visitOf{visitPage, who.Principal, who.Host, name})
	}
	status, page := h.writePage(who, name)
	if status != http.StatusOK {
		return nil, &console.Refusal{Status: status, Text: string(page)}
	}
	return page, nil
}

func (p *peers) page(ctx context.Context, id node.BrokerID, v visitOf) ([]byte, error) {
	sock, err := p.pay(ctx, id, v)
	if err != nil {
		return nil, err
	}
	defer sock.Close()
	sock.SetDeadline(time.Now().Add(3 * answerTime))
	text, err := io.ReadAll(io.LimitReader(sock, maxPage))
	switch {
	case err != nil:
		return nil, fmt.Errorf("broker %d doesn't answer: %w", id, withoutAddresses(err))
	case len(text) < 2:
		return nil, fmt.Errorf("broker %d hung up", id)
	}
	if status := int(binary.BigEndian.Uint16(text)); status != http.StatusOK {
		return nil, &console.Refusal{Status: status, Text: string(text[2:])}
	}
	return text[2:], nil
}

var errNoLoop = errors.New("the loop does not answer: the broker recovers, is stuck, or has ended")

// writePage writes a page for somebody who may look at the cluster.
func (h *Host) writePage(who console.Person, name string) (status int, page []byte) {
	make := h.pages()[name]
	if make == nil {
		return http.StatusNotFound, []byte("this release has no page " + name)
	}
	may := false
	switch ok := h.metrics.ask(answerTime, func(n *node.Node) { may = n.MayAdminister(who.Principal, who.Host, false) }); {
	case !ok:
		return http.StatusServiceUnavailable, []byte(errNoLoop.Error())
	case !may:
		return http.StatusForbidden, []byte(who.Principal + " may not describe the cluster")
	}
	page, err := h.recent.get(name, make)
	if err != nil {
		return http.StatusServiceUnavailable, []byte(err.Error())
	}
	return http.StatusOK, page
}

// recentTime is how long a page serves others who ask for it, so that a crowd doesn't keep the loop busy.
const recentTime = 500 * time.Millisecond

// recent are the pages that were written last, by name. They are the same for everybody who may see them.
type recent struct {
	mu    sync.Mutex
	pages map[string]recentPage
}

type recentPage struct {
	made time.Time
	text []byte
}

// get returns a page, which is made by one at a time.
func (r *recent) get(name string, make func() (any, error)) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last := r.pages[name]; time.Since(last.made) < recentTime {
		return last.text, nil
	}
	content, err := make()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(content)
	if err != nil {
		return nil, err
	}
	if r.pages == nil {
		r.pages = map[string]recentPage{}
	}
	r.pages[name] = recentPage{time.Now(), text}
	return text, nil
}

// SPDX-License-Identifier: Apache-2.0

package host

import (
	"log/slog"
	"net"
	"sync"
	"syscall"
)

// reservedFiles is how many descriptors clients never get, of those that the process may have: they are for the
// log's files, other brokers and the metrics port. Of a small limit it is a quarter.
const reservedFiles = 512

// fitDescriptors lowers Conns to what the process may open (ulimit -n). The soft limit was raised to the hard one
// when the process started, which Go does by itself.
func (l *Limits) fitDescriptors(log *slog.Logger) {
	var files syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files) == nil {
		l.fit(uint64(files.Cur), log)
	}
}

func (l *Limits) fit(files uint64, log *slog.Logger) {
	room := max(1, files-min(files/4, reservedFiles))
	if uint64(l.Conns) <= room {
		return
	}
	log.Warn("max_connections is more than this process may open beside its files and the connections to other brokers: fewer clients are taken. "+
		"Raise ulimit -n (LimitNOFILE of systemd) or lower max_connections", "max_connections", l.Conns, "taken", room, "ulimit", files)
	l.Conns = int(room)
	l.AddressConns = min(l.AddressConns, max(1, l.Conns/2))
}

// maxAdminConns bounds the connections to the metrics port: more than people and their programs need.
const maxAdminConns = 32

// boundedListener closes connections at once that are above a bound, so that a crowd on one port takes no
// descriptors from the others.
type boundedListener struct {
	net.Listener
	slots chan struct{}
}

// Bound returns l with a bound on the connections that are open at once.
func Bound(l net.Listener) net.Listener {
	return boundedListener{l, make(chan struct{}, maxAdminConns)}
}

// Accept implements net.Listener.
func (b boundedListener) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case b.slots <- struct{}{}:
			return &boundedConn{Conn: c, slots: b.slots}, nil
		default:
			c.Close()
		}
	}
}

type boundedConn struct {
	net.Conn
	once  sync.Once
	slots chan struct{}
}

// Close implements net.Conn.
func (c *boundedConn) Close() error {
	c.once.Do(func() { <-c.slots })
	return c.Conn.Close()
}

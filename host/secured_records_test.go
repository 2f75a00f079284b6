// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"testing"
)

// tapped keeps what comes.
type tapped struct {
	net.Conn
	came bytes.Buffer
}

func (c *tapped) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.came.Write(p[:n])
	return n, err
}

// records is how many records with data have come since all was reset.
func (c *tapped) records() (n int) {
	const data = 0x17
	for b := c.came.Bytes(); len(b) >= recordHead; {
		if b[0] == data {
			n++
		}
		b = b[min(len(b), recordHead+int(binary.BigEndian.Uint16(b[3:]))):]
	}
	return n
}

// An answer of many pieces goes out in as few records as its bytes take: the other end takes them one by one.
func TestPiecesShareRecords(t *testing.T) {
	ca := newAuthority(t, "ca")
	certs, err := ca.server(NoClientCerts).open("a test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var pieces net.Buffers
	var want []byte
	for i := range 100 { // as batches are, each after its offset and with something small behind it
		for _, n := range []int{12, 9_000 + i, 40} {
			pieces = append(pieces, bytes.Repeat([]byte{byte(i), byte(n)}, n/2))
			want = append(want, pieces[len(pieces)-1]...)
		}
	}
	wrote := make(chan error, 1)
	go func() {
		sock, err := l.Accept()
		if err == nil {
			s := secure(sock, certs.config.Load(), tls.Server)
			if err = s.Handshake(); err == nil {
				err = s.writeAll(pieces, len(want), newGate())
			}
		}
		wrote <- err
	}()
	sock, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	tap := &tapped{Conn: sock}
	conn := tls.Client(tap, ca.client(""))
	defer conn.Close()
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	before := tap.records()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("other bytes came, or %v", err)
	}
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	least := (len(want) + 16<<10 - 1) / (16 << 10)
	if n := tap.records() - before; n > least+1 {
		t.Errorf("%d bytes in %d records, %d would do", len(want), n, least)
	}
}

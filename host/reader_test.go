// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"
)

// tcpPair returns both ends of a TCP connection.
func tcpPair(t *testing.T) (here, there net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	there, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	here, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { here.Close(); there.Close() })
	return here, there
}

// Whatever the mixture of peeks and reads, the bytes come in order and each once.
func TestReaderGivesWhatWasSent(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	sent := make([]byte, 1<<20)
	for i := range sent {
		sent[i] = byte(rnd.Uint32())
	}
	here, there := tcpPair(t)
	go func() {
		for rest := sent; len(rest) > 0; {
			n := min(len(rest), 1+rnd.IntN(40_000))
			there.Write(rest[:n])
			rest = rest[n:]
		}
		there.Close()
	}()
	in := newReader(here)
	own := rand.New(rand.NewPCG(3, 4))
	var got []byte
	for len(got) < len(sent) {
		if n := min(1+own.IntN(smallFrame), len(sent)-len(got)); own.IntN(2) == 0 {
			p, err := in.Peek(n)
			if err != nil || !bytes.Equal(p, sent[len(got):len(got)+n]) {
				t.Fatalf("at %d, %d bytes ahead are not what was sent (%v)", len(got), n, err)
			}
		}
		p := make([]byte, 1+own.IntN(2*smallFrame))
		n, err := in.Read(p)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, p[:n]...)
	}
	if !bytes.Equal(got, sent) {
		t.Error("what was read is not what was sent")
	}
	if n, err := in.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("at the end: %d bytes, %v; want io.EOF", n, err)
	}
}

// A client that sends nothing costs no buffer, from the beginning and between two requests.
func TestReaderWaitsWithoutABuffer(t *testing.T) {
	here, there := tcpPair(t)
	in := newReader(here)
	for range 2 {
		here.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		_, err := in.Peek(1)
		if e, ok := errors.AsType[net.Error](err); !ok || !e.Timeout() || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("nothing came: %v, want a time-out", err)
		}
		if in.buf != nil {
			t.Error("it has a buffer, and nothing is in it")
		}
		here.SetReadDeadline(time.Time{})
		there.Write([]byte("abc"))
		if p, err := in.Peek(3); err != nil || string(p) != "abc" {
			t.Errorf("got %q, %v", p, err)
		}
		if _, err := io.ReadFull(in, make([]byte, 3)); err != nil {
			t.Error(err)
		}
	}
}

func TestReaderTellsAHangup(t *testing.T) {
	here, there := tcpPair(t)
	in := newReader(here)
	there.(*net.TCPConn).SetLinger(0) // a reset
	there.Close()
	if _, err := in.Peek(1); !isHangup(err) {
		t.Errorf("after a reset: %v", err)
	}
	here, _ = tcpPair(t)
	in = newReader(here)
	time.AfterFunc(10*time.Millisecond, func() { here.Close() })
	if _, err := in.Peek(1); !isHangup(err) {
		t.Errorf("after close here: %v", err)
	}
}

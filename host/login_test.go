// SPDX-License-Identifier: Apache-2.0

package host

import (
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"chronik/node"
)

// A stranger that doesn't log in is cut off after a time, and before that can't send much. Who has logged in stays.
func TestStrangers(t *testing.T) {
	const limit = 300 * time.Millisecond
	s := serve(t, Limits{LoginTime: limit}, func(in *node.Input, out *node.Output) {
		for _, r := range in.Requests {
			out.Replies = append(out.Replies, node.Reply{Conn: r.Conn, Frame: [][]byte{{1}}, LoggedIn: string(r.Frame) == "password"})
		}
	})
	defer s.stop()
	s.mu.Lock()
	s.ports[0].logins = true
	s.mu.Unlock()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", s.ports[0].listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	say := func(c net.Conn, frame []byte) error {
		c.SetDeadline(time.Now().Add(10 * time.Second))
		c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...))
		_, err := io.ReadFull(c, make([]byte, 5))
		return err
	}
	friend, stranger, loud := dial(), dial(), dial()
	begun := time.Now()
	if err := say(friend, []byte("password")); err != nil {
		t.Fatal(err)
	}
	if err := say(loud, make([]byte, smallFrame+1)); err == nil {
		t.Error("a stranger's large request was answered")
	}
	if err := say(friend, make([]byte, 4*smallFrame)); err != nil {
		t.Errorf("a large request after the login: %v", err)
	}
	for say(stranger, []byte("please")) == nil {
		time.Sleep(10 * time.Millisecond)
	}
	if took := time.Since(begun); took < limit {
		t.Errorf("a stranger was cut off after %v", took)
	}
	time.Sleep(limit)
	if err := say(friend, []byte("still here")); err != nil {
		t.Errorf("after the time for logins: %v", err)
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/tests/rig"
)

// broker is one that is asked, over one connection at a time.
type broker struct {
	addr string
	conn net.Conn
}

const answerTime = 8 * time.Second

// ask sends a request and returns the answer; nil if the broker hangs up instead or says nothing.
func (b *broker) ask(req kmsg.Request) (kmsg.Response, error) {
	if b.conn == nil {
		var err error
		if b.conn, err = net.DialTimeout("tcp", b.addr, answerTime); err != nil {
			return nil, err
		}
	}
	resp, err := rig.Ask(b.conn, req, answerTime)
	if err != nil {
		return nil, b.hungUp(err)
	}
	return resp, nil
}

// hungUp is no error if the other end closed the connection, or says nothing.
func (b *broker) hungUp(err error) error {
	b.conn.Close()
	b.conn = nil
	var e net.Error
	if errors.Is(err, io.EOF) || errors.As(err, &e) && e.Timeout() || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return err
}

// session asks one broker what all brokers are asked, and writes the answers down.
type session struct {
	*broker
	scene   string
	answers []answer
	err     error
}

// answer is a row: what was asked, and what the broker said.
type answer struct{ name, text string }

// row asks and writes the answer down.
func (s *session) row(name string, req kmsg.Request) kmsg.Response {
	resp := s.quiet(req)
	text := "no answer"
	if resp != nil {
		text = render(resp)
	}
	if s.err == nil {
		s.answers = append(s.answers, answer{s.scene + ": " + name, text})
	}
	return resp
}

// quiet asks and writes nothing down.
func (s *session) quiet(req kmsg.Request) kmsg.Response {
	if s.err != nil {
		return nil
	}
	resp, err := s.ask(req)
	if err != nil {
		s.err = fmt.Errorf("%s: %s: %w", s.scene, kmsg.NameForKey(req.Key()), err)
	}
	return resp
}

// until asks again while the answer contains one of some words, for what takes a while in a broker that has just begun.
func (s *session) until(req kmsg.Request, not ...string) kmsg.Response {
	for range 300 {
		resp := s.quiet(req)
		if resp == nil {
			return nil
		}
		text, wait := render(resp), false
		for _, w := range not {
			wait = wait || strings.Contains(text, w)
		}
		if !wait {
			return resp
		}
		time.Sleep(50 * time.Millisecond)
	}
	if s.err == nil {
		s.err = fmt.Errorf("%s: %s: still %v", s.scene, kmsg.NameForKey(req.Key()), not)
	}
	return nil
}

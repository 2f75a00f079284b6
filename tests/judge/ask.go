// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
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
	cluster cluster
	lens    *lens
	scene   string
	answers []answer
	err     error
}

// answer is a row: what was asked, and what the broker said.
type answer struct{ name, text string }

// row asks and writes the answer down, after changes that make it comparable.
func (s *session) row(name string, req kmsg.Request, changes ...func(kmsg.Response)) kmsg.Response {
	resp := s.quiet(req)
	text := "no answer"
	if resp != nil {
		for _, change := range changes {
			change(resp)
		}
		text = s.lens.render(resp)
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
	return s.wait(req, "without "+strings.Join(not, ", "), func(resp kmsg.Response) bool {
		text := s.lens.render(resp)
		return !slices.ContainsFunc(not, func(w string) bool { return strings.Contains(text, w) })
	})
}

// wait asks again until the answer is as it should be.
func (s *session) wait(req kmsg.Request, what string, ok func(kmsg.Response) bool) kmsg.Response {
	last := ""
	for range 900 {
		resp := s.quiet(req)
		if s.err != nil {
			return nil
		}
		if resp != nil {
			if ok(resp) {
				return resp
			}
			last = s.lens.render(resp)
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.err = fmt.Errorf("%s: %s never came %s: %s", s.scene, kmsg.NameForKey(req.Key()), what, last)
	return nil
}

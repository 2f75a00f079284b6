// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha512"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// The first user of a secured cluster, who may do everything.
const (
	administrator = "admin"
	mechanism     = "SCRAM-SHA-512"
)

func password(user string) string { return "of-" + user }

func handshake(mechanism string) *kmsg.SASLHandshakeRequest {
	req := kmsg.NewPtrSASLHandshakeRequest()
	req.Version, req.Mechanism = 1, mechanism
	return req
}

func authenticate(message string) *kmsg.SASLAuthenticateRequest {
	req := kmsg.NewPtrSASLAuthenticateRequest()
	req.Version, req.SASLAuthBytes = 2, []byte(message)
	return req
}

// logIn makes a new connection and logs in by it. It says at which step it was refused, and how; nothing if it wasn't.
func (b *broker) logIn(user, password string) (refused string, err error) {
	b.hangUp()
	if resp, err := b.ask(handshake(mechanism)); resp == nil || err != nil {
		return "no answer to the handshake", err
	}
	exchange, message, err := scram.Auth{User: user, Pass: password}.AsSha512Mechanism().Authenticate(context.Background(), "")
	if err != nil {
		return "", err
	}
	for step := 1; ; step++ {
		resp, err := b.ask(authenticate(string(message)))
		if resp == nil || err != nil {
			return fmt.Sprintf("no answer to message %d", step), err
		}
		said := resp.(*kmsg.SASLAuthenticateResponse)
		if said.ErrorCode != 0 {
			return fmt.Sprintf("message %d: %s", step, codeName(said.ErrorCode)), nil
		}
		done, next, err := exchange.Challenge(said.SASLAuthBytes)
		if done || err != nil {
			return "", err
		}
		message = next
	}
}

// as goes on as a user.
func (s *session) as(user string) {
	if s.err != nil {
		return
	}
	refused, err := s.logIn(user, password(user))
	if s.err = err; refused != "" {
		s.err = fmt.Errorf("%s: logging in as %s: %s", s.scene, user, refused)
	}
}

// addUsers makes users that can log in.
func (s *session) addUsers(names ...string) {
	const iterations = 4096
	salt := []byte("some salt")
	req := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
	for _, name := range names {
		salted, err := pbkdf2.Key(sha512.New, password(name), salt, iterations, sha512.Size)
		if err != nil {
			s.err = err
			return
		}
		u := kmsg.NewAlterUserSCRAMCredentialsRequestUpsertion()
		u.Name, u.Mechanism, u.Iterations, u.Salt, u.SaltedPassword = name, 2, iterations, salt, salted
		req.Upsertions = append(req.Upsertions, u)
	}
	s.demand(req)
	described := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()
	described.Users = []kmsg.DescribeUserSCRAMCredentialsRequestUser{{Name: names[len(names)-1]}}
	s.until(described, "RESOURCE_NOT_FOUND")
}

// demand asks for what must not fail.
func (s *session) demand(req kmsg.Request) kmsg.Response {
	resp := s.quiet(req)
	if s.err != nil {
		return nil
	}
	if resp == nil {
		s.err = fmt.Errorf("%s: no answer to %s", s.scene, kmsg.NameForKey(req.Key()))
	} else if code := failure(resp); code != "" {
		s.err = fmt.Errorf("%s: %s: %s", s.scene, kmsg.NameForKey(req.Key()), code)
	}
	return resp
}

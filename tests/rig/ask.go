// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// AppendRequest appends a request with its length before it. Its number is 1.
func AppendRequest(dst []byte, req kmsg.Request) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("rig")).AppendRequest(dst, req, 1)
}

var errTooLong = errors.New("the answer has more bytes than any should")

// Ask sends a request and reads its answer, as bare as a client can, which must come within a limit.
func Ask(c net.Conn, req kmsg.Request, limit time.Duration) (kmsg.Response, error) {
	c.SetDeadline(time.Now().Add(limit))
	if _, err := c.Write(AppendRequest(nil, req)); err != nil {
		return nil, err
	}
	return readAnswer(c, req)
}

// AskAll sends requests at once and reads their answers.
func AskAll(c net.Conn, reqs []kmsg.Request, limit time.Duration) error {
	c.SetDeadline(time.Now().Add(limit))
	var all []byte
	for _, req := range reqs {
		all = append(all, AppendRequest(nil, req)...)
	}
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(all)
		sent <- err
	}()
	for _, req := range reqs {
		if _, err := readAnswer(c, req); err != nil {
			return err
		}
	}
	return <-sent
}

func readAnswer(c net.Conn, req kmsg.Request) (kmsg.Response, error) {
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > 256<<20 {
		return nil, errTooLong
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(c, body); err != nil {
		return nil, err
	}
	resp := req.ResponseKind()
	body = body[4:] // its number
	if resp.IsFlexible() && resp.Key() != kmsg.ApiVersions.Int16() {
		body = body[1:] // no tags
	}
	return resp, resp.ReadFrom(body)
}

// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"encoding/binary"
	"errors"
	"io"
	"math"

	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kerr"
)

// stream gives the records of a batch one after the other. Those of a compressed batch are unfolded as they are
// wanted, so that memory holds little more than the largest of them, and nothing is unfolded after one that is wrong.
type stream struct {
	buf      []byte
	from, to int           // buf[from:to] has come and isn't taken
	codec    Codec         // of what is still to be unfolded
	unfold   io.ReadCloser // nil: everything has come
	limit    int           // bytes that may come
	came     int
	err      error // why no more comes; io.EOF at the end
}

// streamBytes is how much is unfolded at once at most, as long as records are no larger.
const streamBytes = 32 << 10

// records begins with the records of a batch, of which at most limit bytes are unfolded: what a few kilobytes can
// unfold to is not the sender's to decide.
func records(codec Codec, b []byte, limit int) (stream, error) {
	if codec == CodecNone {
		return stream{buf: b, to: len(b), err: io.EOF}, nil
	}
	unfold, err := decompressor(codec, b, limit)
	if err != nil {
		return stream{}, err
	}
	size := min(streamBytes, max(512, 4*len(b))) // most batches are small
	return stream{buf: make([]byte, size), codec: codec, unfold: unfold, limit: limit}, nil
}

func (s *stream) close() {
	if s.unfold != nil {
		s.unfold.Close()
	}
}

// next takes a record. It and its bytes are valid until the next call. It returns false if there is none, or it doesn't
// parse.
func (s *stream) next() (one record, bytes []byte, ok bool) {
	n, head := binary.Varint(s.buf[s.from:s.to])
	if head == 0 && s.err == nil {
		s.fill(binary.MaxVarintLen64)
		n, head = binary.Varint(s.buf[s.from:s.to])
	}
	if head <= 0 || n <= 0 || n > math.MaxInt32 || !s.fill(head+int(n)) {
		return record{}, nil, false
	}
	bytes = s.buf[s.from : s.from+head+int(n)]
	s.from += len(bytes)
	one, ok = parseRecord(bytes[head:])
	return one, bytes, ok
}

// trouble returns why unfolding failed; otherwise if it didn't.
func (s *stream) trouble(otherwise error) error {
	if s.err == nil || s.err == io.EOF {
		return otherwise
	}
	return s.err
}

// fill unfolds more until n bytes are there; false if so many don't come.
func (s *stream) fill(n int) bool {
	for s.to-s.from < n && s.err == nil {
		s.makeRoom()
		s.read()
	}
	return s.to-s.from >= n
}

// makeRoom makes room in a buffer that is full. It grows with what comes, not with what a record says of its length.
func (s *stream) makeRoom() {
	switch {
	case s.to < len(s.buf):
	case s.from > 0:
		s.to = copy(s.buf, s.buf[s.from:s.to])
		s.from = 0
	default:
		s.buf = append(s.buf, make([]byte, len(s.buf))...)
	}
}

func (s *stream) read() {
	n, err := s.unfold.Read(s.buf[s.to:])
	s.to, s.came = s.to+n, s.came+n
	switch {
	case s.came > s.limit:
		s.to -= s.came - s.limit
		s.err = tooLarge(s.limit)
	case err == nil, err == io.EOF:
		s.err = err
	case errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, errBlockTooLarge):
		s.err = tooLarge(s.limit)
	default:
		s.err = corruptRecords(s.codec, err)
	}
}

func tooLarge(limit int) error {
	return Errorf(kerr.MessageTooLarge, "the records unfold to more than %d bytes", limit)
}

// corruptRecords is no CORRUPT_MESSAGE: the checksum is right, so to send the same again won't help.
func corruptRecords(codec Codec, err error) error {
	return Errorf(kerr.InvalidRecord, "records don't unfold with codec %d: %v", codec, err)
}

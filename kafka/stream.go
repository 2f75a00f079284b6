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
	unfold   io.Reader     // nil: everything has come
	lender   *Decompressor // whose buffers these are, until close
	limit    int           // bytes that may come
	came     int
	err      error // why no more comes; io.EOF at the end
	heads    bool  // of large records only their heads are wanted
}

// streamBytes is how much is unfolded at once at most, as long as records are no larger.
const streamBytes = 32 << 10

// plainRecords begins with records that aren't compressed.
func plainRecords(b []byte) stream { return stream{buf: b, to: len(b), err: io.EOF} }

// close lets go of the stream's buffers. Nothing that it gave is valid after that.
func (s *stream) close() {
	if s.lender != nil {
		s.lender.giveBack(s)
		s.lender = nil
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
	if head <= 0 || n <= 0 || n > math.MaxInt32 {
		return record{}, nil, false
	}
	if s.unfold != nil && int(n) > s.limit-s.came+s.to-s.from-head {
		s.err = tooLarge(s.limit) // whether it says the truth or not
		return record{}, nil, false
	}
	if s.heads && s.unfold != nil && n > streamBytes {
		s.from += head
		one, ok = s.skim(int(n))
		return one, nil, ok
	}
	if !s.fill(head + int(n)) {
		return record{}, nil, false
	}
	bytes = s.buf[s.from : s.from+head+int(n)]
	s.from += len(bytes)
	one, ok = parseRecord(bytes[head:])
	return one, bytes, ok
}

// skim takes a record of n bytes after its length without holding it whole: its key and value are empty or nil.
func (s *stream) skim(n int) (one record, ok bool) {
	in := skimmer{stream: s, left: n}
	in.skip(1)
	one.timestampDelta = in.varint()
	one.offsetDelta = in.varint()
	one.key = in.nullable()
	one.value = in.nullable()
	headers := in.varint()
	if headers < 0 {
		return record{}, false
	}
	for ; headers > 0 && !in.bad; headers-- {
		if in.nullable() == nil {
			return record{}, false
		}
		in.nullable()
	}
	return one, !in.bad && in.left == 0
}

// skimmer reads a record like reader, but passes over what is in it.
type skimmer struct {
	stream *stream
	left   int // bytes of the record
	bad    bool
}

func (in *skimmer) varint() int64 {
	s := in.stream
	s.fill(min(in.left, binary.MaxVarintLen64))
	v, n := binary.Varint(s.buf[s.from:min(s.to, s.from+in.left)])
	if n <= 0 {
		in.bad = true
		return 0
	}
	s.from, in.left = s.from+n, in.left-n
	return v
}

// nullable passes over bytes after their length as a varint; nil for the length -1 of null.
func (in *skimmer) nullable() []byte {
	n := in.varint()
	if in.bad || n == -1 {
		return nil
	}
	if n < -1 || n > int64(in.left) {
		in.bad = true
		return nil
	}
	in.skip(int(n))
	return []byte{}
}

func (in *skimmer) skip(n int) {
	s := in.stream
	for ; n > 0 && !in.bad; in.bad = !s.fill(1) {
		some := min(n, s.to-s.from)
		s.from, in.left, n = s.from+some, in.left-some, n-some
		if n == 0 {
			return
		}
	}
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
	case cap(s.buf) >= 2*len(s.buf):
		s.buf = s.buf[:2*len(s.buf)]
	default:
		s.buf = append(s.buf, make([]byte, len(s.buf))...)[:2*len(s.buf)]
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

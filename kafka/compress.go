// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// xerial is how snappy is framed by the Java client and librdkafka: this magic, two versions, then
// blocks, each after its length. Other clients send one bare block.
var xerial = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const xerialHead = 16

var errBlockTooLarge = errors.New("a block unfolds to more than all may")

// snappyReader unfolds block by block.
type snappyReader struct {
	rest   []byte // the blocks that are left
	framed bool   // each after its length
	limit  int
	buf    []byte // of one block
	unread []byte // of it
}

// begin begins to read b, keeping the buffer for a block.
func (r *snappyReader) begin(b []byte, limit int) error {
	*r = snappyReader{rest: b, limit: limit, buf: r.buf}
	if !bytes.HasPrefix(b, xerial) {
		return nil
	}
	if len(b) < xerialHead {
		return corruptRecords(CodecSnappy, io.ErrUnexpectedEOF)
	}
	r.rest, r.framed = b[xerialHead:], true
	return nil
}

// Read implements io.Reader.
func (r *snappyReader) Read(p []byte) (int, error) {
	for len(r.unread) == 0 {
		if len(r.rest) == 0 {
			return 0, io.EOF
		}
		block, err := r.take()
		if err != nil {
			return 0, err
		}
		if n, err := s2.DecodedLen(block); err != nil {
			return 0, err
		} else if n > r.limit {
			return 0, errBlockTooLarge
		}
		if r.buf, err = s2.Decode(r.buf[:cap(r.buf)], block); err != nil {
			return 0, err
		}
		r.unread = r.buf
	}
	n := copy(p, r.unread)
	r.unread = r.unread[n:]
	return n, nil
}

// take takes the next block.
func (r *snappyReader) take() (block []byte, err error) {
	if !r.framed {
		block, r.rest = r.rest, nil
		return block, nil
	}
	if len(r.rest) < 4 || uint64(binary.BigEndian.Uint32(r.rest)) > uint64(len(r.rest)-4) {
		return nil, io.ErrUnexpectedEOF
	}
	end := 4 + int(binary.BigEndian.Uint32(r.rest))
	block, r.rest = r.rest[4:end], r.rest[end:]
	return block, nil
}

// compressor writes to out what unfolds to what is written to it; it must be closed.
func compressor(codec Codec, out *bytes.Buffer) (io.WriteCloser, error) {
	switch codec {
	case CodecNone:
		return plainWriter{out}, nil
	case CodecSnappy:
		return &snappyWriter{out: out}, nil
	case CodecGzip:
		return gzip.NewWriter(out), nil
	case CodecLZ4:
		lz := lz4.NewWriter(out)
		return lz, lz.Apply(lz4.ConcurrencyOption(1))
	case CodecZstd:
		return zstd.NewWriter(out, zstd.WithEncoderConcurrency(1))
	}
	return nil, fmt.Errorf("codec %d is unknown", codec)
}

// Compressor compresses one thing after the other. It keeps the tables of the codecs, which are far larger than most of
// what is compressed with them; what comes of it doesn't depend on what was compressed before.
type Compressor struct {
	used [CodecZstd + 1]resetWriter
}

// resetWriter is a compressor that can begin anew.
type resetWriter interface {
	io.WriteCloser
	Reset(out io.Writer)
}

// Compress returns bytes that unfold to b.
func (c *Compressor) Compress(codec Codec, b []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := c.writer(codec, &out)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	err = w.Close()
	return out.Bytes(), err
}

// writer returns a compressor that was used before, if there is one and it can be.
func (c *Compressor) writer(codec Codec, out *bytes.Buffer) (io.WriteCloser, error) {
	if codec >= 0 && int(codec) < len(c.used) && c.used[codec] != nil {
		c.used[codec].Reset(out)
		return c.used[codec], nil
	}
	w, err := compressor(codec, out)
	if again, ok := w.(resetWriter); ok && err == nil {
		c.used[codec] = again
	}
	return w, err
}

type plainWriter struct{ *bytes.Buffer }

// Close implements io.Closer.
func (w plainWriter) Close() error { return nil }

// snappyWriter makes one bare block, which every client reads.
type snappyWriter struct {
	bytes.Buffer
	out *bytes.Buffer
}

// Close implements io.Closer.
func (w *snappyWriter) Close() error {
	_, err := w.out.Write(s2.EncodeSnappy(nil, w.Bytes()))
	return err
}

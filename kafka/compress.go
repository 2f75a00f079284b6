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
	"github.com/twmb/franz-go/pkg/kerr"
)

// xerial is how snappy is framed by the Java client and librdkafka: this magic, two versions, then
// blocks, each after its length. Other clients send one bare block.
var xerial = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const xerialHead = 16

// maxZstdWindow is the largest window that encoders choose at their highest levels.
const maxZstdWindow = 128 << 20

// Decompress returns the records of a batch, at most limit bytes of them: what a few kilobytes can
// unfold to is not the sender's to decide.
func Decompress(codec Codec, b []byte, limit int) ([]byte, error) {
	switch codec {
	case CodecNone:
		return b, nil
	case CodecGzip:
		r, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, corruptRecords(codec, err)
		}
		return readAtMost(codec, r, limit)
	case CodecSnappy:
		return decodeSnappy(b, limit)
	case CodecLZ4:
		return readAtMost(codec, lz4.NewReader(bytes.NewReader(b)), limit)
	case CodecZstd:
		r, err := zstd.NewReader(bytes.NewReader(b), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(max(uint64(limit), maxZstdWindow)))
		if err != nil {
			return nil, corruptRecords(codec, err)
		}
		defer r.Close()
		return readAtMost(codec, r, limit)
	}
	return nil, Errorf(kerr.UnsupportedCompressionType, "codec %d is unknown", codec)
}

func readAtMost(codec Codec, r io.Reader, limit int) ([]byte, error) {
	out, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	switch {
	case errors.Is(err, zstd.ErrDecoderSizeExceeded) || errors.Is(err, zstd.ErrWindowSizeExceeded):
		return nil, tooLarge(limit)
	case err != nil:
		return nil, corruptRecords(codec, err)
	case len(out) > limit:
		return nil, tooLarge(limit)
	}
	return out, nil
}

func tooLarge(limit int) error {
	return Errorf(kerr.MessageTooLarge, "the records unfold to more than %d bytes", limit)
}

// corruptRecords is no CORRUPT_MESSAGE: the checksum is right, so to send the same again won't help.
func corruptRecords(codec Codec, err error) error {
	return Errorf(kerr.InvalidRecord, "records don't unfold with codec %d: %v", codec, err)
}

func decodeSnappy(b []byte, limit int) ([]byte, error) {
	if !bytes.HasPrefix(b, xerial) {
		return decodeSnappyBlock(nil, b, limit)
	}
	if len(b) < xerialHead {
		return nil, corruptRecords(CodecSnappy, io.ErrUnexpectedEOF)
	}
	var out []byte
	for b = b[xerialHead:]; len(b) > 0; {
		if len(b) < 4 || uint64(binary.BigEndian.Uint32(b)) > uint64(len(b)-4) {
			return nil, corruptRecords(CodecSnappy, io.ErrUnexpectedEOF)
		}
		n := int(binary.BigEndian.Uint32(b))
		var err error
		if out, err = decodeSnappyBlock(out, b[4:4+n], limit); err != nil {
			return nil, err
		}
		b = b[4+n:]
	}
	return out, nil
}

func decodeSnappyBlock(out, b []byte, limit int) ([]byte, error) {
	n, err := s2.DecodedLen(b)
	if err != nil {
		return nil, corruptRecords(CodecSnappy, err)
	}
	if len(out)+n > limit {
		return nil, tooLarge(limit)
	}
	block, err := s2.Decode(nil, b)
	if err != nil {
		return nil, corruptRecords(CodecSnappy, err)
	}
	return append(out, block...), nil
}

// Compress is the inverse of Decompress; snappy without framing, which every client reads.
func Compress(codec Codec, b []byte) ([]byte, error) {
	var out bytes.Buffer
	var w io.WriteCloser
	switch codec {
	case CodecNone:
		return b, nil
	case CodecSnappy:
		return s2.EncodeSnappy(nil, b), nil
	case CodecGzip:
		w = gzip.NewWriter(&out)
	case CodecLZ4:
		lz := lz4.NewWriter(&out)
		if err := lz.Apply(lz4.ConcurrencyOption(1)); err != nil {
			return nil, err
		}
		w = lz
	case CodecZstd:
		z, err := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		w = z
	default:
		return nil, fmt.Errorf("codec %d is unknown", codec)
	}
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"bytes"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Decompressor unfolds one batch after the other. It keeps the tables of the codecs and its buffers, which are far larger
// than most batches; what comes of it doesn't depend on what was unfolded before. Nil keeps nothing.
//
// Without it the buffers of a few kilobytes that unfold to gigabytes were garbage, and everybody who allocates pays for
// the collector.
type Decompressor struct {
	buf       []byte // of a stream; nil while there is one
	gzip      *gzip.Reader
	snappy    snappyReader
	lz4       *lz4.Reader
	zstd      *zstd.Decoder
	zstdLimit uint64 // of zstd
}

// keptBuffer is how large a buffer may be that a Decompressor keeps: two of the largest records that most topics take.
const keptBuffer = 4 << 20

// keptWindow is the largest window of zstd for which a decoder is kept: that of encoders at their usual levels.
const keptWindow = 8 << 20

// maxZstdWindow is the largest window that encoders choose at their highest levels.
const maxZstdWindow = 128 << 20

// records begins with the records of a batch, of which at most limit bytes are unfolded: what a few kilobytes can
// unfold to is not the sender's to decide. The stream before must be closed.
func (d *Decompressor) records(codec Codec, b []byte, limit int) (stream, error) {
	if codec == CodecNone {
		return plainRecords(b), nil
	}
	if d == nil {
		d = new(Decompressor)
	}
	unfold, err := d.reader(codec, b, limit)
	if err != nil {
		return stream{}, err
	}
	size := min(streamBytes, max(512, 4*len(b))) // most batches are small
	buf := d.buf
	if d.buf = nil; cap(buf) < size {
		buf = make([]byte, size)
	}
	buf = buf[:size] // as if it were new: what is wrong with a batch may depend on how much is unfolded at once
	return stream{buf: buf, codec: codec, unfold: unfold, limit: limit, lender: d}, nil
}

// giveBack takes the buffers of a stream that has ended, unless they are large: a few batches mustn't cost memory for good.
func (d *Decompressor) giveBack(s *stream) {
	if cap(s.buf) <= keptBuffer {
		d.buf = s.buf
	}
	if cap(d.snappy.buf) > keptBuffer {
		d.snappy.buf = nil
	}
	d.snappy.rest, d.snappy.unread = nil, nil
}

// reader reads what b unfolds to, of which limit bytes are wanted at most.
func (d *Decompressor) reader(codec Codec, b []byte, limit int) (io.Reader, error) {
	switch codec {
	case CodecGzip:
		if d.gzip == nil {
			d.gzip = new(gzip.Reader)
		}
		if err := d.gzip.Reset(bytes.NewReader(b)); err != nil {
			return nil, corruptRecords(codec, err)
		}
		return d.gzip, nil
	case CodecSnappy:
		return &d.snappy, d.snappy.begin(b, limit)
	case CodecLZ4:
		if d.lz4 == nil {
			d.lz4 = lz4.NewReader(nil)
		}
		d.lz4.Reset(bytes.NewReader(b))
		return d.lz4, nil
	case CodecZstd:
		return d.zstdReader(b, limit)
	}
	return nil, Errorf(kerr.UnsupportedCompressionType, "codec %d is unknown", codec)
}

// zstdReader returns a decoder, the one of before if its limit is the same, which can't be changed. One that may have
// taken a large window isn't kept.
func (d *Decompressor) zstdReader(b []byte, limit int) (io.Reader, error) {
	most := max(uint64(limit), maxZstdWindow)
	r := d.zstd
	if r != nil && d.zstdLimit == most {
		if err := r.Reset(bytes.NewReader(b)); err != nil {
			return nil, corruptRecords(CodecZstd, err)
		}
	} else {
		var err error
		r, err = zstd.NewReader(bytes.NewReader(b), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(most))
		if err != nil {
			return nil, corruptRecords(CodecZstd, err)
		}
	}
	d.zstd, d.zstdLimit = r, most
	var head zstd.Header
	if err := head.Decode(b); err != nil || head.WindowSize > keptWindow || bytes.Count(b, zstdMagic) > 1 {
		d.zstd = nil
	}
	return r, nil
}

// zstdMagic begins a frame of zstd; each has a window of its own.
var zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}

// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fill puts random values into a request.
func fill(rng *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if rng.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(rng, v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; name != "Version" && name != "UnknownTags" {
				fill(rng, v.Field(i))
			}
		}
	case reflect.Slice:
		if n := rng.IntN(4); n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n-1, n-1))
		}
		for i := range v.Len() {
			fill(rng, v.Index(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(rng, v.Index(i))
		}
	case reflect.String:
		v.SetString(strings.Repeat("x", rng.IntN(300)))
	case reflect.Bool:
		v.SetBool(rng.IntN(2) == 1)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(rng.Int64())
	case reflect.Uint8:
		v.SetUint(rng.Uint64() & 0xff)
	case reflect.Float64:
		v.SetFloat(rng.NormFloat64())
	default:
		panic("kmsg has a type that fill doesn't know: " + v.Kind().String())
	}
}

// eachVersion calls fn for every key and version whose bodies are parsed.
func eachVersion(fn func(key, version int16)) {
	for key := range int16(kmsg.MaxKey + 1) {
		for version := int16(0); version <= schemaOf(key).max; version++ {
			fn(key, version)
		}
	}
}

// The table of shapes agrees with kmsg: it takes every body that kmsg writes, whole, and nothing
// shorter or longer.
func TestBodiesOfEveryVersion(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	versions := 0
	eachVersion(func(key, version int16) {
		versions++
		for range 30 {
			req := kmsg.RequestForKey(key)
			fill(rng, reflect.ValueOf(req).Elem())
			req.SetVersion(version)
			checkBody(t, rng, Header{Key: key, Version: version}, req.AppendTo(nil))
		}
	})
	if versions < 150 {
		t.Errorf("only %d versions were tried", versions)
	}
}

func checkBody(t *testing.T, rng *rand.Rand, h Header, body []byte) {
	t.Helper()
	got, err := ParseBody(h, body)
	if err != nil {
		t.Fatalf("%v, %x: %v", h, body, err)
	}
	if got.Key() != h.Key || got.GetVersion() != h.Version {
		t.Fatalf("%v is parsed as version %d of key %d", h, got.GetVersion(), got.Key())
	}
	if again := got.AppendTo(nil); !bytes.Equal(again, body) {
		t.Fatalf("%v\n%x comes back as\n%x", h, body, again)
	}
	longer, err := ParseBody(h, append(bytes.Clone(body), 0))
	if err != nil || !bytes.Equal(longer.AppendTo(nil), body) {
		t.Fatalf("%v: a byte follows: %v", h, err)
	}
	for range min(len(body), 5) {
		cut := rng.IntN(len(body))
		if _, err := ParseBody(h, body[:cut]); err == nil {
			t.Fatalf("%v, %x: cut to %d bytes and accepted", h, body, cut)
		}
	}
}

// allocated returns how many bytes fn allocates.
func allocated(fn func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// Whatever the counts in a body say, parsing it allocates a small multiple of its length.
func TestHostileBodies(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	const size = 4 << 10
	eachVersion(func(key, version int16) {
		h := Header{Key: key, Version: version}
		var bodies [][]byte
		for _, fill := range []byte{0, 1, 2, 3, 0x0f, 0x7f, 0x80, 0xff} {
			bodies = append(bodies, bytes.Repeat([]byte{fill}, size))
		}
		for _, count := range []uint32{1, 100, size / 2, size, 1 << 31, 1<<32 - 1} { // at any place
			body := make([]byte, size)
			at := rng.IntN(16)
			binary.BigEndian.PutUint32(body[at:], count)
			bodies = append(bodies, body, append(binary.AppendUvarint(body[:at:at], uint64(count)), body[at:]...))
		}
		for _, body := range bodies {
			if got := allocated(func() { _, _ = ParseBody(h, body) }); got > 150*size {
				t.Errorf("%v: %d bytes allocated for a body of %d that begins with %x", h, got, size, body[:24])
			}
		}
	})
}

// The smallest elements don't multiply a large frame: they are counted before room is made.
func TestLimits(t *testing.T) {
	topics := func(n int) []byte { // Produce v9: no transaction, acks, timeout, n topics "" without partitions
		body := append([]byte{0, 0xff, 0xff, 0, 0, 0, 0}, binary.AppendUvarint(nil, uint64(n)+1)...)
		return append(append(body, bytes.Repeat([]byte{1, 1, 0}, n)...), 0)
	}
	h := Header{Key: 0, Version: 9}
	if _, err := ParseBody(h, topics(maxElements)); err != nil {
		t.Errorf("%d topics: %v", maxElements, err)
	}
	got := allocated(func() {
		if _, err := ParseBody(h, topics(10*maxElements)); err == nil || !strings.Contains(err.Error(), "more than 262144 elements") {
			t.Errorf("ten times as many: %v", err)
		}
	})
	if limit := int64(20 * 10 * maxElements); got > limit { // most of it is what topics itself allocates
		t.Errorf("%d bytes allocated to refuse too many topics", got)
	}
	tags := append([]byte{0, 0xff, 0xff, 0, 0, 0, 0, 1}, 0xff, 0xff, 0xff, 0xff, 0x0f)
	if _, err := ParseBody(h, tags); err == nil || !strings.Contains(err.Error(), "more than 1024 tagged fields") {
		t.Errorf("4294967295 tags: %v", err)
	}
}

// Tags inside a tag count too, and what is in a tag fills it.
func TestTagsInsideTags(t *testing.T) {
	const request = "ffffffff000001f4000000010000ffff00" + "00000000" + "ffffffff" + "01" + "01" + "01" // Fetch v12 without topics
	for _, c := range []struct{ tags, err string }{
		{"01" + "01" + "0d" + "00000001" + "0000000000000002" + "00", ""},
		{"01" + "01" + "11" + "00000001" + "0000000000000002" + "ffffffff0f", "more than 1024 tagged fields"},
		{"01" + "01" + "0c" + "00000001" + "0000000000000002", "ends too early"},
		{"01" + "01" + "0e" + "00000001" + "0000000000000002" + "00" + "00", "ends too early"},
		{"01" + "07" + "0e" + "00000001" + "0000000000000002" + "ffff", ""}, // unknown ones are skipped
	} {
		_, err := ParseBody(Header{Key: 1, Version: 12}, unhex(request+c.tags))
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("tags %s: %v, want %q", c.tags, err, c.err)
		}
	}
}

func TestParseBodyRefusesVersions(t *testing.T) {
	for _, h := range []Header{{Key: 3, Version: -1}, {Key: 3, Version: 14}, {Key: 1, Version: 19}, {Key: 18, Version: 99}} {
		if _, err := ParseBody(h, nil); err == nil || !strings.Contains(err.Error(), "is unknown; versions 0 to") {
			t.Errorf("%v: %v", h, err)
		}
	}
	for _, key := range []int16{-1, 4, 93, 1000} { // of no release, or only between Kafka's own brokers
		if _, err := ParseBody(Header{Key: key}, nil); !errors.Is(err, ErrUnknownKey) {
			t.Errorf("key %d: %v", key, err)
		}
	}
}

// What old versions don't say has the meaning that Kafka gave it.
func TestAbsentFields(t *testing.T) {
	for _, c := range []struct {
		name    string
		key     int16
		version int16
		body    string
		want    func(kmsg.Request) bool
	}{
		{"Metadata v0 without topics means all", 3, 0, "00000000", func(r kmsg.Request) bool { return r.(*kmsg.MetadataRequest).Topics == nil }},
		{"Metadata v0 creates topics", 3, 0, "00000000", func(r kmsg.Request) bool { return r.(*kmsg.MetadataRequest).AllowAutoTopicCreation }},
		{"Metadata v1 with an empty array means none", 3, 1, "00000000", func(r kmsg.Request) bool {
			m := r.(*kmsg.MetadataRequest)
			return m.Topics != nil && len(m.Topics) == 0 && m.AllowAutoTopicCreation
		}},
		{"Metadata v1 with null means all", 3, 1, "ffffffff", func(r kmsg.Request) bool { return r.(*kmsg.MetadataRequest).Topics == nil }},
		{"Metadata v13 as librdkafka 2.16 sends it, with three bytes too many", 3, 13, "00000000" + "010000", func(r kmsg.Request) bool {
			m := r.(*kmsg.MetadataRequest)
			return m.Topics == nil && !m.AllowAutoTopicCreation
		}},
		{"Metadata v4 says no", 3, 4, "ffffffff00", func(r kmsg.Request) bool { return !r.(*kmsg.MetadataRequest).AllowAutoTopicCreation }},
		{"Metadata v4 says yes", 3, 4, "ffffffff01", func(r kmsg.Request) bool { return r.(*kmsg.MetadataRequest).AllowAutoTopicCreation }},
		{"JoinGroup v0 rebalances within the session timeout", 11, 0, "0001670000271000000000" + "00000000", func(r kmsg.Request) bool {
			j := r.(*kmsg.JoinGroupRequest)
			return j.SessionTimeoutMillis == 10000 && j.RebalanceTimeoutMillis == 10000
		}},
		{"JoinGroup v1 says itself", 11, 1, "00016700002710000013880000" + "0000" + "00000000", func(r kmsg.Request) bool {
			return r.(*kmsg.JoinGroupRequest).RebalanceTimeoutMillis == 5000
		}},
		{"Fetch v4 has no epoch to check", 1, 4, "ffffffff000001f4000000010000ffff00" + "00000001" + "000174" + "00000001" + "00000000" + "0000000000000007" + "0000ffff", func(r kmsg.Request) bool {
			f := r.(*kmsg.FetchRequest)
			p := f.Topics[0].Partitions[0]
			return f.SessionID == 0 && f.SessionEpoch == -1 && p.CurrentLeaderEpoch == -1 && p.FetchOffset == 7 && p.LogStartOffset == -1
		}},
		{"InitProducerId v0 has no producer id", 22, 0, "ffff" + "00000000", func(r kmsg.Request) bool {
			i := r.(*kmsg.InitProducerIDRequest)
			return i.TransactionalID == nil && i.ProducerID == -1 && i.ProducerEpoch == -1
		}},
	} {
		req, err := ParseBody(Header{Key: c.key, Version: c.version}, unhex(c.body))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if !c.want(req) {
			t.Errorf("%s: %+v", c.name, req)
		}
	}
}

func FuzzParseRequest(f *testing.F) {
	for _, seed := range requestSeeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		h, body, err := ParseHeader(frame)
		if err != nil {
			return
		}
		req, err := ParseBody(h, body)
		if err != nil {
			return
		}
		if _, err := ParseBody(h, req.AppendTo(nil)); err != nil {
			t.Errorf("%v is parsed, but what it is written as isn't: %v", h, err)
		}
	})
}

// A body with more elements, or text, than are wanted now is looked at as far as that, and said to be large; whole it is
// parsed.
func TestLargeBodies(t *testing.T) {
	metadata := func(n, text int) ([]byte, Header) {
		req := kmsg.NewPtrMetadataRequest()
		req.Version = 9
		for range n {
			topic := kmsg.NewMetadataRequestTopic()
			topic.Topic = kmsg.StringPtr(strings.Repeat("x", text))
			req.Topics = append(req.Topics, topic)
		}
		return req.AppendTo(nil), Header{Key: 3, Version: 9}
	}
	for _, c := range []struct {
		n, text int
		large   bool
	}{{100, 1, false}, {101, 1, true}, {2, 30 << 10, false}, {1, 200 << 10, true}, {4, 30 << 10, true}} {
		body, h := metadata(c.n, c.text)
		_, n, err := ParseWithin(h, body, 100)
		if c.large != errors.Is(err, ErrLarge) || !c.large && (err != nil || n != c.n+c.n*c.text/textElement) {
			t.Errorf("%d names of %d bytes: %d elements, %v", c.n, c.text, n, err)
		}
		if req, err := ParseBody(h, body); err != nil || len(req.(*kmsg.MetadataRequest).Topics) != c.n {
			t.Errorf("%d names of %d bytes: %v", c.n, c.text, err)
		}
	}
	body, h := metadata(50_000, 10)
	if got := allocated(func() { _, _, _ = ParseWithin(h, body, 100) }); got > 1000 {
		t.Errorf("%d bytes allocated to find a body large", got)
	}
	if _, _, err := ParseHeader(append([]byte{0, 3, 0, 9, 0, 0, 0, 1, 0xff, 0xff}, append(binary.AppendUvarint(nil, 1<<20), make([]byte, 2<<20)...)...)); err == nil {
		t.Error("a header with a million tags is taken")
	}
}

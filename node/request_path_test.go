// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// requestMaker fills requests with values that reach deep into the handlers: names of what exists
// and of what doesn't, small numbers, real batches, answers of earlier requests.
type requestMaker struct {
	rng     *rand.Rand
	topicID [16]byte
	members []string // ids that the coordinator gave
}

// make returns a well-formed request.
func (m *requestMaker) make(key, version int16) kmsg.Request {
	req := kmsg.RequestForKey(key)
	m.fill(reflect.ValueOf(req).Elem(), "")
	req.SetVersion(version)
	return req
}

// fill sets a value by its type and the name of its field.
func (m *requestMaker) fill(v reflect.Value, name string) {
	switch v.Kind() {
	case reflect.Pointer:
		if m.rng.IntN(5) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			m.fill(v.Elem(), name)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i).Name; f != "Version" && f != "UnknownTags" {
				m.fill(v.Field(i), f)
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes(m.bytes(name))
			return
		}
		if n := m.rng.IntN(4); n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n-1, n-1))
		}
		for i := range v.Len() {
			m.fill(v.Index(i), strings.TrimSuffix(name, "s"))
		}
	case reflect.Array:
		if m.rng.IntN(3) > 0 {
			v.Set(reflect.ValueOf(m.topicID))
		}
	case reflect.String:
		v.SetString(m.text(name))
	case reflect.Bool:
		v.SetBool(m.rng.IntN(2) == 1)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(m.number(name))
	case reflect.Float64:
		v.SetFloat(float64(m.number(name)))
	default:
		panic("requests have a type that fill doesn't know: " + v.Kind().String())
	}
}

func (m *requestMaker) number(name string) int64 {
	switch {
	case name == "SessionTimeoutMillis":
		return int64(1000 + m.rng.IntN(1000))
	case name == "Generation" || name == "MemberEpoch":
		return pick(m.rng, []int64{-1, 0, 0, 1, 2})
	case name == "ResourceType":
		return pick(m.rng, []int64{2, 2, 4, 8, 1})
	case strings.Contains(name, "Millis"):
		return int64(m.rng.IntN(300))
	case name == "MaxBytes" || name == "PartitionMaxBytes":
		return pick(m.rng, []int64{0, 1, 100, 1 << 20})
	case name == "Acks":
		return pick(m.rng, []int64{-1, -1, 1, 2})
	case m.rng.IntN(10) == 0:
		return int64(m.rng.Uint64())
	}
	return pick(m.rng, []int64{-2, -1, 0, 0, 0, 1, 1, 2, 3, 7})
}

func (m *requestMaker) text(name string) string {
	switch {
	case name == "MemberID":
		return pick(m.rng, append(m.members[max(0, len(m.members)-3):], "", "", "a", "b"))
	case strings.Contains(name, "Group") || name == "CoordinatorKey":
		return pick(m.rng, []string{"g", "h", ""})
	case name == "ProtocolType":
		return "consumer"
	case name == "ResourceName":
		return pick(m.rng, []string{"t", "1", "", "x"})
	case name == "Config" || name == "Name":
		return pick(m.rng, []string{"retention.ms", "cleanup.policy", "min.insync.replicas", "min.cleanable.dirty.ratio", "range", "x"})
	case name == "Value":
		return pick(m.rng, []string{"1000", "compact", "0.5", "2", "-1", ""})
	case strings.Contains(name, "Assignor"):
		return pick(m.rng, []string{"uniform", "range", "x"})
	}
	return pick(m.rng, []string{"t", "t", "t", "u", "", "__cluster_metadata", "no such topic", "..", strings.Repeat("x", 300)})
}

func (m *requestMaker) bytes(name string) []byte {
	if name == "Records" {
		return pick(m.rng, [][]byte{plain("a", "b"), batch(7, 0, int32(m.rng.IntN(3)), "c"), append(plain("d"), plain("e")...), plain("f")[:30], nil})
	}
	noise := make([]byte, m.rng.IntN(40))
	for i := range noise {
		noise[i] = byte(m.rng.IntN(4))
	}
	return noise
}

func pick[T any](rng *rand.Rand, from []T) T { return from[rng.IntN(len(from))] }

// learn remembers what an answer gave.
func (m *requestMaker) learn(resp kmsg.Response) {
	switch r := resp.(type) {
	case *kmsg.JoinGroupResponse:
		m.members = append(m.members, r.MemberID)
	case *kmsg.ConsumerGroupHeartbeatResponse:
		if r.MemberID != nil {
			m.members = append(m.members, *r.MemberID)
		}
	}
}

// newRequestMaker is for a broker that coordinates groups.
func newRequestMaker(o *one, seed uint64) *requestMaker {
	o.t.Helper()
	m := &requestMaker{rng: rand.New(rand.NewPCG(seed, 1))}
	m.furnish(o)
	return m
}

// furnish makes sure that topic "t" is there and has records.
func (m *requestMaker) furnish(o *one) {
	o.t.Helper()
	if id := o.idOf("t"); id == noTopicID {
		o.create("t")
	}
	o.produce("t", plain("x", "y"))
	m.topicID = o.idOf("t")
}

// Every version that is advertised answers well-formed requests with what a client of that version
// can parse, whole.
func TestWellFormedRequestsOfEveryVersion(t *testing.T) {
	rounds := uint64(300)
	if testing.Short() {
		rounds = 30
	}
	for seed := range rounds {
		o := newGroups(t, nil)
		m := newRequestMaker(o, seed)
		var all []kafka.Header
		for _, a := range apiTable() {
			for v := max(a.min, a.served); v <= a.max; v++ {
				all = append(all, kafka.Header{Key: a.key.Int16(), Version: v})
			}
		}
		m.rng.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
		for i, h := range all {
			if i%10 == 0 {
				m.furnish(o)
			}
			o.answersWell(m, ConnID(100+i), m.make(h.Key, h.Version))
		}
		o.stillServes()
	}
}

// answersWell sends a request on a connection of its own. It may wait as long as what it waits for
// (the other members of a group) doesn't come; otherwise its answer has to be well-formed.
func (o *one) answersWell(m *requestMaker, conn ConnID, req kmsg.Request) {
	o.t.Helper()
	o.step(Input{Requests: []Request{{Conn: conn, Frame: kafka.AppendRequest(nil, 5, "test", req)}}})
	for i := 0; len(o.replies) == 0 && i < 50; i++ {
		o.step(Input{})
	}
	for _, r := range o.replies {
		if r.Conn != conn {
			continue // an older one that waited
		}
		if r.Close {
			o.t.Fatalf("%s v%d was refused: %+v", kmsg.NameForKey(req.Key()), req.GetVersion(), req)
		}
		resp := req.ResponseKind()
		resp.SetVersion(req.GetVersion())
		frame := kafka.Frame(r.Frame).Bytes()
		id, err := kafka.ParseResponse(frame, resp)
		if again := kafka.AppendResponse(nil, id, resp); err != nil || !bytes.Equal(again, frame) {
			o.t.Fatalf("%s v%d: %v; answer %x is read as %x", kmsg.NameForKey(req.Key()), req.GetVersion(), err, frame, again)
		}
		m.learn(resp)
	}
	if len(o.replies) == 0 && req.Key() != kmsg.JoinGroup.Int16() && req.Key() != kmsg.SyncGroup.Int16() {
		o.t.Errorf("%s v%d isn't answered in a second: %+v", kmsg.NameForKey(req.Key()), req.GetVersion(), req)
	}
	o.replies = nil
	o.step(Input{Hangups: []ConnID{conn}})
}

// stillServes looks whether others are served as if nothing had been.
func (o *one) stillServes() {
	o.t.Helper()
	o.replies = nil
	o.step(Input{Hangups: []ConnID{1}})
	o.create("after-all")
	offset, e := o.produce("after-all", plain("z"))
	if got := o.read("after-all", 0); offset != 0 || e != "NONE" || len(got) != 1 || got[0] != "0=z" {
		o.t.Errorf("after all that: offset %d, %s, read %v", offset, e, got)
	}
}

// A request that is cut short, wherever, ends its connection, and nothing else.
func TestTruncatedRequestsOfEveryVersion(t *testing.T) {
	o := newOne(t, nil)
	m := newRequestMaker(o, 1)
	conn := ConnID(10)
	for _, a := range apiTable() {
		for v := max(a.min, a.served); v <= a.max; v++ {
			frame := kafka.AppendRequest(nil, 5, "test", m.make(a.key.Int16(), v))
			for _, cut := range cuts(m.rng, len(frame)) {
				conn++
				o.step(Input{Requests: []Request{{Conn: conn, Frame: frame[:cut]}}})
				if len(o.replies) != 1 || !o.replies[0].Close || len(o.replies[0].Frame) > 0 {
					t.Errorf("%s v%d cut to %d of %d bytes: %+v", a.key.Name(), v, cut, len(frame), o.replies)
				}
				o.replies = nil
				o.step(Input{Hangups: []ConnID{conn}})
			}
		}
	}
	o.stillServes()
}

// cuts returns every length below n of a short frame, and thirty of a long one.
func cuts(rng *rand.Rand, n int) (at []int) {
	for cut := range n {
		if n <= 60 || cut == n-1 || rng.IntN(n) < 30 {
			at = append(at, cut)
		}
	}
	return at
}

// frames cuts what a fuzzer made into frames: two bytes of length each.
func frames(raw []byte) (list [][]byte) {
	for len(raw) >= 2 && len(list) < 16 {
		n := min(int(binary.BigEndian.Uint16(raw)), len(raw)-2)
		list = append(list, raw[2:2+n])
		raw = raw[2+n:]
	}
	return list
}

func appendFramed(raw, frame []byte) []byte {
	return append(binary.BigEndian.AppendUint16(raw, uint16(len(frame))), frame...)
}

// FuzzRequestPath gives a broker whatever bytes, on three connections. It must not panic, must come to
// rest, must answer each connection in order and at most once per request, and must serve others after
// it. Its seeds are every version of every request; testdata/fuzz has what was found to reach further.
//
//	go test ./node -run '^$' -fuzz FuzzRequestPath -fuzztime 10m
func FuzzRequestPath(f *testing.F) {
	seeds := &requestMaker{rng: rand.New(rand.NewPCG(3, 3)), topicID: [16]byte{1}}
	for _, a := range apiTable() {
		for v := a.min; v <= a.max; v++ {
			var raw []byte
			for range 2 {
				raw = appendFramed(raw, kafka.AppendRequest(nil, 5, "f", seeds.make(a.key.Int16(), v)))
			}
			f.Add(raw)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		o := newGroups(t, nil)
		newRequestMaker(o, 1)
		sent := make(map[ConnID]int)
		for i, frame := range frames(raw) {
			conn := ConnID(10 + i%3)
			sent[conn]++
			o.step(Input{Requests: []Request{{Conn: conn, Frame: frame}}})
		}
		for range 20 {
			o.step(Input{})
		}
		got, closed := make(map[ConnID]int), make(map[ConnID]bool)
		for _, r := range o.replies {
			if got[r.Conn]++; got[r.Conn] > sent[r.Conn] || closed[r.Conn] {
				t.Fatalf("connection %d has %d answers to %d requests, closed %v", r.Conn, got[r.Conn], sent[r.Conn], closed[r.Conn])
			}
			closed[r.Conn] = closed[r.Conn] || r.Close
		}
		o.step(Input{Hangups: []ConnID{10, 11, 12}})
		o.stillServes()
	})
}

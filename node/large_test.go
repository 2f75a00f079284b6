// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// metadataOf asks for so many topics that aren't there.
func metadataOf(n int) *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 9
	for i := range n {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(fmt.Sprint("absent", i))
		req.Topics = append(req.Topics, topic)
	}
	return req
}

// kinds are those of the tasks that are wanted.
func (h *held) kinds() (kinds []TaskKind) {
	for _, t := range h.tasks {
		kinds = append(kinds, t.Kind)
	}
	return kinds
}

// A large request is parsed, and its answer encoded, by a task. The next request of its connection waits, those of others
// don't, and answers keep their order.
func TestLargeRequestsKeepTheirOrder(t *testing.T) {
	h := &held{one: newOne(t, nil)}
	h.send(1, 1, metadataOf(5000))
	h.send(1, 2, metadataOf(1))
	h.send(2, 3, metadataOf(1))
	if len(h.tasks) != 1 || h.tasks[0].Kind != TaskParse || len(h.replies) != 1 || h.replies[0].Conn != 2 || h.node.begun != 1 {
		t.Fatalf("tasks %v, %d answers", h.kinds(), len(h.replies))
	}
	h.finish(0)
	if len(h.tasks) != 2 || h.tasks[1].Kind != TaskEncode || len(h.replies) != 1 {
		t.Fatalf("tasks %v, %d answers", h.kinds(), len(h.replies))
	}
	if h.held(); h.node.large.memory.used < 5000*elementBytes {
		t.Errorf("%d bytes are charged", h.node.large.memory.used)
	}
	h.finish(1)
	if len(h.replies) != 3 || h.replies[1].Frame[0][3] != 1 || h.replies[2].Frame[0][3] != 2 || h.node.large.memory.used != 0 {
		t.Errorf("%d answers, %d bytes are charged", len(h.replies), h.node.large.memory.used)
	}
	h.held()
}

// Whoever hangs up gives everything back, whatever its large request waits for.
func TestHangUpOfLargeRequests(t *testing.T) {
	h := &held{one: newOne(t, func(c *Config) { c.LargeBytes = 6000 * elementBytes })}
	h.send(1, 1, metadataOf(5000)) // to be encoded
	h.finish(0)
	h.send(2, 2, metadataOf(5000)) // parsed, waits for memory
	h.finish(2)
	h.send(3, 3, metadataOf(5000)) // waits for its turn to be parsed
	if h.node.large.waiting.len != 1 || len(h.tasks) != 3 {
		t.Fatalf("the second must wait for memory, and the third for its turn: %v", h.kinds())
	}
	h.run(Input{Hangups: []ConnID{2}})
	if h.held(); len(h.tasks) != 4 || h.tasks[3].Kind != TaskParse {
		t.Fatalf("the third has its turn now: %v", h.kinds())
	}
	h.run(Input{Hangups: []ConnID{1}})
	h.held()
	h.run(Input{Hangups: []ConnID{3}})
	h.finish(1, 3)
	if h.held(); h.node.large.memory.used != 0 || h.node.large.parses.taken+h.node.large.encodes.taken != 0 {
		t.Errorf("%+v", h.node.large)
	}
	h.send(4, 4, metadataOf(5000))
	if len(h.tasks) != 5 {
		t.Error("the next large request isn't parsed")
	}
}

// What waits for memory is served when there is some.
func TestALargeRequestWaitsForMemory(t *testing.T) {
	h := &held{one: newOne(t, func(c *Config) { c.LargeBytes = 6000 * elementBytes })}
	h.send(1, 1, metadataOf(5000))
	h.finish(0)
	h.send(2, 2, metadataOf(5000))
	h.finish(2)
	h.finish(1)
	if len(h.replies) != 1 || len(h.tasks) != 4 || h.tasks[3].Kind != TaskEncode {
		t.Fatalf("%d answers, tasks %v", len(h.replies), h.kinds())
	}
	if h.finish(3); len(h.replies) != 2 || h.held().Requests != 0 {
		t.Errorf("%d answers", len(h.replies))
	}
}

// full puts something into every field, and long texts or none into those that have some.
func full(v reflect.Value, long bool) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && v.Type().Field(i).Type != reflect.TypeFor[kmsg.Tags]() && v.Type().Field(i).Name != "Version" {
				full(v.Field(i), long)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 3, 3))
		for i := range v.Len() {
			full(v.Index(i), long)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		full(v.Elem(), long)
	case reflect.String:
		if long {
			v.SetString(strings.Repeat("x", 1000))
		}
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(-2) // nowhere the default, which is left out of tagged fields
	case reflect.Float64:
		v.SetFloat(-2)
	}
}

// A frame doesn't grow while it is written: no answer takes more than is expected, with texts or without, in any version.
func TestFramesDoNotGrow(t *testing.T) {
	for _, api := range apiTable() {
		if api.key == kmsg.Fetch { // kafka.FetchFrame writes it
			continue
		}
		for version := api.min; version <= api.max; version++ {
			for _, long := range []bool{false, true} {
				resp := kmsg.ResponseForKey(int16(api.key))
				full(reflect.ValueOf(resp).Elem(), long)
				resp.SetVersion(version)
				var c counters
				most := headerBytes + c.encodedMost(reflect.ValueOf(resp).Elem())
				if size := len(kafka.AppendResponse(nil, 1, resp)); size > most {
					t.Errorf("%s version %d takes %d bytes, but at most %d are expected", api.key.Name(), version, size, most)
				}
				task := Task{Kind: TaskEncode, Header: kafka.Header{Key: int16(api.key), Version: version}, Response: resp}
				if res := task.Do(); cap(res.Frame[0]) < most {
					t.Errorf("%s version %d: the frame has room for %d bytes of %d", api.key.Name(), version, cap(res.Frame[0]), most)
				}
			}
		}
	}
}

// listing asks for n things by name, in each list that the request has.
func listing(req kmsg.Request, n int) kmsg.Request {
	v := reflect.ValueOf(req).Elem()
	for i := range v.NumField() {
		list := v.Field(i)
		if list.Kind() != reflect.Slice || list.Type().Elem().Kind() == reflect.Uint8 {
			continue
		}
		list.Set(reflect.MakeSlice(list.Type(), n, n))
		for j := range n {
			if e := list.Index(j); e.Kind() == reflect.String {
				e.SetString(fmt.Sprint("absent", j))
			} else if e.Kind() == reflect.Struct {
				name(e, fmt.Sprint("absent", j))
			}
		}
	}
	return req
}

// name sets the texts of a struct.
func name(e reflect.Value, text string) {
	for i := range e.NumField() {
		switch f := e.Field(i); {
		case f.Kind() == reflect.String:
			f.SetString(text)
		case f.Kind() == reflect.Pointer && f.Type().Elem().Kind() == reflect.String:
			f.Set(reflect.ValueOf(&text))
		}
	}
}

// The list of a large answer has its size from the beginning. Growing, it would be copied again and again, each time in one step.
func TestListsDoNotGrow(t *testing.T) {
	const n = 5000
	lists := 0
	for _, api := range apiTable() {
		req := kmsg.RequestForKey(int16(api.key))
		req.SetVersion(api.max)
		h := &held{one: newOne(t, nil)}
		if h.send(1, 1, listing(req, n)); len(h.tasks) == 0 {
			continue // it has no list
		}
		h.finish(0)
		for i := 0; len(h.tasks) < 2 && i < 1000; i++ {
			h.step(Input{})
		}
		if len(h.tasks) < 2 || h.tasks[1].Kind != TaskEncode {
			continue // an error for all
		}
		resp := reflect.ValueOf(h.tasks[1].Response).Elem()
		for i := range resp.NumField() {
			if f := resp.Field(i); f.Kind() == reflect.Slice && f.Len() >= n/2 {
				lists++
				if f.Cap() > f.Len() && f.Cap() != n {
					t.Errorf("%s: %s has %d elements and room for %d", api.key.Name(), resp.Type().Field(i).Name, f.Len(), f.Cap())
				}
			}
		}
	}
	if lists < 18 {
		t.Errorf("only %d lists were looked at", lists)
	}
}

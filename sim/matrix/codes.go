// SPDX-License-Identifier: Apache-2.0

package matrix

import (
	"reflect"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// codes counts the error codes in an answer, wherever they are. A code stands in the answer as a whole, in what is
// answered for each topic, group or resource, or in both; a whole without an error says nothing beside parts with one.
func (v *visit) codes(resp kmsg.Response) {
	switch resp := resp.(type) { // those that there are many of
	case *kmsg.ProduceResponse:
		for i := range resp.Topics {
			for j := range resp.Topics[i].Partitions {
				v.code(resp.Topics[i].Partitions[j].ErrorCode)
			}
		}
		return
	case *kmsg.FetchResponse:
		if resp.ErrorCode != 0 {
			v.code(resp.ErrorCode)
		}
		for i := range resp.Topics {
			for j := range resp.Topics[i].Partitions {
				v.code(resp.Topics[i].Partitions[j].ErrorCode)
			}
		}
		return
	}
	failed := false
	v.counter.layouts.walk(reflect.ValueOf(resp).Elem(), func(code int16) {
		failed = failed || code != 0
		if code != 0 {
			v.code(code)
		}
	})
	if !failed {
		v.code(0)
	}
}

// layouts remembers where structs have error codes, and lists of structs that may have some.
type layouts map[reflect.Type]*layout

type layout struct{ codes, lists []int }

func (l layouts) walk(s reflect.Value, each func(code int16)) {
	at := l[s.Type()]
	if at == nil {
		at = layoutOf(s.Type())
		l[s.Type()] = at
	}
	for _, i := range at.codes {
		each(int16(s.Field(i).Int()))
	}
	for _, i := range at.lists {
		for j := range s.Field(i).Len() {
			l.walk(s.Field(i).Index(j), each)
		}
	}
}

func layoutOf(t reflect.Type) *layout {
	l := new(layout)
	for i := range t.NumField() {
		f := t.Field(i)
		switch {
		case f.Name == "ErrorCode" && f.Type.Kind() == reflect.Int16:
			l.codes = append(l.codes, i)
		case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
			l.lists = append(l.lists, i)
		}
	}
	return l
}

// Codes lists the names of the error codes in an answer; OK if it has none.
func (c *Counter) Codes(resp kmsg.Response) (names []string) {
	c.layouts.walk(reflect.ValueOf(resp).Elem(), func(code int16) {
		if code != 0 {
			names = append(names, kafka.CodeName(code))
		}
	})
	if len(names) == 0 {
		return []string{"OK"}
	}
	return names
}

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// At LogDebug the operator is told of each error that a client gets: of what, and why. Else nothing is done for it but to ask for the
// level. The reason is the text in the answer. Where answers have no place for one, it is what the handler noted when it turned
// an error into a code (request.code), and else what the code means in general.
//
// Clients cause these lines, so they are few: toldErrors in a second, and of an answer with very many elements the first ones.

const (
	toldErrors = 50   // in a second
	lookedAt   = 2000 // elements of an answer, structs in lists
)

// errorTeller counts what is told.
type errorTeller struct {
	second int64 // of nowMs
	told   int   // in it
	left   int   // untold since the last line
}

// code returns the code for an error that the request is answered, and remembers why.
func (r *request) code(err error) int16 {
	c := code(err)
	if err != nil && r.node.logLevel <= LogDebug {
		r.noteReason(c, err)
	}
	return c
}

// noteReason keeps the first reason for each code.
func (r *request) noteReason(c int16, err error) {
	if r.reasons == nil {
		r.reasons = make(map[int16]string)
	}
	if _, known := r.reasons[c]; !known {
		r.reasons[c] = strings.TrimPrefix(err.Error(), kafka.CodeName(c)+": ")
	}
}

// noteSubject remembers what a request is about as a whole, which its answer doesn't say.
func (r *request) noteSubject(m kmsg.Request) {
	r.subject = strings.Join(namesIn(reflect.ValueOf(m).Elem()), ", ")
}

// tellErrors tells of the errors in an answer.
func (r *request) tellErrors(resp kmsg.Response) {
	if r.node.logLevel > LogDebug {
		return
	}
	w := errorWalk{request: r, left: lookedAt}
	w.walk(reflect.ValueOf(resp).Elem())
	r.node.out.Work.Elements += lookedAt - max(w.left, 0)
}

// errorWalk looks for error codes in an answer.
type errorWalk struct {
	request *request
	within  []reflect.Value // the structs around
	left    int             // elements that it still looks at
}

func (w *errorWalk) walk(v reflect.Value) {
	if w.left--; w.left < 0 {
		return
	}
	w.within = append(w.within, v)
	l := w.request.node.counters.layout(v.Type())
	for _, i := range l.codes {
		if code := int16(v.Field(i).Int()); code != 0 {
			w.tell(v, code)
		}
	}
	for _, i := range l.lists {
		list := v.Field(i)
		for j := 0; j < list.Len() && w.left > 0; j++ {
			w.walk(list.Index(j))
		}
	}
	w.within = w.within[:len(w.within)-1]
}

// tell tells of one code, unless there were too many lately.
func (w *errorWalk) tell(v reflect.Value, code int16) {
	r := w.request
	n := r.node
	t := &n.errorTeller
	if second := n.nowMs() / 1000; second != t.second {
		t.second, t.told = second, 0
	}
	if t.told == toldErrors {
		t.left++
		return
	}
	t.told++
	var about []string
	if r.subject != "" {
		about = append(about, r.subject)
	}
	for _, s := range w.within {
		about = append(about, namesIn(s)...)
	}
	n.event(Event{
		Kind: EventErrorAnswered, N: int64(r.conn.id), Term: uint64(t.left), Text: fmt.Sprintf("%.1000s", r.reasonFor(v, code)),
		Audit: r.auditOf(strings.Join(about, ", "), code),
	})
	t.left = 0
}

// reasonFor says why an answer has a code in a struct.
func (r *request) reasonFor(v reflect.Value, code int16) string {
	if f := v.FieldByName("ErrorMessage"); f.IsValid() && f.Type() == reflect.TypeFor[*string]() && !f.IsNil() && f.Elem().Len() > 0 {
		return strings.TrimPrefix(f.Elem().String(), kafka.CodeName(code)+": ")
	}
	if why, ok := r.reasons[code]; ok {
		return why
	}
	if e := kerr.TypedErrorForCode(code); e != nil {
		return e.Description
	}
	return ""
}

// subjects are the fields that say what a struct of a request or an answer is about, and what that is for people.
var subjects = []struct{ field, what string }{
	{"TransactionalID", "transactional id"},
	{"Group", "group"},
	{"Topic", "topic"},
	{"TopicID", "topic id"},
	{"Partition", "partition"},
	{"ResourceName", "resource"},
	{"User", "user"},
	{"Key", "key"},
}

// namesIn lists what a struct is about, in words.
func namesIn(v reflect.Value) (names []string) {
	for _, s := range subjects {
		f := v.FieldByName(s.field)
		if f.Kind() == reflect.Pointer {
			f = f.Elem()
		}
		switch {
		case !f.IsValid() || f.IsZero() && f.Kind() != reflect.Int32:
		case f.Kind() == reflect.String:
			names = append(names, fmt.Sprintf("%s %.249s", s.what, f.String()))
		case f.Kind() == reflect.Int32:
			names = append(names, fmt.Sprintf("%s %d", s.what, f.Int()))
		case f.Kind() == reflect.Array:
			names = append(names, fmt.Sprintf("%s %x", s.what, f.Interface()))
		}
	}
	return names
}

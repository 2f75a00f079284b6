// SPDX-License-Identifier: Apache-2.0

// Package matrix counts what the clients of simulated worlds were answered: by kind of request, class of its version, and
// outcome. An outcome is an error code, or something in a request or its answer by which the broker takes another path.
//
// Reading order: matrix.go (cells, and the counter of a run), table.go (what there is, and what no client can meet),
// options.go (what of a request counts), codes.go (where the codes of an answer are).
package matrix

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node"
)

// class is a part of the versions of a kind of request.
type class int

const (
	oldest class = iota // the first that is served
	middle              // those between
	newest              // the last
	classes
)

func (c class) String() string { return [...]string{"oldest", "middle", "newest"}[c] }

// outcome is something that may come of a request in some versions.
type outcome struct {
	name  string
	first int16
	last  int16
}

// api is a row of the table, with where its cells are.
type api struct {
	name        string
	first, last int16
	outcomes    []outcome
	cells       int // of its first cell; by class, then by outcome
}

// classOf is the class of a version. Where there is only one version it is the newest.
func (a *api) classOf(version int16) class {
	switch {
	case version >= a.last:
		return newest
	case version <= a.first:
		return oldest
	}
	return middle
}

// has reports whether an outcome can come of a version of a class.
func (a *api) has(c class, o *outcome) bool {
	first, last := a.first, a.last
	switch c {
	case oldest:
		last = a.first
	case middle:
		first, last = a.first+1, a.last-1
	case newest:
		first = a.last
	}
	if c == oldest && a.first == a.last {
		return false
	}
	return first <= last && o.first <= last && o.last >= first
}

// apis is the table, by key; nil where a kind isn't served.
var apis, cellNames = layOut()

// layOut gives each cell of the table its place.
func layOut() (byKey []*api, names []string) {
	ranges := node.Versions()
	for i, name := range node.APIs() {
		r := ranges[i]
		a := &api{name: name, first: r.First, last: r.Last, cells: len(names)}
		for _, word := range strings.Fields(outcomesOf[name]) {
			a.outcomes = append(a.outcomes, parseOutcome(word))
		}
		for c := range classes {
			for _, o := range a.outcomes {
				names = append(names, fmt.Sprintf("%s/%v/%s", name, c, o.name))
			}
		}
		for len(byKey) <= int(r.Key) {
			byKey = append(byKey, nil)
		}
		byKey[r.Key] = a
	}
	return byKey, names
}

// parseOutcome reads NAME, NAME@FIRST, NAME@-LAST or NAME@FIRST-LAST.
func parseOutcome(word string) outcome {
	name, versions, limited := strings.Cut(word, "@")
	o := outcome{name, 0, 1<<15 - 1}
	if !limited {
		return o
	}
	first, last, bounded := strings.Cut(versions, "-")
	if first != "" {
		n, err := strconv.ParseInt(first, 10, 16)
		if err != nil {
			panic(word)
		}
		o.first = int16(n)
	}
	if bounded {
		n, err := strconv.ParseInt(last, 10, 16)
		if err != nil {
			panic(word)
		}
		o.last = int16(n)
	}
	return o
}

// Cells lists the cells that some client can reach, and those that none can, with the reason.
func Cells() (reachable []string, not map[string]string) {
	not = make(map[string]string)
	for _, a := range apis {
		if a == nil {
			continue
		}
		for c := range classes {
			for i := range a.outcomes {
				if !a.has(c, &a.outcomes[i]) {
					continue
				}
				name := cellNames[a.place(c, i)]
				if why := whyNot(a.name, c.String(), a.outcomes[i].name); why != "" {
					not[name] = why
				} else {
					reachable = append(reachable, name)
				}
			}
		}
	}
	return reachable, not
}

// whyNot finds the reason why nobody can come to a cell; "" if somebody can.
func whyNot(api, class, outcome string) string {
	for _, r := range unreachable {
		if (r.api == "*" || slices.Contains(strings.Fields(r.api), api)) && (r.class == "" || r.class == class) && slices.Contains(strings.Fields(r.outcomes), outcome) {
			return r.why
		}
	}
	return ""
}

func (a *api) place(c class, outcome int) int { return a.cells + int(c)*len(a.outcomes) + outcome }

// Counter counts the cells of one run. Use New.
type Counter struct {
	counts   []int64
	unlisted []string // what isn't in the table
	layouts  layouts
}

// Cell is a cell and how often it was reached.
type Cell struct {
	Name  string
	Count int64
}

// New returns a counter of nothing.
func New() *Counter { return &Counter{counts: make([]int64, len(cellNames)), layouts: make(layouts)} }

// Sent counts a request that gets no answer.
func (c *Counter) Sent(req kmsg.Request) { c.count(req, nil) }

// Answered counts a request and its answer.
func (c *Counter) Answered(req kmsg.Request, resp kmsg.Response) { c.count(req, resp) }

func (c *Counter) count(req kmsg.Request, resp kmsg.Response) {
	key := req.Key()
	if int(key) >= len(apis) || apis[key] == nil {
		return
	}
	at := visit{counter: c, api: apis[key], class: apis[key].classOf(req.GetVersion())}
	if resp != nil {
		at.codes(resp)
	}
	at.options(req, resp)
}

// visit is a request that is being counted.
type visit struct {
	counter *Counter
	api     *api
	class   class
}

// code counts an error code of an answer. The codes of an answer that carries none count as OK.
func (v *visit) code(code int16) {
	if code == 0 {
		v.reach("OK")
		return
	}
	v.reach(kafka.CodeName(code))
}

// when counts an option that a request makes use of.
func (v *visit) when(uses bool, name string) {
	if uses {
		v.reach(name)
	}
}

func (v *visit) reach(name string) {
	a := v.api
	for i := range a.outcomes {
		if a.outcomes[i].name == name {
			v.counter.counts[a.place(v.class, i)]++
			return
		}
	}
	cell := fmt.Sprintf("%s/%v/%s", a.name, v.class, name)
	if !slices.Contains(v.counter.unlisted, cell) {
		v.counter.unlisted = append(v.counter.unlisted, cell)
	}
}

// Reached lists the cells that were reached, in the order of the table.
func (c *Counter) Reached() (list []Cell) {
	for i, n := range c.counts {
		if n > 0 {
			list = append(list, Cell{cellNames[i], n})
		}
	}
	return list
}

// Unlisted lists what was answered and isn't in the table.
func (c *Counter) Unlisted() []string { return c.unlisted }

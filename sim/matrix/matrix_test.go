// SPDX-License-Identifier: Apache-2.0

package matrix

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/node"
)

// codeNames are the names of Kafka's error codes.
func codeNames() map[string]bool {
	names := map[string]bool{"OK": true}
	for code := int16(-1); code < 200; code++ {
		if e := kerr.TypedErrorForCode(code); e != nil {
			names[e.Message] = true
		}
	}
	return names
}

func TestTable(t *testing.T) {
	known := codeNames()
	for _, name := range node.APIs() {
		if outcomesOf[name] == "" {
			t.Errorf("%s is served, and the table has no row for it", name)
		}
	}
	for name, text := range outcomesOf {
		if !slices.Contains(node.APIs(), name) {
			t.Errorf("row %s: nothing of that name is served", name)
		}
		for _, word := range strings.Fields(text) {
			if o := parseOutcome(word); o.name == strings.ToUpper(o.name) && !known[o.name] {
				t.Errorf("row %s: Kafka has no error %s", name, o.name)
			}
		}
	}
	reachable, not := Cells()
	if len(reachable) < 500 || slices.Contains(slices.Collect(maps.Values(not)), "") {
		t.Errorf("%d cells, or some without a reason", len(reachable))
	}
	used := map[int]bool{}
	for _, name := range cellNames {
		api, rest, _ := strings.Cut(name, "/")
		class, outcome, _ := strings.Cut(rest, "/")
		for i, r := range unreachable {
			if (r.api == "*" || slices.Contains(strings.Fields(r.api), api)) && (r.class == "" || r.class == class) && slices.Contains(strings.Fields(r.outcomes), outcome) {
				used[i] = true
			}
		}
	}
	for i, r := range unreachable {
		if !used[i] {
			t.Errorf("unreachable: %+v is about no cell", r)
		}
	}
}

// TestEveryError demands a cell for every error that the broker's code names.
func TestEveryError(t *testing.T) {
	listed := map[string]bool{}
	for _, text := range outcomesOf {
		for _, word := range strings.Fields(text) {
			listed[parseOutcome(word).name] = true
		}
	}
	names, notAnswered := map[string]string{}, []string{
		"STALE_BROKER_EPOCH", // a broker's own registration, which no client can ask for
	}
	for code := int16(-1); code < 200; code++ {
		if e := kerr.TypedErrorForCode(code); e != nil {
			names[strings.ReplaceAll(strings.ToLower(e.Message), "_", "")] = e.Message
		}
	}
	look := func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := s.X.(*ast.Ident); !ok || x.Name != "kerr" {
			return true
		}
		if name := names[strings.ToLower(s.Sel.Name)]; name != "" && !listed[name] && !slices.Contains(notAnswered, name) {
			t.Errorf("node answers %s somewhere, and no row of the table has it", name)
		}
		return true
	}
	files, err := filepath.Glob("../../node/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal("no source of node", err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, look)
	}
}

func TestCount(t *testing.T) {
	c := New()
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 12
	resp := kmsg.NewPtrMetadataResponse()
	resp.Topics = []kmsg.MetadataResponseTopic{{ErrorCode: kerr.UnknownTopicID.Code}, {ErrorCode: kerr.InvalidConfig.Code}}
	c.Answered(req, resp)
	produce := kmsg.NewPtrProduceRequest()
	produce.Version = 3
	c.Sent(produce)
	want := []Cell{{"Produce/oldest/acks=0", 1}, {"Metadata/middle/UNKNOWN_TOPIC_ID", 1}, {"Metadata/middle/all-topics", 1}}
	if !slices.Equal(c.Reached(), want) || !slices.Equal(c.Unlisted(), []string{"Metadata/middle/INVALID_CONFIG"}) {
		t.Errorf("%v, unlisted %v", c.Reached(), c.Unlisted())
	}
}

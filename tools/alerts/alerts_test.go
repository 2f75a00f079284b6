// SPDX-License-Identifier: Apache-2.0

// Package alerts holds the alerts and the dashboard in deploy/ against real brokers and against
// Prometheus's own parser and engine. It is here and not beside them because the product's go.mod
// has no place for Prometheus.
package alerts

import (
	"encoding/json"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

const (
	rulesFile     = "../../deploy/prometheus/alerts.yml"
	dashboardFile = "../../deploy/grafana/chronik.json"
	manual        = "../../docs/OPERATIONS.md"
)

var promql = parser.NewParser(parser.Options{})

// readRules reads the alerts in the form and with the checks of Prometheus.
func readRules(t *testing.T) []rulefmt.Rule {
	t.Helper()
	groups, errs := rulefmt.Parse(readFile(t, rulesFile), false, model.UTF8Validation, promql, slog.New(slog.DiscardHandler))
	for _, err := range errs {
		t.Errorf("%s: %v", rulesFile, err)
	}
	if t.Failed() {
		t.FailNow()
	}
	var rules []rulefmt.Rule
	for _, g := range groups.Groups {
		rules = append(rules, g.Rules...)
	}
	return rules
}

func TestAlertsSayWhatToDo(t *testing.T) {
	for _, r := range readRules(t) {
		for _, key := range []string{"summary", "description", "action"} {
			if text := r.Annotations[key]; len(text) < 20 || !strings.HasSuffix(text, ".") {
				t.Errorf("%s: the annotation %q is %q", r.Alert, key, text)
			}
		}
		if s := r.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s: severity %q", r.Alert, s)
		}
	}
}

func TestAlertsAreInTheManual(t *testing.T) {
	documented := make(map[string]string)
	for _, m := range regexp.MustCompile("(?m)^\\| `(Chronik\\w+)` \\| (\\w+) \\|").FindAllStringSubmatch(string(readFile(t, manual)), -1) {
		documented[m[1]] = m[2]
	}
	for _, r := range readRules(t) {
		if documented[r.Alert] != r.Labels["severity"] {
			t.Errorf("%s is %s in the rules, %q in %s", r.Alert, r.Labels["severity"], documented[r.Alert], manual)
		}
		delete(documented, r.Alert)
	}
	for name := range documented {
		t.Errorf("%s is in %s and not in the rules", name, manual)
	}
}

// dashboard is what the tests look at of a Grafana dashboard.
type dashboard struct {
	UID         string
	Title       string
	Panels      []panel
	Annotations struct{ List []struct{ Expr string } }
}

type panel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ X, Y, W, H int }
	Targets                  []struct{ Expr, LegendFormat, RefID string }
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal(readFile(t, dashboardFile), &d); err != nil {
		t.Fatalf("%s: %v", dashboardFile, err)
	}
	if d.UID == "" || d.Title == "" || len(d.Panels) < 10 {
		t.Fatalf("%s: uid %q, title %q, %d panels", dashboardFile, d.UID, d.Title, len(d.Panels))
	}
	return d
}

func TestDashboardIsLaidOut(t *testing.T) {
	ids := make(map[int]bool)
	taken := make(map[[2]int]string)
	for _, p := range readDashboard(t).Panels {
		if ids[p.ID] {
			t.Errorf("panel %q: id %d is another's", p.Title, p.ID)
		}
		ids[p.ID] = true
		if p.Type != "row" && (p.Description == "" || len(p.Targets) == 0) {
			t.Errorf("panel %q has no description or no query", p.Title)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, ok := taken[[2]int{x, y}]; ok || x >= 24 {
					t.Fatalf("panel %q at %d,%d lies over %q or outside", p.Title, x, y, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}

// Every series that a rule or a panel reads is there in a running cluster.
func TestEveryQueryFindsItsSeries(t *testing.T) {
	exported := runCluster(t)
	for _, r := range readRules(t) {
		checkQuery(t, r.Alert, r.Expr, exported)
	}
	d := readDashboard(t)
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			checkQuery(t, "panel "+p.Title, target.Expr, exported)
		}
	}
	for _, a := range d.Annotations.List {
		checkQuery(t, "annotation", a.Expr, exported)
	}
}

// added are the labels that Prometheus adds to what it scrapes.
var added = []string{"job", "instance"}

func checkQuery(t *testing.T, where, query string, exported []labels.Labels) {
	t.Helper()
	query = strings.NewReplacer("$instance", ".*", "$__rate_interval", "5m").Replace(query)
	expr, err := promql.ParseExpr(query)
	if err != nil {
		t.Errorf("%s: %v in %s", where, err, query)
		return
	}
	known := slices.Clone(added)
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		if sel, ok := n.(*parser.VectorSelector); ok {
			found := slices.IndexFunc(exported, func(l labels.Labels) bool { return selects(sel, l) })
			switch {
			case sel.Name == "up": // Prometheus's own
			case found < 0:
				t.Errorf("%s: no broker exports %s", where, sel)
			default:
				exported[found].Range(func(l labels.Label) { known = append(known, l.Name) })
			}
			if !slices.ContainsFunc(sel.LabelMatchers, func(m *labels.Matcher) bool { return m.Name == "job" && m.Value == "chronik" }) {
				t.Errorf("%s: %s is not restricted to the job", where, sel)
			}
		}
		return nil
	})
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		var used []string
		switch n := n.(type) {
		case *parser.AggregateExpr:
			used = n.Grouping
		case *parser.BinaryExpr:
			if n.VectorMatching != nil {
				used = n.VectorMatching.MatchingLabels
			}
		}
		for _, label := range used {
			if !slices.Contains(known, label) {
				t.Errorf("%s: no series has the label %q", where, label)
			}
		}
		return nil
	})
}

// selects reports whether a selector finds a series, once Prometheus has added its labels. Which
// errors clients got is not for the test to say, only that errors are counted by name.
func selects(sel *parser.VectorSelector, series labels.Labels) bool {
	for _, m := range sel.LabelMatchers {
		value := series.Get(m.Name)
		switch {
		case slices.Contains(added, m.Name):
		case m.Name == "error":
			if value == "" {
				return false
			}
		case !m.Matches(value):
			return false
		}
	}
	return true
}

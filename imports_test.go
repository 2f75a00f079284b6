// SPDX-License-Identifier: Apache-2.0

package chronik

import (
	"bufio"
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The tests of this file hold what would otherwise be a paragraph that nobody reads: who may
// import whom, and a few habits. To add a row is an architecture decision.

// rule says what a package may import besides the standard library.
type rule struct {
	pkg    string // folder; "cmd/*" stands for all folders in cmd without a rule of their own
	may    []string
	std    []string // if not nil: all it may import of the standard library
	reason string
}

var importRules = []rule{
	{
		"wal", nil,
		[]string{"bytes", "cmp", "encoding/binary", "errors", "fmt", "hash/crc32", "io", "math/bits", "slices", "sort", "strings"},
		"the log is a core of its own: it consumes a directory, so it defines what a directory is (wal.FS), and never touches a real one",
	},
	{
		"kafka",
		[]string{
			"github.com/twmb/franz-go/pkg/kmsg", "github.com/twmb/franz-go/pkg/kerr",
			"github.com/klauspost/compress/gzip", "github.com/klauspost/compress/s2", "github.com/klauspost/compress/zstd", "github.com/pierrec/lz4/v4",
		},
		nil,
		"the wire format and nothing else; kmsg is generated from Kafka's own definitions, the codecs are those of Kafka",
	},
	{
		"node",
		[]string{
			"chronik/kafka", "chronik/wal", "chronik/node/acl", "chronik/node/consumers", "chronik/node/quota", "chronik/node/sasl", "chronik/node/step", "chronik/node/txn", "github.com/twmb/franz-go/pkg/kmsg", "github.com/twmb/franz-go/pkg/kerr",
			"go.etcd.io/raft/v3", "go.etcd.io/raft/v3/raftpb", "go.etcd.io/raft/v3/tracker", "go.etcd.io/raft/v3/confchange", "github.com/klauspost/compress/zstd", "google.golang.org/protobuf/proto",
		},
		nil,
		"one broker as a function: it puts wire, log and raft together, and its own framing around raft's protobuf",
	},
	{
		"node/consumers",
		[]string{"chronik/kafka", "chronik/wal", "github.com/twmb/franz-go/pkg/kerr"},
		[]string{"cmp", "container/heap", "encoding/binary", "regexp", "regexp/syntax", "slices", "sort", "strings"},
		"who of a consumer group gets what; it runs beside the loop, so it may reach nothing of the broker",
	},
	{
		"node/txn",
		[]string{"chronik/kafka", "github.com/twmb/franz-go/pkg/kerr"},
		[]string{"encoding/binary", "errors", "fmt", "math", "slices", "sort"},
		"what becomes of a transaction: it may reach nothing of a broker, so replicas that apply the same commands agree",
	},
	{
		"node/acl", nil,
		[]string{"cmp", "fmt", "slices", "strconv", "strings"},
		"who may do what by which rules; it may reach nothing of a broker, so replicas that have the same rules agree",
	},
	{
		"node/quota", nil,
		[]string{"cmp", "container/list", "fmt", "math", "slices", "strings", "unicode/utf8"},
		"how much a client may do, and how long it waits: it may reach nothing of a broker, so it can be tried with any times",
	},
	{
		"node/sasl", nil,
		[]string{
			"bytes", "crypto/hmac", "crypto/pbkdf2", "crypto/sha256", "crypto/sha512", "crypto/subtle", "encoding/base64", "encoding/binary",
			"errors", "fmt", "hash", "math/big", "strings", "unicode/utf8",
		},
		"logins as bytes in and bytes out: it may reach nothing of a broker, and draws nothing",
	},
	{
		"node/step", nil,
		[]string{"container/heap", "fmt", "time"},
		"the floor of the rooms below node: time is a number in it",
	},
	{
		"checker",
		[]string{"github.com/anishathalye/porcupine"},
		nil,
		"judges what a cluster did by what it is told; it knows nothing of brokers; porcupine is the second opinion on linearizability",
	},
	{
		"sim",
		[]string{
			"chronik/node", "chronik/node/acl", "chronik/node/quota", "chronik/node/sasl", "chronik/wal", "chronik/kafka", "chronik/checker", "chronik/sim/plan", "chronik/sim/keyed", "chronik/sim/matrix",
			"github.com/twmb/franz-go/pkg/kmsg", "github.com/twmb/franz-go/pkg/kerr",
		},
		nil,
		"a world in a seed around the production node; its clients speak real Kafka bytes",
	},
	{
		"sim/plan",
		[]string{"chronik/node", "chronik/sim/keyed", "github.com/twmb/franz-go/pkg/kmsg"},
		[]string{"bytes", "encoding/json", "errors", "fmt", "io", "slices", "strconv", "strings", "time"},
		"seeds in, plans out: plain data; of the node it knows the names of the events that faults wait for, of Kafka those of rights",
	},
	{
		"sim/hunt",
		[]string{"chronik/sim/plan", "chronik/sim/keyed"},
		[]string{"cmp", "fmt", "hash/crc64", "slices", "strconv", "strings"},
		"breeds plans from what their runs were like; who runs them, and where they are kept, is the caller's business",
	},
	{
		"sim/matrix",
		[]string{"chronik/node", "chronik/kafka", "github.com/twmb/franz-go/pkg/kmsg", "github.com/twmb/franz-go/pkg/kerr"},
		[]string{"fmt", "reflect", "slices", "strconv", "strings"},
		"which answers clients got; of the node it knows which versions are served",
	},
	{
		"sim/keyed", nil,
		[]string{"math/bits"},
		"what is drawn depends on its key alone",
	},
	{
		"seeds",
		[]string{"chronik/sim", "chronik/sim/plan"},
		nil,
		"kept plans and the test that replays them",
	},
	{
		"seeds/mutants",
		[]string{"chronik/sim/plan"},
		nil,
		"planted bugs as patches, and the test that they apply; the simulator only tells the names of its profiles",
	},
	{
		"seeds/mutation/reach", nil, nil,
		"counts how often a program with mutants comes to their places; nothing else calls it",
	},
	{
		"seeds/mutation",
		[]string{"chronik/seeds/mutation/reach"},
		nil,
		"mutants that nobody chose: Go source in, changed source out",
	},
	{
		"host",
		[]string{
			"chronik/host/bearer", "chronik/host/console", "chronik/node", "chronik/node/quota", "chronik/wal",
			"github.com/prometheus/client_golang/prometheus", "github.com/prometheus/client_golang/prometheus/collectors",
			"github.com/prometheus/client_golang/prometheus/promhttp", "github.com/prometheus/client_model/go",
		},
		nil,
		"the real world: it moves bytes, so it needs no word of Kafka or raft; and it measures them, in Prometheus's own library",
	},
	{
		"host/bearer",
		[]string{"github.com/golang-jwt/jwt/v5"},
		nil,
		"which tokens are right: by an issuer's keys and the time of day, so it is of the real world, and no word of Kafka",
	},
	{
		"host/console",
		[]string{"github.com/twmb/franz-go/pkg/kgo", "github.com/twmb/franz-go/pkg/kmsg", "github.com/twmb/franz-go/pkg/kerr"},
		nil,
		"a Kafka client like any other, within a broker's process: it knows nothing of the broker, so it can do nothing that a client can't",
	},
	{
		"cmd/broker",
		[]string{"chronik/host", "chronik/host/bearer", "chronik/node", "chronik/wal", "chronik/cmd/broker/admin", "chronik/cmd/broker/backup", "github.com/BurntSushi/toml"},
		nil,
		"flags and configuration in, host out; nobody else imports host",
	},
	{
		"cmd/simrun",
		[]string{
			"chronik/sim", "chronik/sim/hunt", "chronik/sim/matrix", "chronik/sim/plan", "chronik/seeds/mutants", "chronik/seeds/mutation", "chronik/seeds/mutation/reach", "github.com/schollz/progressbar/v3", "golang.org/x/term",
		},
		nil,
		"seeds in, verdicts out",
	},
	{
		"cmd/bench",
		[]string{
			"github.com/twmb/franz-go/pkg/kgo", "github.com/twmb/franz-go/pkg/kmsg", "github.com/twmb/franz-go/pkg/kerr",
			"github.com/twmb/franz-go/pkg/sasl/plain", "github.com/twmb/franz-go/pkg/sasl/scram",
			"github.com/HdrHistogram/hdrhistogram-go", "golang.org/x/term",
		},
		nil,
		"a Kafka client that measures: latencies go into an HdrHistogram; it knows nothing of the broker",
	},
	{
		"tests/*",
		[]string{
			"chronik/tests/rig", "github.com/twmb/franz-go/pkg/kgo", "github.com/twmb/franz-go/pkg/kmsg", "github.com/twmb/franz-go/pkg/kerr", "github.com/twmb/franz-go/pkg/kversion",
			"github.com/twmb/franz-go/pkg/sasl/scram",
			"github.com/HdrHistogram/hdrhistogram-go",
		},
		nil,
		"real processes and real clients: nothing of ours, or they would share our mistakes; latencies in histograms",
	},
	{
		"cmd/*",
		[]string{
			"github.com/twmb/franz-go/pkg/kgo", "github.com/twmb/franz-go/pkg/kmsg", "github.com/twmb/franz-go/pkg/kerr",
			"github.com/twmb/franz-go/pkg/sasl/oauth", "github.com/twmb/franz-go/pkg/sasl/plain", "github.com/twmb/franz-go/pkg/sasl/scram", "chronik/node/sasl",
			"github.com/twmb/franz-go/pkg/kadm", "golang.org/x/term", "github.com/minio/minio-go/v7", "github.com/minio/minio-go/v7/pkg/credentials",
		},
		nil,
		"tools beside the broker are Kafka clients like any other; what is kept of a password is worked out in one place",
	},
}

// testMay is what test files may import besides.
var testMay = []string{"github.com/johannesboyne/gofakes3", "github.com/johannesboyne/gofakes3/backend/s3mem", "github.com/twmb/franz-go/pkg/kadm", "pgregory.net/rapid", "github.com/google/go-cmp/cmp", "github.com/google/go-cmp/cmp/cmpopts", "github.com/twmb/franz-go/pkg/kgo", "github.com/twmb/franz-go/pkg/sasl/oauth", "github.com/twmb/franz-go/pkg/sasl/scram", "github.com/golang-jwt/jwt/v5"}

func TestImports(t *testing.T) {
	used := make(map[string]bool) // permits
	for _, f := range goFiles(t) {
		dir := path.Dir(f)
		if dir == "." {
			continue
		}
		r := ruleFor(dir)
		if r == nil {
			t.Errorf("%s: no row of importRules covers the package; what may it import, and why?", f)
			continue
		}
		file := parse(t, f, parser.ImportsOnly)
		for _, spec := range file.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			used[r.pkg+" "+imported], used[imported] = true, true
			if !r.allows(imported, strings.HasSuffix(f, "_test.go")) {
				t.Errorf("%s may not import %s: %s", f, imported, r.reason)
			}
		}
	}
	for _, r := range importRules {
		for _, permit := range slices.Concat(r.may, r.std) {
			if !used[r.pkg+" "+permit] {
				t.Errorf("%s may import %s and doesn't; take the permit away", r.pkg, permit)
			}
		}
	}
	for _, permit := range testMay {
		if !used[permit] {
			t.Errorf("tests may import %s and don't; take the permit away", permit)
		}
	}
}

func ruleFor(dir string) *rule {
	for i := range importRules {
		r := &importRules[i]
		if prefix, ok := strings.CutSuffix(r.pkg, "*"); ok && strings.HasPrefix(dir, prefix) || r.pkg == dir {
			return r
		}
	}
	return nil
}

func (r *rule) allows(imported string, test bool) bool {
	if slices.Contains(r.may, imported) || imported == "chronik/"+r.pkg {
		return true
	}
	if test && (slices.Contains(testMay, imported) || isStd(imported)) {
		return true
	}
	return isStd(imported) && (r.std == nil || slices.Contains(r.std, imported))
}

// isStd says whether a package is of the standard library: the first part of others has a dot, or
// is our own name.
func isStd(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return first != "chronik" && !strings.Contains(first, ".")
}

// goFiles lists the module's Go files, without those of other modules below it.
func goFiles(t *testing.T) (files []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && p != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || isModule(p)) {
			return filepath.SkipDir
		}
		if strings.HasSuffix(p, ".go") {
			files = append(files, filepath.ToSlash(p))
		}
		return nil
	})
	if err != nil || len(files) < 10 {
		t.Fatalf("found %d Go files: %v", len(files), err)
	}
	return files
}

func isModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

var fileSet = token.NewFileSet()

func parse(t *testing.T, file string, mode parser.Mode) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(fileSet, file, nil, mode)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

const licence = "// SPDX-License-Identifier: Apache-2.0\n\n"

// leftover matches what must not stay: notes to fix something and debugging prints.
var leftover = regexp.MustCompile(`\b(FIX` + `ME|d` + `bg)\b`)

func TestEveryFileHasItsLicenceAndNoLeftovers(t *testing.T) {
	for _, f := range goFiles(t) {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(text, []byte(licence)) {
			t.Errorf("%s does not begin with %q", f, licence)
		}
		for n, lines := 1, bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); n++ {
			if m := leftover.Find(lines.Bytes()); m != nil {
				t.Errorf("%s:%d: %s is left over", f, n, m)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	said := make(map[string]bool)
	for _, f := range goFiles(t) {
		if !strings.HasSuffix(f, "_test.go") {
			said[path.Dir(f)] = said[path.Dir(f)] || parse(t, f, parser.PackageClauseOnly|parser.ParseComments).Doc != nil
		}
	}
	for dir, ok := range said {
		if !ok {
			t.Errorf("package %s has no package comment: one idea, said there", dir)
		}
	}
}

// maxLines is how long a function may be, so that it fits on a screen.
const maxLines = 60

// maxFileLines is how long a file may be, unless it is of tests.
const maxFileLines = 450

func TestFilesAreShort(t *testing.T) {
	for _, f := range goFiles(t) {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if lines := strings.Count(string(text), "\n"); lines > maxFileLines {
			t.Errorf("%s has %d lines, the limit is %d: a file has one idea", f, lines, maxFileLines)
		}
	}
}

// longFunctions are those that may be longer, and why.
var longFunctions = map[string]string{
	"checker/cluster_test.go:TestClusterChecks":                   "one table: a corruption of the cluster and the check that must see it",
	"checker/cluster_test.go:TestClusterIsSilent":                 "one table: what looks wrong and isn't",
	"checker/log_test.go:TestCheckPartition":                      "one table: a corrupted history and the check that must see it",
	"cmd/bench/validate_test.go:TestValidationFindsWhatIsPlanted": "one table: a planted wrong and the line that must name it",
	"node/rights.go:rights":                                       "one table: every request and what it needs",
	"node/pipeline_test.go:TestPipelineProperties":                "one table of actions for rapid",
	"tests/judge/scenes_admin.go:topicsScene":                     "one table: what both brokers are asked, in order",
	"tests/judge/scenes_groups.go:classicScene":                   "one table: what both brokers are asked, in order",
	"tests/judge/scenes_records.go:offsetsScene":                  "one table: what both brokers are asked, in order",
	"tests/judge/scenes_records.go:produceScene":                  "one table: what both brokers are asked, in order",
	"wal/record_test.go:TestBytes":                                "one table: every type of record and its bytes",
}

func TestFunctionsFitOnAScreen(t *testing.T) {
	seen := make(map[string]bool)
	for _, f := range goFiles(t) {
		for _, decl := range parse(t, f, parser.SkipObjectResolution).Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			name := f + ":" + fn.Name.Name
			lines := fileSet.Position(fn.End()).Line - fileSet.Position(fn.Pos()).Line + 1
			_, known := longFunctions[name]
			if lines > maxLines && !known {
				t.Errorf("%s has %d lines; make it at most %d, or give a reason in longFunctions if it is one table or one switch", name, lines, maxLines)
			}
			seen[name] = seen[name] || lines > maxLines
		}
	}
	for name := range longFunctions {
		file, _, _ := strings.Cut(name, ":")
		if _, err := os.Stat(file); err == nil && !seen[name] {
			t.Errorf("%s is no longer long (or no longer there); remove it from longFunctions", name)
		}
	}
}

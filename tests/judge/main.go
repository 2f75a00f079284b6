// SPDX-License-Identifier: Apache-2.0

// Command judge asks Apache Kafka what a broker answers at the edges: unknown topics, old epochs, negative numbers, empty
// lists, groups in the wrong state, the wrong broker, dead brokers. It sends the same requests to a Kafka that it starts from
// its Maven artifacts and to brokers of this tree, and prints where their answers differ. It does so in four rounds: with a
// cluster of one broker ("one"), with one of three, of which one dies ("three"), with one whose clients log in and have rights
// ("rights"), and with Kafka's command-line tools ("tools").
//
//	go run ./tests/judge                 compare with Kafka; needs Java 17 and Maven
//	go run ./tests/judge -record         and write down what Kafka said
//	go run ./tests/judge -round three    only one of the rounds
//
// What it said is kept in kafka*.txt, so that `go test` compares without Kafka (and without the tools, which are Java). What
// differs on purpose is in deliberate*.go. It exits with 0 if nothing else differs, 1 if something does, 2 if it could not be
// run.
package main

import (
	"context"
	_ "embed"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"chronik/tests/rig"
)

//go:embed kafka.txt
var saidByOne string

//go:embed kafka-three.txt
var saidByThree string

//go:embed kafka-rights.txt
var saidByRights string

//go:embed kafka-tools.txt
var saidToTools string

// round is what a new cluster of so many brokers is asked.
type round struct {
	name     string
	brokers  int
	file     string // where Kafka's answers are kept
	recorded string
	secured  bool // clients have to log in, and have the rights that rules give them
	ask      func(ctx context.Context, c cluster, dir string) ([]answer, error)
}

var rounds = []*round{
	{"one", 1, "kafka.txt", saidByOne, false, func(_ context.Context, c cluster, _ string) ([]answer, error) {
		return askScenes(c, &ofOne, ofOneBroker)
	}},
	{"three", 3, "kafka-three.txt", saidByThree, false, func(_ context.Context, c cluster, _ string) ([]answer, error) {
		return askScenes(c, &ofThree, ofThreeBrokers)
	}},
	{"rights", 1, "kafka-rights.txt", saidByRights, true, func(_ context.Context, c cluster, _ string) ([]answer, error) {
		return askScenes(c, &ofRights, ofSecured)
	}},
	{"tools", 3, "kafka-tools.txt", saidToTools, false, askTools},
}

type scene struct {
	name string
	play func(*session)
}

// Scenes, in order.
var (
	ofOneBroker = []scene{
		{"produce", produceScene},
		{"idempotence", idempotenceScene},
		{"fetch", fetchScene},
		{"offsets", offsetsScene},
		{"committed", committedScene},
		{"classic group", classicScene},
		{"static member", staticScene},
		{"consumer group", consumerScene},
		{"metadata", metadataScene},
		{"topics", topicsScene},
		{"configs", configsScene},
		{"group configs", groupConfigsScene},
		{"broker configs", brokerConfigsScene},
		{"replicas", replicasScene},
		{"quotas", quotasScene},
	}
	ofThreeBrokers = []scene{
		{"three", threeScene},
		{"wrong broker", wrongBrokerScene},
		{"leader moved", leaderMovedScene},
		{"racks", racksScene},
		{"moves", movesScene},
		{"wrong coordinator", wrongCoordinatorScene},
		{"one dead", oneDeadScene},
		{"one dead: topics", deadTopicsScene},
		{"one dead: moves", deadMovesScene},
		{"one dead: groups", deadGroupsScene},
		{"one removed", removedScene},
	}
	ofSecured = []scene{
		{"login", loginsScene},
		{"rights", rightsScene},
		{"patterns", patternsScene},
	}
)

const separator = "\t"

// format is the answers as they are kept.
func format(answers []answer) string {
	var b strings.Builder
	for _, a := range answers {
		fmt.Fprintf(&b, "%s%s%s\n", a.name, separator, a.text)
	}
	return b.String()
}

func parse(text string) (answers []answer) {
	for line := range strings.Lines(text) {
		if name, said, ok := strings.Cut(strings.TrimSuffix(line, "\n"), separator); ok {
			answers = append(answers, answer{name, said})
		}
	}
	return answers
}

func init() {
	maps.Copy(deliberate, deliberateConfigured)
	maps.Copy(deliberate, deliberateThree)
	maps.Copy(deliberate, deliberateTools)
	maps.Copy(deliberate, deliberateRights)
}

// compare lists where ours differ from Kafka's and aren't meant to.
func compare(kafkas, ours []answer) (found []string) {
	said := make(map[string]string)
	for _, a := range kafkas {
		said[a.name] = a.text
	}
	for _, a := range ours {
		theirs, asked := said[a.name]
		meant, yes := deliberate[a.name]
		switch {
		case !asked:
			found = append(found, fmt.Sprintf("%s: Kafka wasn't asked; run go run ./tests/judge -record\n\tours   %s", a.name, a.text))
		case yes && theirs == a.text:
			found = append(found, a.name+": no longer differs, so it needs no reason")
		case yes && meant.says != a.text:
			found = append(found, fmt.Sprintf("%s\n\tours   %s\n\tmeant  %s", a.name, a.text, meant.says))
		case !yes && theirs != a.text:
			found = append(found, fmt.Sprintf("%s\n\tKafka  %s\n\tours   %s", a.name, theirs, a.text))
		}
	}
	return found
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o options
	flag.BoolVar(&o.record, "record", false, "write down what Kafka says")
	flag.StringVar(&o.folder, "folder", "tests/judge", "where it is written")
	flag.BoolVar(&o.kept, "kept", false, "compare with what was written down instead of asking Kafka")
	flag.StringVar(&o.only, "round", "", "only this round: one, three, rights or tools")
	flag.IntVar(&o.port, "port", 24892, "the first of 300 ports")
	flag.Parse()
	found, err := run(ctx, o, os.Stdout)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "judge:", err)
		os.Exit(2)
	case found > 0:
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	record, kept bool
	folder, only string
	port         int
}

func run(ctx context.Context, o options, out io.Writer) (differ int, err error) {
	dir, err := os.MkdirTemp("", "judge")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	rows := 0
	for _, r := range rounds {
		if o.only != "" && o.only != r.name {
			continue
		}
		found, asked, err := o.play(ctx, r, filepath.Join(dir, r.name))
		if err != nil {
			return 0, err
		}
		for _, line := range found {
			fmt.Fprintln(out, line)
		}
		differ, rows = differ+len(found), rows+asked
	}
	fmt.Fprintf(out, "%d rows, %d differ on purpose (of all rounds), %d otherwise\n", rows, len(deliberate), differ)
	return differ, nil
}

// play asks Kafka and this tree's brokers, and returns where they differ, and how much they were asked.
func (o *options) play(ctx context.Context, r *round, dir string) (found []string, asked int, err error) {
	kafkas := parse(r.recorded)
	if !o.kept {
		kafkas, err = r.askNew(ctx, dir+"-kafka", func(dir string) (cluster, error) { return startKafka(ctx, dir, o.port+200, r.brokers, r.secured) })
		if err != nil {
			return nil, 0, fmt.Errorf("asking Kafka: %w", err)
		}
	}
	if o.record {
		if err := os.WriteFile(filepath.Join(o.folder, r.file), []byte(format(kafkas)), 0o644); err != nil {
			return nil, 0, err
		}
	}
	ours, err := r.askNew(ctx, dir, func(dir string) (cluster, error) {
		return startOurs(ctx, rig.Options{Dir: dir, Port: o.port}, r.brokers, r.secured)
	})
	if err != nil {
		return nil, 0, err
	}
	return compare(kafkas, ours), len(ours), nil
}

// askNew starts a cluster and asks it.
func (r *round) askNew(ctx context.Context, dir string, start func(dir string) (cluster, error)) ([]answer, error) {
	c, err := start(dir)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return r.ask(ctx, c, dir)
}

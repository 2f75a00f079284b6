// SPDX-License-Identifier: Apache-2.0

// Command judge asks Apache Kafka what a broker answers at the edges: unknown topics, old epochs, negative numbers, empty
// lists, groups in the wrong state. It sends the same requests to a Kafka that it starts (one broker, from its Maven
// artifacts) and to a broker of this tree, and prints where their answers differ.
//
//	go run ./tests/judge             compare with Kafka; needs Java 17 and Maven
//	go run ./tests/judge -record     and write down what Kafka said
//
// What it said is kept in kafka.txt, so that `go test` compares without Kafka. What differs on purpose is in deliberate.go.
// It exits with 0 if nothing else differs, 1 if something does, 2 if it could not be run.
package main

import (
	"context"
	_ "embed"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"chronik/tests/rig"
)

//go:embed kafka.txt
var recorded string

// scenes are what brokers are asked, in order.
var scenes = []struct {
	name string
	play func(*session)
}{
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
	{"replicas", replicasScene},
}

// ask plays all scenes with a broker and returns its answers.
func ask(addr string) (all []answer, err error) {
	for _, scene := range scenes {
		s := &session{broker: &broker{addr: addr}, scene: scene.name}
		scene.play(s)
		if s.conn != nil {
			s.conn.Close()
		}
		if s.err != nil {
			return all, s.err
		}
		all = append(all, s.answers...)
	}
	return all, nil
}

// askOurs asks a broker of this tree.
func askOurs(ctx context.Context, o rig.Options) ([]answer, error) {
	o.Brokers, o.Settings = 1, map[string]string{"group_initial_delay_ms": "0", "group_partitions": "2"}
	c, err := rig.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return ask(c.KafkaAddr(1))
}

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
			found = append(found, a.name+": Kafka wasn't asked; run go run ./tests/judge -record")
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
	record := flag.Bool("record", false, "write down what Kafka says")
	file := flag.String("file", "tests/judge/kafka.txt", "where it is written")
	running := flag.String("kafka", "", "host:port of a new Kafka that runs already, instead of starting one")
	kept := flag.Bool("kept", false, "compare with what was written down instead of asking Kafka")
	port := flag.Int("port", 24892, "the first of 300 ports")
	flag.Parse()
	found, err := run(ctx, *record, *kept, *running, *file, *port, os.Stdout)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "judge:", err)
		os.Exit(2)
	case found > 0:
		os.Exit(1)
	}
}

func run(ctx context.Context, record, kept bool, running, file string, port int, out io.Writer) (differ int, err error) {
	dir, err := os.MkdirTemp("", "judge")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	kafkas := parse(recorded)
	switch {
	case running != "":
		if kafkas, err = ask(running); err != nil {
			return 0, err
		}
	case !kept:
		if kafkas, err = askKafka(ctx, dir+"/kafka", port+200); err != nil {
			return 0, err
		}
	}
	if record {
		if err := os.WriteFile(file, []byte(format(kafkas)), 0o644); err != nil {
			return 0, err
		}
	}
	ours, err := askOurs(ctx, rig.Options{Dir: dir + "/ours", Port: port})
	if err != nil {
		return 0, err
	}
	found := compare(kafkas, ours)
	for _, line := range found {
		fmt.Fprintln(out, line)
	}
	fmt.Fprintf(out, "%d rows, %d differ on purpose, %d otherwise\n", len(ours), len(deliberate), len(found))
	return len(found), nil
}

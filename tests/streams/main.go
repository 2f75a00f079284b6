// SPDX-License-Identifier: Apache-2.0

// Command streams lets Kafka Streams count words exactly once (exactly_once_v2) while it kills brokers and the
// application: three broker processes, two processes of the application, a writer that knows how often it wrote
// which word. In each run a broker is killed with SIGKILL half-way and brought back, and then a process of the
// application, in whose place another one is started. In the end the newest count of each word must be exactly
// what was written; counts that were aborted must not be seen.
//
// It needs java, javac and mvn. The exit code is 0 if all runs were exact, 1 if one wasn't, 2 if it could not be run.
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/tests/rig"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o options
	flag.IntVar(&o.runs, "runs", 1, "how often, each time with a cluster of its own")
	flag.IntVar(&o.lines, "lines", 20000, "lines of five words that are written in a run")
	flag.IntVar(&o.port, "port", 24092, "the first broker's Kafka port")
	flag.StringVar(&o.broker, "broker", "", "the broker program; default: built from this tree")
	flag.StringVar(&o.cache, "cache", "", "folder that keeps what is installed; default: chronik-streams in the user's cache folder")
	flag.Parse()
	err := run(ctx, o)
	if failed := rig.Verdict(nil); errors.As(err, &failed) {
		fmt.Fprintln(os.Stderr, "FAILED:", failed)
		os.Exit(1)
	} else if err != nil {
		fmt.Fprintln(os.Stderr, "streams:", err)
		os.Exit(2)
	}
}

type options struct {
	runs, lines, port int
	broker, cache     string
}

const (
	lines, counts = "lines", "counts"
	partitions    = 4
	patience      = 2 * time.Minute // for the counts, from the last line on
)

func run(ctx context.Context, o options) (err error) {
	if o.cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return err
		}
		o.cache = filepath.Join(user, "chronik-streams")
	}
	classpath, err := build(ctx, o.cache)
	if err != nil {
		return err
	}
	for i := range o.runs {
		begin := time.Now()
		if err := once(ctx, o, classpath); err != nil {
			return fmt.Errorf("run %d: %w", i+1, err)
		}
		fmt.Printf("run %d of %d: exact, %.0f s\n", i+1, o.runs, time.Since(begin).Seconds())
	}
	return nil
}

// build compiles the application, and returns the class path with which it runs.
func build(ctx context.Context, cache string) (string, error) {
	classes, list := filepath.Join(cache, "classes"), filepath.Join(cache, "classpath")
	if err := os.MkdirAll(classes, 0o755); err != nil {
		return "", err
	}
	mvn := exec.CommandContext(ctx, "mvn", "-q", "-B", "-f", "tests/streams/java/pom.xml", "dependency:build-classpath", "-Dmdep.outputFile="+list)
	if out, err := mvn.CombinedOutput(); err != nil {
		return "", fmt.Errorf("resolving Kafka Streams (run this from the project's folder): %w\n%s", err, out)
	}
	text, err := os.ReadFile(list)
	if err != nil {
		return "", err
	}
	classpath := strings.TrimSpace(string(text)) + ":" + classes
	if out, err := exec.CommandContext(ctx, "javac", "-cp", classpath, "-d", classes, "tests/streams/java/WordCount.java").CombinedOutput(); err != nil {
		return "", fmt.Errorf("javac: %w\n%s", err, out)
	}
	return classpath, nil
}

// application is the processes of the application.
type application struct {
	classpath, dir, bootstrap string
	started                   int
}

// start starts a process with a state of its own.
func (a *application) start() (*exec.Cmd, error) {
	a.started++
	name := filepath.Join(a.dir, fmt.Sprint("app", a.started))
	log, err := os.Create(name + ".log")
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command("java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", a.classpath, "WordCount", a.bootstrap, name)
	cmd.Stdout, cmd.Stderr = log, log
	return cmd, cmd.Start()
}

func kill(cmd *exec.Cmd) {
	_ = cmd.Process.Kill() // it may have ended
	_ = cmd.Wait()
}

// once is a run.
func once(ctx context.Context, o options, classpath string) (err error) {
	dir, err := os.MkdirTemp("", "streams")
	if err != nil {
		return err
	}
	c, err := rig.Start(ctx, rig.Options{Brokers: 3, Dir: filepath.Join(dir, "brokers"), Port: o.port, Program: o.broker})
	if err != nil {
		return err
	}
	defer func() {
		c.Close()
		if err == nil {
			os.RemoveAll(dir)
		} else {
			fmt.Fprintln(os.Stderr, "data and lines of brokers and application:", dir)
		}
	}()
	for _, topic := range []string{lines, counts} {
		if err := rig.CreateTopic(ctx, c.Bootstrap(), topic, partitions, 3); err != nil {
			return err
		}
	}
	app := &application{classpath: classpath, dir: dir, bootstrap: strings.Join(c.Bootstrap(), ",")}
	var running [2]*exec.Cmd
	for i := range running {
		if running[i], err = app.start(); err != nil {
			return err
		}
		defer func() { kill(running[i]) }()
	}
	quarter := func(want map[string]int64) error { return write(ctx, c.Bootstrap(), o.lines/4, want) }
	want, victim := make(map[string]int64), 1+rand.IntN(3)
	if err := errors.Join(quarter(want), waitForSome(ctx, c.Bootstrap())); err != nil {
		return err
	}
	if err := errors.Join(quarter(want), c.Kill(victim), quarter(want), c.Restart(ctx, victim)); err != nil {
		return err
	}
	kill(running[0])
	if err := quarter(want); err != nil {
		return err
	}
	if running[0], err = app.start(); err != nil {
		return err
	}
	return compare(ctx, c.Bootstrap(), want)
}

// write writes lines and notes their words.
func write(ctx context.Context, bootstrap []string, n int, want map[string]int64) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(bootstrap...), kgo.DefaultProduceTopic(lines), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	if err != nil {
		return err
	}
	defer cl.Close()
	var records []*kgo.Record
	for range n {
		var words []string
		for range 5 {
			word := fmt.Sprint("word", rand.IntN(100))
			words = append(words, word)
			want[word]++
		}
		records = append(records, kgo.StringRecord(strings.Join(words, " ")))
	}
	return cl.ProduceSync(ctx, records...).FirstErr()
}

// reader reads what is committed of the counts.
func reader(bootstrap []string) (*kgo.Client, error) {
	return kgo.NewClient(kgo.SeedBrokers(bootstrap...), kgo.ConsumeTopics(counts), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
}

// waitForSome waits until the application has counted something.
func waitForSome(ctx context.Context, bootstrap []string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cl, err := reader(bootstrap)
	if err != nil {
		return err
	}
	defer cl.Close()
	for cl.PollFetches(ctx).NumRecords() == 0 {
		if ctx.Err() != nil {
			return rig.Verdict{fmt.Sprintf("the application counted nothing within %v", patience)}
		}
	}
	return nil
}

// compare reads the counts until they are what was written, or nothing has come for long. A word's count may never fall or
// pass what was written: a line would have been counted twice.
func compare(ctx context.Context, bootstrap []string, want map[string]int64) error {
	cl, err := reader(bootstrap)
	if err != nil {
		return err
	}
	defer cl.Close()
	got, missing := make(map[string]int64), len(want)
	var found rig.Verdict
	for last := time.Now(); (missing > 0 || time.Since(last) < 3*time.Second) && time.Since(last) < patience; {
		polled, cancel := context.WithTimeout(ctx, time.Second)
		fetches := cl.PollFetches(polled)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for _, r := range fetches.Records() {
			word, n := string(r.Key), int64(binary.BigEndian.Uint64(r.Value))
			if n <= got[word] || n > want[word] {
				found = append(found, fmt.Sprintf("%s: count %d after %d, written %d times", word, n, got[word], want[word]))
			}
			if got[word] = n; n == want[word] {
				missing--
			}
			last = time.Now()
		}
	}
	for word, n := range want {
		if got[word] != n {
			found = append(found, fmt.Sprintf("%s: counted %d times, written %d times", word, got[word], n))
		}
	}
	if len(found) > 0 {
		return found[:min(len(found), 10)]
	}
	return nil
}

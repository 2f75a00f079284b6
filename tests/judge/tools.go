// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"chronik/tests/rig"
)

// step is one of Kafka's command-line tools with its arguments.
type step struct {
	tool, args string
	input      string // what it reads; lines end with |
	sorted     bool   // its lines come in any order
}

// classOf is what Kafka's shell scripts start.
var classOf = map[string]string{
	"topics":              "TopicCommand",
	"configs":             "kafka.admin.ConfigCommand",
	"console-producer":    "ConsoleProducer",
	"console-consumer":    "consumer.ConsoleConsumer",
	"consumer-groups":     "consumer.group.ConsumerGroupCommand",
	"share-groups":        "consumer.group.ShareGroupCommand",
	"streams-groups":      "streams.StreamsGroupCommand",
	"groups":              "GroupsCommand",
	"get-offsets":         "GetOffsetShell",
	"log-dirs":            "LogDirsCommand",
	"leader-election":     "LeaderElectionCommand",
	"reassign-partitions": "reassign.ReassignPartitionsCommand",
	"delete-records":      "DeleteRecordsCommand",
	"features":            "FeatureCommand",
	"metadata-quorum":     "MetadataQuorumCommand",
	"producer-perf-test":  "ProducerPerformance",
	"consumer-perf-test":  "ConsumerPerformance",
	"verifiable-producer": "VerifiableProducer",
	"verifiable-consumer": "VerifiableConsumer",
	"e2e-latency":         "EndToEndLatency",
	"client-metrics":      "ClientMetricsCommand",
	"cluster":             "ClusterTool",
	"transactions":        "TransactionsCommand",
	"acls":                "AclCommand",
	"delegation-tokens":   "DelegationTokenCommand",

	"broker-api-versions":       "BrokerApiVersionsCommand",
	"replica-verification":      "ReplicaVerificationTool",
	"share-consumer-perf-test":  "ShareConsumerPerformance",
	"streams-application-reset": "StreamsResetter",
	"client-compatibility-test": "ClientCompatibilityTest", // of Kafka's system tests
}

// toolbox is a Java process that runs tools.
type toolbox struct {
	dir, bootstrap string
	in             io.WriteCloser
	out            *bufio.Reader
	cmd            *exec.Cmd
}

// askTools runs all steps against a cluster.
func askTools(ctx context.Context, c cluster, dir string) (all []answer, err error) {
	list, err := classpath(ctx, dir)
	if err != nil {
		return nil, err
	}
	t := &toolbox{dir: dir, bootstrap: c.KafkaAddr(1) + "," + c.KafkaAddr(2) + "," + c.KafkaAddr(3)}
	for name, text := range toolFiles {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	t.cmd = exec.CommandContext(ctx, "java", "-Xmx256m", "-cp", list, "tests/judge/Tools.java")
	rig.Tie(t.cmd)
	if t.in, err = t.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := t.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	t.out, t.cmd.Stderr = bufio.NewReader(out), os.Stderr
	if err := t.cmd.Start(); err != nil {
		return nil, err
	}
	defer func() {
		err = errors.Join(err, t.in.Close(), t.cmd.Wait())
	}()
	times := make(map[string]int)
	for _, s := range steps {
		said, err := t.run(s)
		if err != nil {
			return all, fmt.Errorf("%s %s: %w", s.tool, s.args, err)
		}
		if s.tool == "wait" || strings.HasPrefix(s.tool, "&") {
			continue
		}
		name := strings.TrimSpace("kafka-" + s.tool + " " + s.args)
		if times[name]++; times[name] > 1 {
			name += fmt.Sprintf(" (time %d)", times[name])
		}
		all = append(all, answer{name, said})
	}
	return all, nil
}

func (t *toolbox) run(s step) (string, error) {
	line := s.tool
	if s.tool != "wait" {
		line = t.line(s)
	}
	if _, err := fmt.Fprintln(t.in, line); err != nil {
		return "", err
	}
	head, err := t.out.ReadString('\n')
	if err != nil {
		return "", err
	}
	n, err := strconv.Atoi(strings.TrimSpace(head))
	if err != nil {
		return "", err
	}
	said := make([]byte, n)
	_, err = io.ReadFull(t.out, said)
	return s.plain(string(said)), err
}

// line is what the Java process reads.
func (t *toolbox) line(s step) string {
	tool, behind := strings.CutPrefix(s.tool, "&")
	class := classOf[tool]
	if !strings.HasPrefix(class, "kafka.") {
		class = "org.apache.kafka.tools." + class
	}
	if behind {
		class = "&" + class
	}
	words := []string{class, s.input}
	brokers := []string{"--bootstrap-server", t.bootstrap}
	if tool == "replica-verification" {
		brokers[0] = "--broker-list"
	}
	if subcommands[tool] {
		words = append(words, brokers...)
	}
	for _, word := range strings.Fields(s.args) {
		if name, yes := strings.CutPrefix(word, "@"); yes {
			word = filepath.Join(t.dir, name)
		}
		words = append(words, word)
	}
	if !subcommands[tool] {
		words = append(words, brokers...)
	}
	return strings.Join(words, "\t")
}

// repeats are tools that say the same thing again and again, or once of each broker; how often is chance.
var repeats = map[string]bool{"verifiable-producer": true, "replica-verification": true, "broker-api-versions": true}

// subcommands are tools that want what is about all commands before the command.
var subcommands = map[string]bool{"features": true, "metadata-quorum": true, "transactions": true}

// Texts that two right clusters print differently, in a line, and what is put in their place.
var chances = []struct {
	of *regexp.Regexp
	by string
}{
	{regexp.MustCompile(`[ \t]+`), " "},
	{regexp.MustCompile(`(?:127\.0\.0\.1|localhost):\d+`), "ADDR"},
	{regexp.MustCompile(`/?127\.0\.0\.1( \d+)?`), "HOST"},
	{regexp.MustCompile(`console-consumer-\d+`), "console-consumer-N"},
	{regexp.MustCompile(`(consumer-[-a-z]*-)\d+-[-0-9a-f.]+`), "$1-N-ID"},
	{regexp.MustCompile(`(consumer-g-live[-a-z]*)-\d+`), "$1-N"}, // two begin at once
	{regexp.MustCompile(`ADDR \(\d\)`), "ADDR (N)"},              // which broker coordinates
	{regexp.MustCompile(`Epoch: \d+$`), "Epoch: N"},
	{regexp.MustCompile(`(Valid states are): .*`), "$1: STATES"},
	{regexp.MustCompile(`^(t-\d+): .*`), "$1: ERROR"},
	{regexp.MustCompile(`\bmin\.insync\.replicas=1(,|$)`), ""}, // Kafka's own default, which it writes down once
	{regexp.MustCompile(`"/[^"]*"`), `"DIR"`},
	{regexp.MustCompile(`/tmp/[^ "]*`), `DIR`},
	{regexp.MustCompile(`Cluster ID: .*`), "Cluster ID: ID"},
	{regexp.MustCompile(`(__consumer_offsets:\d+):\d+`), "$1:N"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.,:]\d{3}`), "TIME"},
	{regexp.MustCompile(`\b1[789]\d{11}\b`), "TIME"},
	{regexp.MustCompile(`"size":[1-9]\d*`), `"size":SOME`},
	{regexp.MustCompile(`\b\d+\.\d+\b`), "N.N"},
	{regexp.MustCompile(`^(.*Exception): .*$`), "$1"}, // the words of errors
	{regexp.MustCompile(`^(Error while executing .* command) ?: .*$`), "$1"},
}

var (
	perhapsID  = regexp.MustCompile(`\b[A-Za-z0-9_-]{22}\b`)
	upperLower = regexp.MustCompile(`[A-Z].*[a-z]|[a-z].*[A-Z]`)
	number     = regexp.MustCompile(`-?\b\d+(\.\d+)?`)
	roles      = regexp.MustCompile(`\b(Leader|Follower)$`)
	offset     = regexp.MustCompile(`("offset"):\d+`)
	producerID = regexp.MustCompile(`^\d+ `)
	verified   = regexp.MustCompile(`-\d+ at offset \d+ `)
	groupList  = regexp.MustCompile(`\('[^)]*'\)`)
	noOutput   = regexp.MustCompile(`^(null|Tools\$Ended|at .*|\.\.\. \d+ more)$`)
)

// numbers puts N where a tool tells times, rates, and what of the controllers' log.
func (s *step) numbers(line string) string {
	switch {
	case strings.HasSuffix(s.tool, "perf-test"), s.tool == "e2e-latency":
		return number.ReplaceAllString(line, "N")
	case s.tool == "metadata-quorum" && !strings.HasPrefix(line, "CurrentVoters"):
		return roles.ReplaceAllString(number.ReplaceAllString(line, "N"), "ROLE")
	case s.tool == "verifiable-producer": // it ends without waiting for its last answers
		return offset.ReplaceAllString(line, "$1:N")
	case strings.HasSuffix(s.args, "max-timestamp"): // which record was sent in the last millisecond
		return number.ReplaceAllString(line, "N")
	case s.tool == "replica-verification": // where it stood last; the producer chose which partition has more
		return verified.ReplaceAllString(line, "-N at offset N ")
	case s.tool == "transactions":
		return producerID.ReplaceAllString(line, "ID ")
	}
	return line
}

// names puts a list of groups in order.
func names(line string) string {
	return groupList.ReplaceAllStringFunc(line, func(list string) string {
		all := strings.Split(list[1:len(list)-1], ", ")
		slices.Sort(all)
		return "(" + strings.Join(all, ", ") + ")"
	})
}

// plain is what a tool printed, in one line, without what is there by chance.
func (s *step) plain(said string) string {
	var lines []string
	for line := range strings.Lines(said) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "Option ") { // all that the tool can do follows
			lines = append(lines, "usage")
			break
		}
		for _, c := range chances {
			line = c.of.ReplaceAllString(line, c.by)
		}
		line = perhapsID.ReplaceAllStringFunc(line, func(id string) string {
			if upperLower.MatchString(id) {
				return "UUID"
			}
			return id
		})
		line = strings.TrimSpace(s.numbers(names(line)))
		if line != "" && !noOutput.MatchString(line) {
			lines = append(lines, line)
		}
	}
	if s.sorted {
		slices.Sort(lines)
	}
	if repeats[s.tool] {
		lines = slices.Compact(lines)
	}
	return strings.Join(lines, " | ")
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"chronik/tests/rig"
)

// tools are Kafka's own command-line tools, by the classes that its shell scripts start.
type tools struct {
	bench     *bench
	classpath string
	logger    string // a file with it
}

// logger is one that prints errors. The classpath has one that says nothing; by the consoles nobody would learn why they failed.
const logger = "slf4j-simple:1.7.36"

func toolsClient(ctx context.Context, b *bench) (*client, error) {
	classpath, version, err := b.classpath(ctx)
	if err != nil {
		return nil, err
	}
	logger, err := b.logger(ctx)
	if err != nil {
		return nil, err
	}
	t := tools{b, classpath, logger}
	return &client{version: version, roundtrip: t.roundtrip, admin: t.admin, member: t.member, writer: t.writer, afterwards: t.afterwards, transactions: t.transactions, secure: t.secure, secureAdmin: t.secureAdmin, memberAs: t.memberAs, writerAs: t.writerAs, quiet: true}, nil
}

// logger installs one, and returns its file.
func (b *bench) logger(ctx context.Context) (string, error) {
	dir, err := b.installed("logger", "java/pom.xml", func(dir string) error {
		_, err := rig.Call(exec.CommandContext(ctx, "mvn", "-q", "-B", "dependency:copy", "-Dartifact=org.slf4j:"+logger, "-DoutputDirectory="+dir))
		return err
	})
	return filepath.Join(dir, strings.ReplaceAll(logger, ":", "-")+".jar"), err
}

// talkative are options by which a JVM with a logger says that a connection was lost or refused.
var talkative = []string{"-Dorg.slf4j.simpleLogger.log.org.apache.kafka.clients.NetworkClient=info"}

// withLogger is a classpath whose logger prints.
func withLogger(classpath, logger string) string {
	return logger + ":" + strings.ReplaceAll(classpath, "slf4j-nop", "absent")
}

const (
	topicsTool       = "org.apache.kafka.tools.TopicCommand"
	consoleProducer  = "org.apache.kafka.tools.ConsoleProducer"
	consoleConsumer  = "org.apache.kafka.tools.consumer.ConsoleConsumer"
	groupsTool       = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
	configsTool      = "kafka.admin.ConfigCommand"
	offsetsTool      = "org.apache.kafka.tools.GetOffsetShell"
	perfTest         = "org.apache.kafka.tools.ProducerPerformance"
	readPerfTest     = "org.apache.kafka.tools.ConsumerPerformance"
	reassignTool     = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand"
	electionTool     = "org.apache.kafka.tools.LeaderElectionCommand"
	deleteRecords    = "org.apache.kafka.tools.DeleteRecordsCommand"
	logDirsTool      = "org.apache.kafka.tools.LogDirsCommand"
	quorumTool       = "org.apache.kafka.tools.MetadataQuorumCommand"
	verifiableWriter = "org.apache.kafka.tools.VerifiableProducer"
	verifiableReader = "org.apache.kafka.tools.VerifiableConsumer"
	transactionsTool = "org.apache.kafka.tools.TransactionsCommand"
	rulesTool        = "org.apache.kafka.tools.AclCommand"
)

// evenly is a partitioner. The default one stays with a partition for a whole batch, and may leave another one empty.
const evenly = "org.apache.kafka.clients.producer.RoundRobinPartitioner"

func (t tools) command(ctx context.Context, class string, args ...string) *exec.Cmd {
	args = append([]string{"-Xmx256m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", t.classpath, class, "--bootstrap-server", t.bench.bootstrap}, args...)
	return exec.CommandContext(ctx, "java", args...)
}

// run runs a tool, which has to print each of some texts.
func (t tools) run(ctx context.Context, class string, args []string, want ...string) error {
	out, err := rig.Call(t.command(ctx, class, args...))
	name := class[strings.LastIndex(class, ".")+1:]
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, w := range want {
		if !strings.Contains(out, w) {
			return fmt.Errorf("%s %s: %q is not in what it printed:\n%s", name, strings.Join(args, " "), w, out)
		}
	}
	return nil
}

func (t tools) roundtrip(ctx context.Context, topic, codec string) error {
	padding := strings.Repeat("x", 200)
	var lines strings.Builder
	for i := range roundtripRecords {
		fmt.Fprintf(&lines, "k-%d:v-%d%s\n", i, i, padding)
	}
	write := t.command(ctx, consoleProducer, "--topic", topic, "--compression-codec", codec,
		"--reader-property", "parse.key=true", "--reader-property", "key.separator=:")
	write.Stdin = strings.NewReader(lines.String())
	if _, err := rig.Call(write); err != nil {
		return err
	}
	read := t.command(ctx, consoleConsumer, "--topic", topic, "--from-beginning", "--max-messages", strconv.Itoa(roundtripRecords),
		"--formatter-property", "print.key=true", "--formatter-property", "key.separator=:")
	out, err := rig.Call(read)
	if err != nil {
		return err
	}
	seen := make(map[string]bool)
	for _, line := range strings.Split(out, "\n") {
		key, value, ok := strings.Cut(line, ":")
		n := strings.TrimPrefix(key, "k-")
		if ok && strings.HasPrefix(key, "k-") {
			if value != "v-"+n+padding || seen[n] {
				return fmt.Errorf("record is wrong or there twice: %q", line)
			}
			seen[n] = true
		}
	}
	if len(seen) != roundtripRecords {
		return fmt.Errorf("%d of %d records came", len(seen), roundtripRecords)
	}
	return nil
}

func (t tools) admin(ctx context.Context, topic string) error {
	plan, err := t.file(`{"version":1,"partitions":[{"topic":"` + topic + `","partition":0,"replicas":[3,1,2]}]}`)
	if err != nil {
		return err
	}
	defer os.Remove(plan)
	records, err := t.file(`{"version":1,"partitions":[{"topic":"` + topic + `","partition":0,"offset":1}]}`)
	if err != nil {
		return err
	}
	defer os.Remove(records)
	for _, s := range []struct {
		class string
		args  []string
		want  []string
	}{
		{topicsTool, []string{"--create", "--topic", topic, "--partitions", "3", "--replication-factor", "3", "--config", "retention.ms=1234567"}, []string{"Created topic"}},
		{topicsTool, []string{"--list"}, []string{topic}},
		{configsTool, []string{"--alter", "--entity-type", "topics", "--entity-name", topic, "--add-config", "retention.ms=7654321"}, []string{"Completed updating"}},
		{configsTool, []string{"--describe", "--entity-type", "topics", "--entity-name", topic}, []string{"retention.ms=7654321"}},
		{configsTool, []string{"--describe", "--all", "--entity-type", "brokers", "--entity-name", "1"}, []string{"num.partitions=1"}},
		{configsTool, []string{"--alter", "--entity-type", "users", "--entity-default", "--entity-type", "clients", "--entity-name", topic, "--add-config", "producer_byte_rate=99999999,request_percentage=150.5"}, []string{"Completed updating"}},
		{configsTool, []string{"--describe", "--entity-type", "users", "--entity-default", "--entity-type", "clients", "--entity-name", topic}, []string{"producer_byte_rate=9.9999999E7, request_percentage=150.5"}},
		{topicsTool, []string{"--alter", "--topic", topic, "--partitions", "5"}, nil},
		{topicsTool, []string{"--describe", "--topic", topic}, []string{"PartitionCount: 5", "ReplicationFactor: 3", "retention.ms=7654321"}},
		{perfTest, []string{"--topic", topic, "--num-records", "2000", "--record-size", "100", "--throughput", "-1", "--command-property", "partitioner.class=" + evenly, "linger.ms=1000", "batch.size=1000000"}, []string{"2000 records sent"}},
		{readPerfTest, []string{"--topic", topic, "--num-records", "1000"}, []string{"fetch.time.ms"}},
		{offsetsTool, []string{"--topic", topic}, []string{topic + ":0:400", topic + ":4:400"}},
		{deleteRecords, []string{"--offset-json-file", records}, []string{"low_watermark: 1"}},
		{logDirsTool, []string{"--describe", "--topic-list", topic}, []string{topic + "-4"}},
		{quorumTool, []string{"describe", "--replication"}, []string{"Leader", "Follower"}},
		{reassignTool, []string{"--execute", "--reassignment-json-file", plan}, []string{"Successfully started"}},
		{reassignTool, []string{"--verify", "--reassignment-json-file", plan}, []string{"-0 is completed", "Clearing topic-level throttles"}},
		{electionTool, []string{"--election-type", "preferred", "--topic", topic, "--partition", "0"}, nil},
		{groupsTool, []string{"--list"}, nil},
		{topicsTool, []string{"--delete", "--topic", topic}, nil},
	} {
		if err := t.run(ctx, s.class, s.args, s.want...); err != nil {
			return err
		}
	}
	return nil
}

// transactions writes transactions of a tenth of a second, reads them, and looks for what hangs.
func (t tools) transactions(ctx context.Context, _, perf string) error {
	if err := t.run(ctx, perfTest, []string{
		"--topic", perf, "--num-records", "2000", "--record-size", "100", "--throughput", "2000",
		"--transactional-id", perf, "--transaction-duration-ms", "100",
	}, "2000 records sent"); err != nil {
		return err
	}
	out, err := rig.Call(t.command(ctx, consoleConsumer, "--topic", perf, "--from-beginning", "--isolation-level", "read_committed", "--max-messages", "2000"))
	if n := strings.Count(out, "\n"); err != nil || n < 2000 {
		return fmt.Errorf("reading 2000 committed records: %d lines, %w", n, err)
	}
	for _, s := range []struct{ args, want []string }{
		{[]string{"list"}, []string{perf, "CompleteCommit"}},
		{[]string{"describe", "--transactional-id", perf}, []string{"CompleteCommit"}},
		{[]string{"describe-producers", "--topic", perf, "--partition", "0"}, []string{"None"}},
		{[]string{"find-hanging", "--broker-id", "1"}, nil},
	} {
		if err := t.run(ctx, transactionsTool, s.args, s.want...); err != nil {
			return err
		}
	}
	return nil
}

// as writes a configuration with which a tool logs in.
func (t tools) as(l login) (name string, err error) {
	return t.file(fmt.Sprintf(`security.protocol=SASL_SSL
ssl.truststore.type=PEM
ssl.truststore.location=%s
sasl.mechanism=SCRAM-SHA-512
sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="%s" password="%s";
auto.offset.reset=earliest
`, t.bench.secured.authority, l.user, l.password))
}

// secured are the same tools by the secured listener, with a logger that prints.
func (t tools) secured() tools {
	t.bench, t.classpath = &bench{bootstrap: t.bench.secured.bootstrap}, withLogger(t.classpath, t.logger)
	return t
}

// secure takes one step as a user. The consoles tell errors, but not by their exit codes.
func (t tools) secure(ctx context.Context, as login, step, topic, group string) (string, error) {
	config, err := t.as(as)
	if err != nil {
		return "", err
	}
	defer os.Remove(config)
	t = t.secured()
	switch step {
	case "create":
		return rig.Call(t.command(ctx, topicsTool, "--command-config", config, "--create", "--topic", topic, "--partitions", "1", "--replication-factor", "3"))
	case "produce":
		write := t.command(ctx, consoleProducer, "--command-config", config, "--topic", topic, "--max-block-ms", "20000")
		write.Stdin = strings.NewReader(strings.Repeat("s\n", secureRecords))
		return rig.Call(write)
	}
	return rig.Call(t.command(ctx, consoleConsumer, "--command-config", config, "--topic", topic, "--group", group, "--max-messages", strconv.Itoa(secureRecords)))
}

// secureAdmin manages users and rules by Kafka's tools, as who may and as who may not.
func (t tools) secureAdmin(ctx context.Context, right, poor login) error {
	if err := t.bench.addRules(ctx, right.user, "ALTER CLUSTER kafka-cluster"); err != nil {
		return err
	}
	can, err := t.as(right)
	if err != nil {
		return err
	}
	defer os.Remove(can)
	cannot, err := t.as(poor)
	if err != nil {
		return err
	}
	defer os.Remove(cannot)
	t = t.secured()
	add := []string{"--add", "--allow-principal", "User:new", "--operation", "Read", "--topic", right.user}
	user := []string{"--entity-type", "users", "--entity-name", "new"}
	for _, s := range []struct {
		class, config string
		args          []string
		want          string
	}{
		{rulesTool, can, add, "Adding ACLs"},
		{rulesTool, can, []string{"--list", "--topic", right.user}, "User:new"},
		{configsTool, can, append([]string{"--alter", "--add-config", "SCRAM-SHA-512=[password=of-new]"}, user...), "Completed updating"},
		{rulesTool, cannot, add, "CLUSTER_AUTHORIZATION_FAILED|ClusterAuthorizationException|authorization"},
		{configsTool, cannot, append([]string{"--alter", "--add-config", "SCRAM-SHA-512=[password=guess]"}, user...), "ClusterAuthorizationException"},
	} {
		out, err := rig.Call(t.command(ctx, s.class, append([]string{"--command-config", s.config}, s.args...)...))
		if !regexp.MustCompile(s.want).MatchString(out) {
			return fmt.Errorf("%s %s: %q is not in what it printed (%w): %s", s.class, strings.Join(s.args, " "), s.want, err, out)
		}
	}
	return nil
}

// file writes what a tool reads from a file.
func (t tools) file(text string) (name string, err error) {
	f, err := os.CreateTemp(t.bench.cache, "*.txt")
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(text)
	return f.Name(), errors.Join(err, f.Close())
}

// afterwards looks at a group whose members have left, moves its offsets, and deletes it.
func (t tools) afterwards(ctx context.Context, group string) error {
	for _, s := range []struct{ args, want []string }{
		{[]string{"--list"}, []string{group}},
		{[]string{"--describe", "--group", group}, []string{"LOG-END-OFFSET", group}},
		{[]string{"--describe", "--state", "--group", group}, []string{"Empty"}},
		{[]string{"--reset-offsets", "--to-earliest", "--all-topics", "--execute", "--group", group}, []string{group}},
		{[]string{"--delete", "--group", group}, []string{"successful"}},
	} {
		if err := t.run(ctx, groupsTool, s.args, s.want...); err != nil {
			return err
		}
	}
	return nil
}

// verifiable is a line of the verifiable producer and consumer.
type verifiable struct {
	Name       string
	Value      string
	Partitions []struct{ Partition int }
}

func parseVerifiable(p *process, line string) {
	var v verifiable
	if json.Unmarshal([]byte(line), &v) != nil {
		if troubled.MatchString(line) && len(p.others) < 10 {
			p.others = append(p.others, line)
		}
		return
	}
	switch v.Name {
	case "producer_send_success":
		p.acked = append(p.acked, v.Value)
	case "record_data":
		p.records = append(p.records, v.Value)
	case "partitions_assigned":
		for _, at := range v.Partitions {
			p.assigned = append(p.assigned, strconv.Itoa(at.Partition))
		}
	case "partitions_revoked":
		p.assigned = slices.DeleteFunc(p.assigned, func(id string) bool {
			return slices.ContainsFunc(v.Partitions, func(at struct{ Partition int }) bool { return strconv.Itoa(at.Partition) == id })
		})
	}
}

func (t tools) member(name, topic, group, protocol string) (*process, error) {
	return start(name, t.command(context.Background(), verifiableReader, "--topic", topic, "--group-id", group, "--group-protocol", protocol, "--verbose", "--reset-policy", "earliest"), parseVerifiable)
}

func (t tools) writer(name, topic, prefix string) (*process, error) {
	return start(name, t.command(context.Background(), verifiableWriter, "--topic", topic, "--throughput", "150", "--repeating-keys", "100", "--value-prefix", prefix), parseVerifiable)
}

// memberAs and writerAs are the same as a user. What they lose or can't connect to they say.
func (t tools) memberAs(l login, name, topic, group string) (*process, error) {
	return t.startAs(l, name, verifiableReader, "--topic", topic, "--group-id", group, "--verbose", "--reset-policy", "earliest")
}

func (t tools) writerAs(l login, name, topic, prefix string) (*process, error) {
	return t.startAs(l, name, verifiableWriter, "--topic", topic, "--throughput", "150", "--repeating-keys", "100", "--value-prefix", prefix)
}

func (t tools) startAs(l login, name, class string, args ...string) (*process, error) {
	config, err := t.as(l)
	if err != nil {
		return nil, err
	}
	cmd := t.secured().command(context.Background(), class, append([]string{"--command-config", config}, args...)...)
	cmd.Args = slices.Insert(cmd.Args, 1, talkative...)
	return start(name, cmd, parseVerifiable)
}

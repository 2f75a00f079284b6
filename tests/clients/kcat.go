// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"chronik/tests/rig"
)

// kcat is librdkafka at the version of the machine's distribution.
type kcat struct{ bench *bench }

// kcatClient finds kcat, or lets the distribution install it if this process may do so.
func kcatClient(ctx context.Context, b *bench) (*client, error) {
	program, err := exec.LookPath("kcat")
	if err != nil && os.Geteuid() == 0 {
		if _, err := rig.Call(exec.CommandContext(ctx, "sh", "-c", "apt-get update -q && apt-get install -q -y --no-install-recommends kcat")); err != nil {
			return nil, fmt.Errorf("kcat isn't here and can't be installed: %w", err)
		}
		program, err = exec.LookPath("kcat")
	}
	if err != nil {
		return nil, err
	}
	out, err := exec.Command(program, "-V").CombinedOutput()
	if err != nil {
		return nil, err
	}
	version := regexp.MustCompile(`Version ([0-9.]+) .*librdkafka ([0-9.]+)`).FindStringSubmatch(strings.ReplaceAll(string(out), "\n", " "))
	if version == nil {
		return nil, fmt.Errorf("kcat -V says %q", out)
	}
	k := kcat{b}
	return &client{version: version[1] + " (librdkafka " + version[2] + ")", roundtrip: k.roundtrip, admin: k.admin, member: k.member, writer: k.writer, transactions: k.transactions, txnTopics: 1, secure: k.secure, memberAs: k.memberAs, writerAs: k.writerAs}, nil
}

func (k kcat) command(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "kcat", append([]string{"-b", k.bench.bootstrap}, args...)...)
}

func (k kcat) roundtrip(ctx context.Context, topic, codec string) error {
	padding := strings.Repeat("x", 200)
	var lines strings.Builder
	for i := range roundtripRecords {
		fmt.Fprintf(&lines, "k-%d:v-%d%s\n", i, i, padding)
	}
	write := k.command(ctx, "-P", "-t", topic, "-K:", "-z", codec, "-H", "n=header", "-X", "linger.ms=20", "-X", "enable.idempotence=true")
	write.Stdin = strings.NewReader(lines.String())
	if _, err := rig.Call(write); err != nil {
		return err
	}
	out, err := rig.Call(k.command(ctx, "-C", "-t", topic, "-e", "-q", "-o", "beginning", "-f", `%k:%s:%h\n`))
	if err != nil {
		return err
	}
	seen := make(map[string]bool)
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		key, rest, _ := strings.Cut(line, ":")
		n := strings.TrimPrefix(key, "k-")
		if rest != "v-"+n+padding+":n=header" || seen[n] {
			return fmt.Errorf("record is wrong or there twice: %q", line)
		}
		seen[n] = true
	}
	if len(seen) != roundtripRecords {
		return fmt.Errorf("%d of %d records came", len(seen), roundtripRecords)
	}
	return nil
}

// transactions writes in one transaction, which kcat commits when there is nothing more to write.
func (k kcat) transactions(ctx context.Context, topic, _ string) error {
	var lines strings.Builder
	for i := range txnRecords {
		fmt.Fprintf(&lines, "c-%d\n", i)
	}
	write := k.command(ctx, "-P", "-t", topic, "-X", "transactional.id="+topic)
	write.Stdin = strings.NewReader(lines.String())
	if _, err := rig.Call(write); err != nil {
		return err
	}
	out, err := rig.Call(k.command(ctx, "-C", "-t", topic, "-e", "-q", "-o", "beginning", "-X", "isolation.level=read_committed"))
	if n := strings.Count(out, "c-"); err == nil && n != txnRecords {
		err = fmt.Errorf("%d of %d records came", n, txnRecords)
	}
	return err
}

// secure takes one step as a user. A topic is there once kcat has listed it; but only when it writes does it fail if it may not create one.
func (k kcat) secure(ctx context.Context, as login, step, topic, group string) (string, error) {
	args := append(k.login(as), "-X", "message.timeout.ms=20000")
	if step == "consume" {
		return rig.Call(exec.CommandContext(ctx, "kcat", append(args, "-G", group, "-X", "auto.offset.reset=earliest", "-c", fmt.Sprint(secureRecords), topic)...))
	}
	write := exec.CommandContext(ctx, "kcat", append(args, "-P", "-t", topic)...)
	if step == "produce" || strings.HasSuffix(topic, "-new") {
		write.Stdin = strings.NewReader(strings.Repeat("s\n", secureRecords))
		return rig.Call(write)
	}
	return rig.Call(exec.CommandContext(ctx, "kcat", append(args, "-L", "-t", topic, "-X", "allow.auto.create.topics=true")...))
}

// login is what kcat has to be told of the secured listener.
func (k kcat) login(as login) []string {
	args := []string{"-b", k.bench.secured.bootstrap}
	for _, x := range []string{
		"security.protocol=SASL_SSL", "ssl.ca.location=" + k.bench.secured.authority, "sasl.mechanism=SCRAM-SHA-512",
		"sasl.username=" + as.user, "sasl.password=" + as.password,
	} {
		args = append(args, "-X", x)
	}
	return args
}

// admin is what kcat has of it: it lists brokers, topics and offsets, and a topic appears by itself.
func (k kcat) admin(ctx context.Context, topic string) error {
	write := k.command(ctx, "-P", "-t", topic)
	write.Stdin = strings.NewReader("a\nb\n")
	if _, err := rig.Call(write); err != nil {
		return fmt.Errorf("creating the topic by writing to it: %w", err)
	}
	out, err := rig.Call(k.command(ctx, "-L", "-J", "-t", topic))
	if err != nil {
		return err
	}
	var list struct {
		Brokers []any
		Topics  []struct {
			Topic      string
			Partitions []any
		}
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list.Brokers) != 3 || len(list.Topics) != 1 || len(list.Topics[0].Partitions) != 1 {
		return fmt.Errorf("kcat -L: %w in %s", err, out)
	}
	out, err = rig.Call(k.command(ctx, "-Q", "-t", topic+":0:0", "-t", topic+":0:-1"))
	if err != nil || !strings.Contains(out, "offset 0") && !strings.Contains(out, "offset 2") {
		return fmt.Errorf("kcat -Q: %w: %s", err, out)
	}
	return nil
}

var kcatRebalanced = regexp.MustCompile(`% Group .* rebalanced .*: (assigned|revoked): (.*)`)

func (k kcat) member(name, topic, group, _ string) (*process, error) {
	return k.reads(name, topic, group)
}

func (k kcat) memberAs(as login, name, topic, group string) (*process, error) {
	return k.reads(name, topic, group, k.login(as)...)
}

func (k kcat) reads(name, topic, group string, more ...string) (*process, error) {
	cmd := k.command(context.Background(), append(more, "-G", group, "-X", "auto.offset.reset=earliest", "-X", "auto.commit.interval.ms=1000", "-u", "-f", `record %s\n`, topic)...)
	return start(name, cmd, func(p *process, line string) {
		m := kcatRebalanced.FindStringSubmatch(line)
		if m == nil {
			parseLines(p, line)
			return
		}
		p.assigned = nil
		if m[1] == "assigned" {
			for _, at := range strings.Split(m[2], ", ") {
				_, partition, _ := strings.Cut(at, " ")
				p.assigned = append(p.assigned, strings.Trim(partition, "[]"))
			}
		}
	})
}

// writer gives kcat lines to write. It doesn't say what is acknowledged, but its exit code says
// whether all is, so everything counts that it took.
func (k kcat) writer(name, topic, prefix string) (*process, error) {
	return k.writes(name, topic, prefix)
}

func (k kcat) writerAs(as login, name, topic, prefix string) (*process, error) {
	return k.writes(name, topic, prefix, k.login(as)...)
}

func (k kcat) writes(name, topic, prefix string, more ...string) (*process, error) {
	cmd := k.command(context.Background(), append(more, "-P", "-t", topic, "-K:", "-X", "linger.ms=5")...)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	p, err := start(name, cmd, parseLines)
	if err != nil {
		return nil, err
	}
	stop := make(chan struct{})
	p.stdin = closer{func() error { close(stop); return nil }}
	go func() {
		defer in.Close()
		for i := 0; ; i++ {
			value := fmt.Sprintf("%s-%d", prefix, i)
			if _, err := fmt.Fprintf(in, "%s:%s\n", value, value); err != nil {
				return
			}
			p.mu.Lock()
			p.acked = append(p.acked, value)
			p.mu.Unlock()
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return p, nil
}

type closer struct{ close func() error }

func (c closer) Write([]byte) (int, error) { panic("nothing is written to it") }
func (c closer) Close() error              { return c.close() }

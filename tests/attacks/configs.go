// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/tests/rig"
)

// configAttacks are clumsy hands.
var configAttacks = []attack{
	{name: "wrong configurations", whole: true, quick: true, prepare: now(wrongConfigurations)},
}

// wrongLines are settings that nobody should write. Each is refused at the start, in words that name the key, or the
// broker takes records.
var wrongLines = []string{
	"hot_bytes = -1", "hot_bytes = 1", "max_message_bytes = -1", "max_message_bytes = 5000000000", "max_request_bytes = -1",
	"max_request_bytes = 5000000000", "max_connections = -1", "max_connections = 0", "inflight_bytes = -1", "retention_ms = -5", "retention_bytes = -7",
	"default_partitions = -3", "default_partitions = 0", "default_partitions = 70000", "default_replicas = 40000", "default_replicas = -2",
	"checkpoint_entries = -1", "checkpoint_bytes = -1", "retain_entries = -1", "raft_log_retention = -1", "cache_bytes = -1",
	"catch_up_bytes_per_second = 1", "group_max_size = -1", "group_initial_delay_ms = -100", "offsets_retention_ms = -1", "scrub_bytes_per_second = -100",
	"group_consumer_session_ms = -1", "segment_bytes = 1", "unread_bytes = -1", "cpus = -1", "broker_id = -1", "broker_id = 70000",
	`hot_bytes = "many"`, `retention_ms = "7 parsecs"`, `log_level = "loud"`, `listen = "nowhere"`, `listen = "127.0.0.1:99999"`, `metrics = "x"`,
	`dir = ""`, "no_such_key = 1", "hot_bytes = 1e99", "join = 3", `members = "all"`, "[[members]]\nid = 1\nid = 2",
}

// wrongConfigurations starts a broker with each.
func wrongConfigurations(ctx context.Context, t *target) error {
	for i, line := range wrongLines {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := tryConfiguration(ctx, t, filepath.Join(t.Dir, fmt.Sprint("config-", i)), line); err != nil {
			return fmt.Errorf("%s: %w", line, err)
		}
		t.done.Add(1)
	}
	return nil
}

func tryConfiguration(ctx context.Context, t *target, dir, line string) error {
	kafka, err := freeAddr()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text := line + "\n"
	for _, ours := range []string{fmt.Sprintf("listen = %q", kafka), `metrics = ""`, `dir = "data"`} {
		if key, _, _ := strings.Cut(ours, " "); !strings.HasPrefix(line, key+" ") {
			text = ours + "\n" + text
		}
	}
	config := filepath.Join(dir, "broker.toml")
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return err
	}
	key := strings.Trim(strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\n' })[0], "[]")
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, t.Program, "start", "-config", config)
	rig.Tie(cmd)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	served := make(chan error, 1)
	go func() { served <- takesRecords(ctx, kafka) }()
	select {
	case <-ended:
		cancel()
		<-served
		if code := cmd.ProcessState.ExitCode(); code != 2 || !strings.Contains(said.String(), key) {
			return fmt.Errorf("the start ended with code %d and said: %s", code, strings.TrimSpace(said.String()))
		}
		return nil
	case err := <-served:
		cmd.Process.Kill()
		<-ended
		return err
	}
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// takesRecords writes a record and reads it back.
func takesRecords(ctx context.Context, addr string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic("t"), kgo.ConsumeTopics("t"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		return err
	}
	defer cl.Close()
	if err := cl.ProduceSync(ctx, kgo.StringRecord("x")).FirstErr(); err != nil {
		return fmt.Errorf("it was taken, but then a record wasn't: %w", err)
	}
	if cl.PollFetches(ctx).NumRecords() == 0 {
		return errors.New("it was taken, but then the record couldn't be read")
	}
	return nil
}

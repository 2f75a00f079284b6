// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"chronik/host"
	"chronik/node"
)

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

const threeMembers = `
cluster_id = "c"
broker_id = 2
dir = "there"
listen = "0.0.0.0:9093"
allow_strangers = true
raft_log_retention = 77

[[members]]
id = 1
kafka = "a:9092"
peer = "a:10092"
[[members]]
id = 2
kafka = "b:9093"
peer = "b:10093"
rack = "r2"
`

func TestSettingsBecomeTheHostsConfig(t *testing.T) {
	file := writeFile(t, "broker.toml", threeMembers)
	s, err := loadSettings([]string{"-config", file}, nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.hostConfig()
	if err != nil {
		t.Fatal(err)
	}
	want := host.Config{
		Dir: filepath.Join(filepath.Dir(file), "there"), Listen: "0.0.0.0:9093", PeerListen: "b:10093", Metrics: "127.0.0.1:9644",
	}
	want.Node.LogDir = want.Dir
	want.Node.ClusterID, want.Node.BrokerID, want.Node.HotEntries = "c", 2, 77
	want.Node.Members = []node.Member{{ID: 1, Host: "a", Port: 9092, Peer: "a:10092"}, {ID: 2, Host: "b", Port: 9093, Rack: "r2", Peer: "b:10093"}}
	want.Node.DefaultReplicas, want.Node.MaxPartitionsPerBroker = 3, 2000
	want.Node.RetentionMs, want.Node.RetentionBytes = 7*24*time.Hour.Milliseconds(), -1
	want.Node.TimestampBeforeMaxMs, want.Node.TimestampAfterMaxMs = math.MaxInt64, time.Hour.Milliseconds()
	want.Node.ClockPatience = time.Hour
	want.Node.CheckpointEntries, want.Node.CheckpointBytes, want.Node.RetainEntries = 20000, 32<<20, 1000
	want.Node.RetainBytes = 16 << 20
	want.Node.CatchUpBytesPerSecond, want.Node.ScrubBytesPerSecond = 64<<20, 4<<20
	want.Node.ProducerExpiration = 24 * time.Hour
	want.Node.GroupPartitions, want.Node.GroupMaxSize, want.Node.OffsetsRetention = 8, 1000, 7*24*time.Hour
	want.Node.GroupMinSession, want.Node.GroupMaxSession, want.Node.GroupInitialDelay = 6*time.Second, 30*time.Minute, 3*time.Second
	want.Node.ConsumerSession, want.Node.ConsumerHeartbeat = 45*time.Second, 5*time.Second
	want.Node.AutoCreateTopicsPerSecond = 10
	want.Node.TransactionPartitions, want.Node.MaxTransactionalIDs = 8, 20000
	want.Node.TransactionMaxTimeout, want.Node.TransactionalIDExpiration = 15*time.Minute, 7*24*time.Hour
	want.Node.MaxGroups, want.Node.OffsetMetadataBytes = 20000, 4096
	want.Node.MaxGroupOffsets, want.Node.GroupOffsetBytes = 100_000, 64<<20
	want.Node.MaxRequests, want.Node.MaxWaits, want.Node.ParkedBytes, want.Node.LargeBytes = 65536, 524288, 32<<20, 32<<20
	want.Node.UnderwayBytes, want.Node.CompactionBytes, want.Node.AnswerBytes = 128<<20, 32<<20, 64<<20
	ignore := cmpopts.IgnoreFields(node.Config{}, "AutoCreateTopics", "DefaultPartitions", "MaxMessageBytes", "HotBytes", "CacheBytes", "Log")
	if diff := cmp.Diff(want, got, ignore, cmpopts.IgnoreFields(host.Config{}, "Limits")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFlagsOverEnvironmentOverFileOverDefaults(t *testing.T) {
	file := writeFile(t, "broker.toml", "rack = 'file'\nlog_level = 'warn'\ncluster_id = 'file'\n")
	s, err := loadSettings([]string{"-rack", "flag", "-config", file},
		[]string{"CHRONIK_RACK=env", "CHRONIK_LOG_LEVEL=debug", "HOME=/"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{s.Rack, s.LogLevel, s.ClusterID, s.Listen}
	if diff := cmp.Diff([]string{"flag", "debug", "file", "127.0.0.1:9092"}, got); diff != "" {
		t.Errorf("rack, log level, cluster id, listen (-want +got):\n%s", diff)
	}
}

// A broker that is listed in members stands where rack says, too.
func TestRackOfAListedBroker(t *testing.T) {
	s, err := loadSettings([]string{"-rack", "east", "-broker-id", "1", "-config", writeFile(t, "broker.toml", threeMembers)}, nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := s.hostConfig()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range cfg.Node.Members {
		if want := map[node.BrokerID]string{1: "east", 2: "r2"}[m.ID]; m.Rack != want {
			t.Errorf("broker %d stands in %q, not %q", m.ID, m.Rack, want)
		}
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	for _, c := range []struct {
		name, file string
		args, env  []string
		want       string
	}{
		{"unknown key", "raft_log_retension = 3", nil, nil, `there is no setting "raft_log_retension"; did you mean "raft_log_retention"?`},
		{"unknown key of a member", "[[members]]\nkafak = 'x'", nil, nil, `there is no setting "members.kafak"; did you mean "kafka"?`},
		{"syntax", "listen = ", nil, nil, "broker.toml:1: this is no TOML"},
		{"wrong type", "broker_id = 'x'", nil, nil, "broker_id"},
		{"unknown flag", "", []string{"-lisen", "x"}, nil, "did you mean -listen?"},
		{"argument", "", []string{"x"}, nil, `unexpected argument "x"`},
		{"bad variable", "", nil, []string{"CHRONIK_BROKER_ID=x"}, `CHRONIK_BROKER_ID is "x"`},
		{"log level", "log_level = 'loud'", nil, nil, "use debug, info, warn or error"},
		{"not a member", threeMembers, []string{"-broker-id", "3"}, nil, "broker 3 is not in members"},
		{"join whom", "", []string{"-join"}, nil, "members lists no other broker"},
		{"no cluster id of a broker that others can reach", "peer_listen = 'a:1'", nil, nil, "cluster_id is missing"},
		{"no cluster id", threeMembers, []string{"-cluster-id", ""}, nil, "-cluster-id is missing"},
		{"every address", "listen = '0.0.0.0:9092'", nil, nil, "set advertise"},
		{"no port", "listen = 'host'", nil, nil, `"host" is no host:port`},
		{"port 0", "listen = 'host:0'", nil, nil, "no port from 1 to 65535"},
		{"bad peer address", strings.Replace(threeMembers, "a:10092", "a", 1), nil, nil, `members.peer: "a" is no host:port`},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{"-config", writeFile(t, "broker.toml", c.file)}, c.args...)
			s, err := loadSettings(args, c.env, io.Discard)
			if err == nil {
				_, err = s.hostConfig()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestUnknownVariablesAreOnlyAWarning(t *testing.T) {
	var warnings strings.Builder
	if _, err := loadSettings(nil, []string{"CHRONIK_LISTN=x"}, &warnings); err != nil {
		t.Error(err)
	}
	if want := "no setting CHRONIK_LISTN (the nearest is CHRONIK_LISTEN)"; !strings.Contains(warnings.String(), want) {
		t.Errorf("warned %q, want %q in it", warnings.String(), want)
	}
}

// Every setting is there in all three ways, so each flag but -config is a key of the file.
func TestEveryFlagIsAKeyOfTheFile(t *testing.T) {
	fs, _ := newFlags()
	for _, name := range flagNames(fs) {
		if name == "config" {
			continue
		}
		f := fs.Lookup(name)
		value := strconv.Quote(f.DefValue)
		if f.DefValue == "true" || f.DefValue == "false" {
			value = f.DefValue
		}
		file := writeFile(t, "broker.toml", strings.ReplaceAll(name, "-", "_")+" = "+value)
		if _, err := loadSettings([]string{"-config", file}, nil, io.Discard); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestExitCodes(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	member := writeFile(t, "broker.toml", threeMembers)
	for _, c := range []struct {
		args []string
		code int
		text string // in either output
	}{
		{[]string{"help"}, 0, "-raft-log-retention"},
		{[]string{"-h"}, 0, "broker local"},
		{[]string{"version"}, 0, "of the peer protocol"},
		{[]string{"strat"}, 2, `there is no command "strat"`},
		{[]string{"help"}, 0, "drain BROKER"},
		{[]string{"admin"}, 2, "admin needs a command"},
		{[]string{"admin", "drian", "1"}, 2, `there is no admin command "drian"`},
		{[]string{"admin", "drain"}, 2, "wrong number of words"},
		{[]string{"admin", "drain", "x"}, 2, `"x" is no id of a broker`},
		{[]string{"admin", "-boostrap", "x", "status"}, 2, "did you mean -bootstrap?"},
		{[]string{"admin", "-config", "/nowhere/broker.toml", "status"}, 2, "can't read the configuration"},
		{[]string{"-colour"}, 2, "there is no flag -colour"},
		{[]string{"local", "-brokers", "0"}, 2, "use 1 to 100 brokers"},
		{[]string{"start", "-config", "/nowhere/broker.toml"}, 2, "can't read the configuration"},
		{[]string{"start", "-config", member, "-listen", "127.0.0.1:0"}, 1, "must never come back with an empty disk"},
		{[]string{"-dir", t.TempDir(), "-listen", taken.Addr().String()}, 1, "free that port or set listen"},
		{[]string{"-dir", t.TempDir(), "-listen", "127.0.0.1:23390", "-metrics", taken.Addr().String()}, 1, "free that port or set metrics"},
		{[]string{"format", "-config", member}, 0, "for broker 2 of cluster c"},
		{[]string{"format", "-config", member}, 0, "formatted already for broker 2"},
		{[]string{"format", "-config", member, "-broker-id", "3"}, 1, "is broker 2 of cluster c"},
		{[]string{"health", "-metrics", ""}, 2, "nobody can ask"},
		{[]string{"health", "wellz"}, 2, "is no page of health"},
		{[]string{"health", "-metrics", "127.0.0.1:1"}, 1, "doesn't answer"},
	} {
		var out strings.Builder
		if code := run(t.Context(), c.args, &out, &out); code != c.code || !strings.Contains(out.String(), c.text) {
			t.Errorf("broker %v: exit code %d, want %d, and %q in:\n%s", c.args, code, c.code, c.text, out.String())
		}
	}
}

// One broker alone, from nothing to a clean stop, and again on the same folder.
func TestStartServesAndStopsCleanly(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
		lines, out := io.Pipe()
		code := make(chan int)
		go func() {
			code <- run(ctx, []string{"-dir", dir, "-listen", "127.0.0.1:23391", "-metrics", "", "-log-level", "error"}, out, io.Discard)
		}()
		line := make([]byte, 200)
		n, _ := lines.Read(line)
		if want := "ready: broker 1 serves Kafka clients on 127.0.0.1:23391, data in " + dir + "\n"; string(line[:n]) != want {
			t.Errorf("said %q, want %q", line[:n], want)
		}
		sock, err := net.Dial("tcp", "127.0.0.1:23391")
		if err != nil {
			t.Fatal(err)
		}
		// ApiVersions v0, correlation id 7, no client id: what every client asks first.
		sock.Write([]byte{0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff})
		answer := make([]byte, 10)
		if _, err := io.ReadFull(sock, answer); err != nil || answer[7] != 7 || answer[8] != 0 || answer[9] != 0 {
			t.Errorf("ApiVersions was answered with %x, %v", answer, err)
		}
		sock.Close()
		stop()
		if c := <-code; c != 0 {
			t.Errorf("exit code %d, want 0", c)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "pid")); !os.IsNotExist(err) {
		t.Errorf("the pid file is still there: %v", err)
	}
}

func TestLocalReusesItsFolders(t *testing.T) {
	dir := t.TempDir()
	files, err := prepareLocal(dir, localMembers(3, 9092, 1), 1)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(files[1])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := prepareLocal(dir, localMembers(3, 9092, 1), 1); err != nil {
		t.Errorf("the second time: %v", err)
	}
	if after, _ := os.ReadFile(files[1]); string(after) != string(before) {
		t.Errorf("broker.toml was\n%s\nand is\n%s", before, after)
	}
	if _, err := prepareLocal(dir, localMembers(5, 9092, 1), 1); err == nil || !strings.Contains(err.Error(), "made for other brokers, loops or ports (3 brokers: 127.0.0.1:9092,") {
		t.Errorf("with five brokers: %v", err)
	}
	s, err := loadSettings([]string{"-config", files[1]}, nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := s.hostConfig()
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Dir != filepath.Join(dir, "2") || cfg.PeerListen != "127.0.0.1:10093" || cfg.Metrics != "127.0.0.1:11093" || len(cfg.Node.Members) != 3 || !cfg.Join || cfg.Node.BrokerID != 2 {
		t.Errorf("broker 2 of local has %+v", cfg)
	}
}

func TestNearest(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "abc", 3}, {"abc", "abc", 0}, {"kitten", "sitting", 3}, {"listn", "listen", 1}} {
		if got := editDistance(c.a, c.b); got != c.want {
			t.Errorf("editDistance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestOwnAddress(t *testing.T) {
	for addr, want := range map[string]string{
		"0.0.0.0:1": "127.0.0.1:1", ":2": "127.0.0.1:2", "[::]:3": "[::1]:3", "10.0.0.5:4": "10.0.0.5:4", "broker1:5": "broker1:5", "none": "",
	} {
		if got, err := ownAddress(addr); got != want || (err != nil) != (want == "") {
			t.Errorf("%s: %q, %v, want %q", addr, got, err, want)
		}
	}
}

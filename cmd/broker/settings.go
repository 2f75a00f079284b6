// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"chronik/host"
	"chronik/node"
	"chronik/wal"
)

// settings is one broker's configuration: the keys of the TOML file, and the flags and CHRONIK_*
// variables of the same names.
type settings struct {
	ClusterID         string   `toml:"cluster_id"`
	BrokerID          int      `toml:"broker_id"`
	Dir               string   `toml:"dir"`
	Listen            string   `toml:"listen"`
	Advertise         string   `toml:"advertise"`
	PeerListen        string   `toml:"peer_listen"`
	Join              bool     `toml:"join"`
	Rack              string   `toml:"rack"`
	AutoCreateTopics  bool     `toml:"auto_create_topics"`
	DefaultPartitions int      `toml:"default_partitions"`
	DefaultReplicas   int      `toml:"default_replicas"`
	MaxMessageBytes   int      `toml:"max_message_bytes"`
	MaxRequestBytes   int      `toml:"max_request_bytes"`
	InflightBytes     int64    `toml:"inflight_bytes"`
	MaxConnections    int      `toml:"max_connections"`
	RetentionMs       int64    `toml:"retention_ms"`
	RetentionBytes    int64    `toml:"retention_bytes"`
	GroupPartitions   int      `toml:"group_partitions"`
	GroupMaxSize      int      `toml:"group_max_size"`
	GroupDelayMs      int64    `toml:"group_initial_delay_ms"`
	GroupMinSessionMs int64    `toml:"group_min_session_ms"`
	GroupMaxSessionMs int64    `toml:"group_max_session_ms"`
	ConsumerSessionMs int64    `toml:"group_consumer_session_ms"`
	ConsumerBeatMs    int64    `toml:"group_consumer_heartbeat_ms"`
	OffsetsKeptMs     int64    `toml:"offsets_retention_ms"`
	RaftLogRetention  int      `toml:"raft_log_retention"`
	CheckpointEntries int      `toml:"checkpoint_entries"`
	CheckpointBytes   int64    `toml:"checkpoint_bytes"`
	RetainEntries     int      `toml:"retain_entries"`
	HotBytes          int64    `toml:"hot_bytes"`
	CacheBytes        int64    `toml:"cache_bytes"`
	SegmentBytes      int64    `toml:"segment_bytes"`
	CatchUpRate       int64    `toml:"catch_up_bytes_per_second"`
	ScrubRate         int64    `toml:"scrub_bytes_per_second"`
	CPUs              int      `toml:"cpus"`
	LogLevel          string   `toml:"log_level"`
	Metrics           string   `toml:"metrics"`
	Pprof             string   `toml:"pprof"`
	Members           []member `toml:"members"`

	level slog.Level
}

// member is one broker of the cluster. The founders of a cluster all have the same list. A broker that
// joins lists itself and some of the others; the cluster tells it the rest.
type member struct {
	ID    int    `toml:"id"`
	Kafka string `toml:"kafka"` // host:port for clients
	Peer  string `toml:"peer"`  // host:port for other brokers
	Rack  string `toml:"rack,omitempty"`
}

// newFlags declares every scalar setting once: name, default, meaning.
func newFlags() (*flag.FlagSet, *settings) {
	s := new(settings)
	fs := flag.NewFlagSet("broker", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.String("config", "", "the configuration `FILE`")
	fs.StringVar(&s.ClusterID, "cluster-id", "", "the cluster's name, the same on all its brokers; drawn for a broker alone")
	fs.IntVar(&s.BrokerID, "broker-id", 1, "this broker's id in the list of members")
	fs.StringVar(&s.Dir, "dir", "data", "the data folder; in a file: relative to the file's folder")
	fs.StringVar(&s.Listen, "listen", "127.0.0.1:9092", "host:port to listen on for Kafka clients")
	fs.StringVar(&s.Advertise, "advertise", "", "host:port that clients are told to connect to (this member's kafka address, else listen)")
	fs.StringVar(&s.PeerListen, "peer-listen", "", "host:port to listen on for other brokers (this member's peer address)")
	fs.BoolVar(&s.Join, "join", false, "make a new replica of an empty data folder, in a cluster that runs already")
	fs.StringVar(&s.Rack, "rack", "", "where this broker stands")
	fs.BoolVar(&s.AutoCreateTopics, "auto-create-topics", true, "create a topic when a client first asks for it")
	fs.IntVar(&s.DefaultPartitions, "default-partitions", 1, "partitions of a topic whose creator does not say")
	fs.IntVar(&s.DefaultReplicas, "default-replicas", 3, "replicas of a topic whose creator does not say; a cluster with fewer brokers takes all")
	fs.IntVar(&s.MaxMessageBytes, "max-message-bytes", 1048588, "the largest record batch")
	fs.IntVar(&s.MaxRequestBytes, "max-request-bytes", 100<<20, "the largest request")
	fs.Int64Var(&s.InflightBytes, "inflight-bytes", 256<<20, "unanswered requests of all clients together; above it clients have to wait")
	fs.IntVar(&s.MaxConnections, "max-connections", 10000, "client connections")
	fs.Int64Var(&s.RetentionMs, "retention-ms", 7*24*3600*1000, "milliseconds that records are kept, unless their topic says otherwise; -1 for ever")
	fs.Int64Var(&s.RetentionBytes, "retention-bytes", -1, "bytes that each partition keeps at least, unless its topic says otherwise; -1 without bound")
	fs.IntVar(&s.GroupPartitions, "group-partitions", 8, "coordinators among which consumer groups are spread; counts when the first group begins")
	fs.IntVar(&s.GroupMaxSize, "group-max-size", 1000, "members of a consumer group")
	fs.Int64Var(&s.GroupDelayMs, "group-initial-delay-ms", 3000, "milliseconds that a new consumer group waits for more members before it begins; 0: one that is alone begins at once, and many that start together cost a rebalance each")
	fs.Int64Var(&s.GroupMinSessionMs, "group-min-session-ms", 6000, "shortest session in milliseconds that a member of a consumer group may ask for")
	fs.Int64Var(&s.GroupMaxSessionMs, "group-max-session-ms", 30*60*1000, "longest session in milliseconds that a member of a consumer group may ask for")
	fs.Int64Var(&s.ConsumerSessionMs, "group-consumer-session-ms", 45000, "milliseconds that a member of a consumer group of the new protocol may be silent")
	fs.Int64Var(&s.ConsumerBeatMs, "group-consumer-heartbeat-ms", 5000, "milliseconds between heartbeats that members of a consumer group of the new protocol are told to keep")
	fs.Int64Var(&s.OffsetsKeptMs, "offsets-retention-ms", 7*24*3600*1000, "milliseconds that the offsets of a consumer group without members are kept")
	fs.IntVar(&s.RaftLogRetention, "raft-log-retention", 10000, "newest log entries that each partition keeps in memory")
	fs.Int64Var(&s.CatchUpRate, "catch-up-bytes-per-second", 64<<20, "how fast entries that a majority has already are sent to followers that are behind, all together; twice what is written comes on top; -1 without bound")
	fs.Int64Var(&s.ScrubRate, "scrub-bytes-per-second", 4<<20, "how fast old data is read in the background to look for damage; -1 for not at all")
	fs.IntVar(&s.CheckpointEntries, "checkpoint-entries", 20000, "entries between two checkpoints of a partition's state; a start reads what came after the newest")
	fs.Int64Var(&s.CheckpointBytes, "checkpoint-bytes", 32<<20, "bytes of entries between two checkpoints of a partition's state")
	fs.IntVar(&s.RetainEntries, "retain-entries", 1000, "entries that a partition's log keeps although nobody needs them, for brokers that are a little behind")
	fs.Int64Var(&s.HotBytes, "hot-bytes", 256<<20, "bytes of log entries in memory, all partitions together")
	fs.Int64Var(&s.CacheBytes, "cache-bytes", 64<<20, "bytes of old entries read back from disk that stay in memory")
	fs.Int64Var(&s.SegmentBytes, "segment-bytes", 64<<20, "size of a log file")
	fs.IntVar(&s.CPUs, "cpus", 0, "threads that run at once; 0: as many as there are CPUs, at least 4. Brokers that share a machine are faster with their share of them")
	fs.StringVar(&s.LogLevel, "log-level", "info", "debug, info, warn or error")
	fs.StringVar(&s.Metrics, "metrics", "127.0.0.1:9644", "host:port for /metrics, /healthz and /groups (HTTP); empty for none. Who reaches it can read names of topics")
	fs.StringVar(&s.Pprof, "pprof", "", "host:port for Go's profiler (HTTP); anybody who reaches it can slow the broker down")
	return fs, s
}

// loadSettings puts a broker's configuration together: flags over environment over file over
// defaults.
func loadSettings(args, environ []string, warnings io.Writer) (*settings, error) {
	line, _ := newFlags() // for what the command line says; it is applied last
	if err := line.Parse(args); err != nil {
		return nil, explainFlag(line, err)
	}
	if line.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", line.Arg(0))
	}
	given := make(map[string]string)
	line.Visit(func(f *flag.Flag) { given[f.Name] = f.Value.String() })
	fs, s := newFlags()
	if file := given["config"]; file != "" {
		if err := s.readFile(file, flagNames(fs)); err != nil {
			return nil, err
		}
	}
	if err := setFromEnv(fs, environ, warnings); err != nil {
		return nil, err
	}
	for _, name := range flagNames(fs) {
		if value, ok := given[name]; ok {
			fs.Set(name, value) // parsed once already
		}
	}
	if err := s.level.UnmarshalText([]byte(s.LogLevel)); err != nil {
		return nil, fmt.Errorf("log_level is %q; use debug, info, warn or error", s.LogLevel)
	}
	return s, nil
}

func flagNames(fs *flag.FlagSet) (names []string) {
	fs.VisitAll(func(f *flag.Flag) { names = append(names, f.Name) })
	return names
}

// explainFlag adds the nearest flag to the error about an unknown one.
func explainFlag(fs *flag.FlagSet, err error) error {
	if name, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); ok {
		return fmt.Errorf("there is no flag -%s; did you mean -%s?", name, nearest(name, flagNames(fs)))
	}
	return err
}

// readFile fills s from a TOML file; what the file leaves out keeps its default.
func (s *settings) readFile(path string, flags []string) error {
	meta, err := toml.DecodeFile(path, s)
	var syntax toml.ParseError
	if errors.As(err, &syntax) {
		return fmt.Errorf("%s: %s", path, syntax.ErrorWithPosition())
	}
	if err != nil {
		return fmt.Errorf("can't read the configuration: %w", err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		keys := []string{"members", "id", "kafka", "peer"}
		for _, f := range flags {
			if f != "config" {
				keys = append(keys, strings.ReplaceAll(f, "-", "_"))
			}
		}
		key := unknown[0][len(unknown[0])-1]
		return fmt.Errorf("%s: there is no setting %q; did you mean %q?", path, unknown[0], nearest(key, keys))
	}
	if !filepath.IsAbs(s.Dir) {
		s.Dir = filepath.Join(filepath.Dir(path), s.Dir)
	}
	return nil
}

// setFromEnv takes settings from CHRONIK_* variables. Other programs may have such variables of
// their own, so an unknown name is only a warning.
func setFromEnv(fs *flag.FlagSet, environ []string, warnings io.Writer) error {
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		key, ok := strings.CutPrefix(name, "CHRONIK_")
		if !ok {
			continue
		}
		key = strings.ReplaceAll(strings.ToLower(key), "_", "-")
		if key == "config" || fs.Lookup(key) == nil {
			near := strings.ToUpper(strings.ReplaceAll(nearest(key, flagNames(fs)), "-", "_"))
			fmt.Fprintf(warnings, "broker: there is no setting %s (the nearest is CHRONIK_%s); ignored\n", name, near)
			continue
		}
		if err := fs.Set(key, value); err != nil {
			return fmt.Errorf("%s is %q: %w", name, value, err)
		}
	}
	return nil
}

func (s *settings) brokerID() node.BrokerID { return node.BrokerID(s.BrokerID) }

// hostConfig checks the settings and turns them into the host's configuration.
func (s *settings) hostConfig() (host.Config, error) {
	if err := s.complete(); err != nil {
		return host.Config{}, err
	}
	cfg := host.Config{
		Dir: s.Dir, Listen: s.Listen, PeerListen: s.PeerListen, Join: s.Join, Metrics: s.Metrics,
		Limits: host.Limits{
			FrameBytes: s.MaxRequestBytes, RequestBytes: s.InflightBytes, Conns: s.MaxConnections,
		},
		Node: node.Config{
			ClusterID: s.ClusterID, BrokerID: s.brokerID(), LogDir: s.Dir,
			AutoCreateTopics:  s.AutoCreateTopics,
			DefaultPartitions: int32(s.DefaultPartitions), DefaultReplicas: int16(s.DefaultReplicas),
			MaxMessageBytes: int32(s.MaxMessageBytes),
			RetentionMs:     s.RetentionMs, RetentionBytes: s.RetentionBytes,
			GroupPartitions: int32(s.GroupPartitions), GroupMaxSize: s.GroupMaxSize, GroupInitialDelay: ms(s.GroupDelayMs),
			GroupMinSession: ms(s.GroupMinSessionMs), GroupMaxSession: ms(s.GroupMaxSessionMs), OffsetsRetention: ms(s.OffsetsKeptMs),
			ConsumerSession: ms(s.ConsumerSessionMs), ConsumerHeartbeat: ms(s.ConsumerBeatMs),
			CheckpointEntries: s.CheckpointEntries, CheckpointBytes: s.CheckpointBytes, RetainEntries: s.RetainEntries,
			HotEntries: s.RaftLogRetention, HotBytes: s.HotBytes, CacheBytes: s.CacheBytes,
			CatchUpBytesPerSecond: s.CatchUpRate, ScrubBytesPerSecond: s.ScrubRate,
			Log: wal.Options{SegmentBytes: s.SegmentBytes},
		},
	}
	for _, m := range s.Members {
		kafkaHost, port, err := splitAddr(m.Kafka)
		if err != nil {
			return host.Config{}, fmt.Errorf("the kafka address of member %d: %w", m.ID, err)
		}
		cfg.Node.Members = append(cfg.Node.Members, node.Member{
			ID: node.BrokerID(m.ID), Host: kafkaHost, Port: port, Rack: m.Rack, Peer: m.Peer,
		})
	}
	return cfg, nil
}

func ms(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// complete fills in what follows from other settings and finds what can't work.
func (s *settings) complete() error {
	if len(s.Members) == 0 {
		s.Members = []member{{ID: s.BrokerID, Kafka: s.Listen, Peer: s.PeerListen, Rack: s.Rack}}
	}
	i := slices.IndexFunc(s.Members, func(m member) bool { return m.ID == s.BrokerID })
	if i < 0 {
		return fmt.Errorf("broker %d is not in members: add it there", s.BrokerID)
	}
	self := &s.Members[i]
	if s.Advertise != "" {
		self.Kafka = s.Advertise
	}
	if s.PeerListen == "" {
		s.PeerListen = self.Peer
	}
	if s.PeerListen == "" && len(s.Members) == 1 && !s.Join {
		return nil
	}
	if self.Peer == "" {
		self.Peer = s.PeerListen
	}
	if s.Join && len(s.Members) == 1 {
		return errors.New("join is set, but members lists no other broker: list some of the cluster that this one is to join, and this one")
	}
	if s.ClusterID == "" {
		return errors.New("cluster_id is missing: give every broker of a cluster the same one, for example " + host.NewClusterID())
	}
	for _, m := range s.Members {
		if _, _, err := splitAddr(m.Peer); err != nil {
			return fmt.Errorf("the peer address of member %d: %w", m.ID, err)
		}
	}
	return nil
}

// splitAddr takes apart an address that others are told to connect to.
func splitAddr(addr string) (string, int32, error) {
	name, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, fmt.Errorf("%q is no host:port", addr)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("%q has no port from 1 to 65535", addr)
	}
	if ip := net.ParseIP(name); name == "" || (ip != nil && ip.IsUnspecified()) {
		return "", 0, fmt.Errorf("%q means every address of this machine, which nobody else can connect to; set advertise (for clients) or this member's peer (for brokers) to a name or address that they can use", addr)
	}
	return name, int32(n), nil
}

// nearest returns the candidate with the least edit distance to word.
func nearest(word string, candidates []string) string {
	best, bestDistance := "", int(^uint(0)>>1)
	for _, c := range candidates {
		if d := editDistance(word, c); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// editDistance is Levenshtein's: insertions, deletions and substitutions of bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"io"
	"log/slog"
	"math"
	"time"

	"chronik/host"
	"chronik/node"
	"chronik/wal"
)

// settings is one broker's configuration: the keys of the TOML file, and the flags and CHRONIK_*
// variables of the same names.
type settings struct {
	ClusterID         string
	BrokerID          int
	Dir               string
	Listen            string
	Advertise         string
	AllowStrangers    bool
	PeerListen        string
	PeerSecretFile    string
	Join              bool
	Sasl              string
	SessionMs         int64
	LoginMs           int64
	FirstUser         string
	FirstPasswordFile string
	Rack              string
	Machine           string
	Loops             int
	AutoCreateTopics  bool
	Authorize         bool
	SuperUsers        string
	CheckOnRequest    bool
	AutoCreateRate    int64
	DefaultPartitions int
	DefaultReplicas   int
	MaxPartitions     int
	MaxMessageBytes   int
	MaxRequestBytes   int
	InflightBytes     int64
	MaxConnections    int
	ConnsPerAddress   int
	ConnRate          int
	UnreadBytes       int64
	RetentionMs       int64
	RetentionBytes    int64
	StampBeforeMs     int64
	StampAfterMs      int64
	ClockPatienceMs   int64
	GroupPartitions   int
	GroupMaxSize      int
	MaxGroups         int
	OffsetTextBytes   int
	GroupOffsets      int
	OffsetBytes       int64
	WaitingRequests   int
	WaitingPartitions int
	LongPollBytes     int64
	LargeBytes        int64
	GroupDelayMs      int64
	GroupMinSessionMs int64
	GroupMaxSessionMs int64
	ConsumerSessionMs int64
	ConsumerBeatMs    int64
	OffsetsKeptMs     int64
	ProducersKeptMs   int64
	TxnPartitions     int
	TxnIDs            int
	TxnMaxMs          int64
	TxnIDsKeptMs      int64
	RaftLogRetention  int
	CheckpointEntries int
	CheckpointBytes   int64
	RetainEntries     int
	RetainBytes       int64
	HotBytes          int64
	CacheBytes        int64
	SegmentBytes      int64
	CatchUpRate       int64
	ScrubRate         int64
	Memory            int64
	CPUs              int
	LogLevel          string
	LogFormat         string
	Metrics           string
	Pprof             string
	Members           []member
	Listeners         []listener
	TLS               tlsSettings
	PeerTLS           plainTLS
	PeerTLSMode       string
	MetricsTLS        plainTLS
	MetricsLogin      string
	MetricsTokenFile  string
	OAuth             oauthSettings

	level  slog.Level
	secret string            // of the cluster, from the environment
	given  map[string]string // where a setting was given, by its key: for errors
	flags  *flag.FlagSet     // their names and values
}

// member is one broker of the cluster. The founders of a cluster all have the same list. A broker that
// joins lists itself and some of the others; the cluster tells it the rest.
type member struct {
	ID    int    `toml:"id"`
	Kafka string `toml:"kafka"` // host:port for clients
	Peer  string `toml:"peer"`  // host:port for other brokers
	Rack  string `toml:"rack,omitempty"`
	// Machine is for clusters in which several brokers run on one.
	Machine string `toml:"machine,omitempty"`

	at, kafkaAt, peerAt string // where it was given, for errors
}

// newFlags declares every scalar setting once: name, default, range, unit, meaning.
func newFlags() (*flag.FlagSet, *settings) {
	s := new(settings)
	fs := flag.NewFlagSet("broker", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.String("config", "", "the configuration `FILE`")
	s.clusterFlags(fs)
	s.topicsFlags(fs)
	s.clientsFlags(fs)
	s.loginFlags(fs)
	s.oauthFlags(fs)
	s.groupsFlags(fs)
	s.logFlags(fs)
	s.processFlags(fs)
	s.otherTLSFlags(fs)
	return fs, s
}

// clusterFlags: who this broker is, and where others find it.
func (s *settings) clusterFlags(fs *flag.FlagSet) {
	fs.StringVar(&s.ClusterID, "cluster-id", "", "the cluster's name, the same on all its brokers; drawn at random for a broker alone")
	number(fs, &s.BrokerID, "broker-id", 1, between(0, 65535), "this broker's id in the list of members")
	fs.StringVar(&s.Dir, "dir", "data", "the data folder; in a file, relative to the file's folder")
	fs.StringVar(&s.Listen, "listen", "127.0.0.1:9092", "host:port to listen on for Kafka clients")
	fs.StringVar(&s.Advertise, "advertise", "", "host:port that clients are told to connect to (this member's kafka address, else listen)")
	fs.BoolVar(&s.AllowStrangers, "allow-strangers", false, "serve Kafka clients that don't prove who they are on addresses that other machines may reach; whoever reaches such an address may do everything")
	fs.StringVar(&s.PeerListen, "peer-listen", "", "host:port to listen on for other brokers (this member's peer address)")
	fs.StringVar(&s.PeerSecretFile, "peer-secret-file", "", "a file with the cluster's secret, the same on all brokers, reread when it changes; without it (or CHRONIK_PEER_SECRET) brokers talk only on loopback addresses")
	for i, f := range s.TLS.fields() {
		fs.StringVar(f.to, flagOf(f.key), tlsDefaults[f.key], tlsDocs[i])
	}
	fs.BoolVar(&s.Join, "join", false, "create a new replica from an empty data folder, in a cluster that already runs")
	fs.BoolVar(&s.Authorize, "authorize", false, "let clients do only what rules (ACLs) allow them; the same on all brokers. On by itself where a listener asks for logins or certificates")
	fs.StringVar(&s.SuperUsers, "super-users", "", "principals that may do everything, separated by semicolons, e.g. User:admin;User:CN=ops,O=example; if it isn't set, that is first_user")
	fs.StringVar(&s.Rack, "rack", "", "this broker's rack or zone; consumers with the same client.rack may read from its replicas")
	fs.StringVar(&s.Machine, "machine", "", "the name of the machine that this broker runs on, where several brokers of the cluster do: no partition has two replicas on one machine, nor the catalog two voters. Unless set, a broker is alone on one, or with those of its process (loops)")
}

// topicsFlags: topics, and how long their records live.
func (s *settings) topicsFlags(fs *flag.FlagSet) {
	fs.BoolVar(&s.CheckOnRequest, "check-on-request", false, "POST /check on the metrics port compares all that the broker has noted with what it stands for; anyone who reaches it can slow the broker down")
	fs.BoolVar(&s.AutoCreateTopics, "auto-create-topics", true, "create a topic when a client first asks for it")
	number(fs, &s.AutoCreateRate, "auto-create-topics-per-second", 10, between(1, 1000000).or(-1), "topics per second that this broker creates because clients ask for them; after a quiet time, up to 10 seconds' worth at once; -1: no limit")
	number(fs, &s.DefaultPartitions, "default-partitions", 1, between(1, 10000), "partitions of a topic whose creator does not say how many")
	number(fs, &s.DefaultReplicas, "default-replicas", 3, between(1, 1000), "replicas of a topic whose creator does not say how many; a smaller cluster uses all its brokers")
	number(fs, &s.MaxPartitions, "max-partitions-per-broker", 2000, between(1, 1000000), "most replicas on a broker, by the setting of the broker that is asked for more; each costs CPU time even if nobody uses it")
	number(fs, &s.MaxMessageBytes, "max-message-bytes", 1048588, size(1<<10, 512<<20), "the largest record batch; its records may decompress to 16 times that, or to 1 MiB if that is more")
	number(fs, &s.RetentionMs, "retention-ms", 7*day, millis(1, forEver).or(-1), "milliseconds that records are kept, unless their topic says otherwise; -1: no limit")
	number(fs, &s.RetentionBytes, "retention-bytes", -1, size(1, 1<<50).or(-1), "bytes that each partition keeps at least, unless its topic says otherwise; -1: no limit")
	number(fs, &s.StampBeforeMs, "message-timestamp-before-max-ms", -1, millis(1, forEver).or(-1), "milliseconds that timestamps of producers may lie behind the broker's time, unless their topic says otherwise; -1: no limit")
	number(fs, &s.StampAfterMs, "message-timestamp-after-max-ms", hour, millis(1, forEver).or(-1), "milliseconds that timestamps of producers may lie ahead of the broker's time, unless their topic says otherwise; -1: no limit")
	number(fs, &s.ClockPatienceMs, "clock-patience-ms", hour, millis(1000, 30*day), "milliseconds that the clocks of most brokers must agree on a jump before records are deleted by it; the same after a start")
	number(fs, &s.TxnPartitions, "transaction-partitions", 8, between(1, 10000), "coordinators among which transactional ids are spread; takes effect only when the first transactional producer begins")
	number(fs, &s.TxnIDs, "max-transactional-ids-per-coordinator", 20000, between(1, 1000000), "most transactional ids of each of the transaction_partitions coordinators")
	number(fs, &s.TxnMaxMs, "transaction-max-timeout-ms", 15*minute, millis(1, 20*day), "longest transaction timeout in milliseconds that a producer may ask for (transaction.timeout.ms); its coordinator aborts what takes longer than asked for")
	number(fs, &s.TxnIDsKeptMs, "transactional-id-expiration-ms", 7*day, millis(1000, 100*365*day), "milliseconds after which a transactional id that nobody uses is forgotten")
	number(fs, &s.ProducersKeptMs, "producer-id-expiration-ms", day, millis(1000, 100*365*day), "milliseconds after which an idempotent producer that writes nothing is forgotten")
}

// clientsFlags: what clients may use, all together or one of them.
func (s *settings) clientsFlags(fs *flag.FlagSet) {
	number(fs, &s.MaxRequestBytes, "max-request-bytes", 100<<20, size(64<<10, 1<<30), "the largest request")
	number(fs, &s.InflightBytes, "inflight-bytes", max(defaultMemory/4, 100<<20), size(1<<20, 1<<40), "bytes of unanswered requests, all clients together; above it clients have to wait. Unless set, a quarter of memory, and at least max_request_bytes")
	number(fs, &s.MaxConnections, "max-connections", 10000, between(1, 1000000), "most client connections")
	number(fs, &s.ConnsPerAddress, "max-connections-per-address", 0, between(0, 1000000), "most client connections from one address; 0: half of max_connections")
	number(fs, &s.ConnRate, "max-connection-creation-rate", 0, between(0, 1000000), "most client connections that are accepted in a second; those above it wait; 0: any number")
	number(fs, &s.UnreadBytes, "unread-bytes", defaultMemory, size(1<<20, 1<<40), "bytes of answers that clients have not read, all together; above it the connections of clients that read nothing are closed. Unless set, as much as memory")
	number(fs, &s.WaitingRequests, "max-waiting-requests", 65536, between(100, 10000000), "requests under way, all clients together; above it each connection has one")
	number(fs, &s.WaitingPartitions, "max-waiting-partitions", 524288, between(100, 100000000), "partitions for which requests may wait for a majority or an election, all clients together")
	number(fs, &s.LongPollBytes, "long-poll-bytes", 32<<20, size(64<<10, 1<<40), "bytes of fetches that wait for records, all together; above it they are answered at once")
	number(fs, &s.LargeBytes, "large-request-bytes", defaultMemory/8, size(1<<20, 1<<40), "memory for requests with more than 2,000 elements, and for answers of more than 512 KiB to smaller ones; above it such requests wait. Unless set, an eighth of memory")
}

// loginFlags: who clients are.
func (s *settings) loginFlags(fs *flag.FlagSet) {
	fs.StringVar(&s.Sasl, "sasl", "", "SASL mechanisms by one of which clients must log in, with commas between them: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER; empty: nobody has to")
	number(fs, &s.SessionMs, "session-lifetime-ms", 0, millis(0, 365*day), "milliseconds after which a client that has logged in must do so again (connections.max.reauth.ms); 0: never")
	number(fs, &s.LoginMs, "login-timeout-ms", 10000, millis(100, hour), "milliseconds that a new connection may take to log in")
	fs.StringVar(&s.FirstUser, "first-user", "", "a user that is made when the cluster has none yet, so that somebody can log in")
	fs.StringVar(&s.FirstPasswordFile, "first-user-password-file", "", "a file with the password of first_user in its first line; not needed any more once that has been made")
}

// groupsFlags: consumer groups.
func (s *settings) groupsFlags(fs *flag.FlagSet) {
	number(fs, &s.GroupPartitions, "group-partitions", 8, between(1, 10000), "coordinators among which consumer groups are spread; takes effect only when the first group begins")
	number(fs, &s.GroupMaxSize, "group-max-size", 1000, between(1, 1000000), "most members of a consumer group")
	number(fs, &s.MaxGroups, "max-groups-per-coordinator", 20000, between(1, 1000000), "most consumer groups of each of the group_partitions coordinators")
	number(fs, &s.OffsetTextBytes, "offset-metadata-max-bytes", 4096, size(1, 1<<20), "longest metadata that a client may attach to a committed offset")
	number(fs, &s.GroupOffsets, "max-offsets-per-group", 100000, between(1, 10000000), "most partitions for which a consumer group may have committed offsets")
	number(fs, &s.OffsetBytes, "max-offset-bytes-per-coordinator", 64<<20, size(1<<10, 1<<40), "memory for the committed offsets of each of the group_partitions coordinators; an offset takes about 256 bytes plus its metadata")
	number(fs, &s.GroupDelayMs, "group-initial-delay-ms", 3000, millis(0, hour), "milliseconds that a new consumer group waits for more members before its first rebalance; 0: a lone member begins at once, and many that start together cost a rebalance each")
	number(fs, &s.GroupMinSessionMs, "group-min-session-ms", 6000, millis(1, day), "shortest session timeout in milliseconds that a member of a consumer group may ask for")
	number(fs, &s.GroupMaxSessionMs, "group-max-session-ms", 30*minute, millis(1, day), "longest session timeout in milliseconds that a member of a consumer group may ask for")
	number(fs, &s.ConsumerSessionMs, "group-consumer-session-ms", 45000, millis(1000, day), "milliseconds that a member of a consumer group of the new protocol may stay silent")
	number(fs, &s.ConsumerBeatMs, "group-consumer-heartbeat-ms", 5000, millis(100, hour), "milliseconds between heartbeats, as told to members of a consumer group of the new protocol")
	number(fs, &s.OffsetsKeptMs, "offsets-retention-ms", 7*day, millis(1000, 100*365*day), "milliseconds that the offsets of a consumer group without members are kept")
}

// logFlags: the log, and memory for what is in it.
func (s *settings) logFlags(fs *flag.FlagSet) {
	number(fs, &s.RaftLogRetention, "raft-log-retention", 10000, between(1, 1000000000), "newest log entries that each partition keeps in memory")
	number(fs, &s.CatchUpRate, "catch-up-bytes-per-second", 64<<20, size(64<<10, 1<<40).or(-1), "rate limit for sending followers entries that a majority already has, all followers together, in addition to twice the rate of new writes; -1: no limit")
	number(fs, &s.ScrubRate, "scrub-bytes-per-second", 4<<20, size(1<<10, 1<<40).or(-1), "rate limit for reading old data in the background, to look for damage; -1: don't look")
	number(fs, &s.CheckpointEntries, "checkpoint-entries", 20000, between(1, 1000000000), "entries between two checkpoints of a partition's state; a start reads the entries after the newest checkpoint")
	number(fs, &s.CheckpointBytes, "checkpoint-bytes", 32<<20, size(4<<10, 1<<40), "bytes of entries between two checkpoints of a partition's state")
	number(fs, &s.RetainEntries, "retain-entries", 1000, between(1, 1000000000), "newest entries that a partition's log keeps after nobody needs them, for followers that are slightly behind")
	number(fs, &s.RetainBytes, "retain-bytes", 16<<20, size(4<<10, 1<<40), "most bytes of entries that retain_entries keeps; never more than a quarter of a topic's retention.bytes")
	number(fs, &s.HotBytes, "hot-bytes", defaultMemory/8, size(64<<10, 1<<40), "bytes of the newest log entries in memory, all partitions together. Unless set, an eighth of memory")
	number(fs, &s.CacheBytes, "cache-bytes", defaultMemory/16, size(4<<10, 1<<40), "bytes of old entries in memory that were read back from disk. Unless set, a sixteenth of memory")
	number(fs, &s.SegmentBytes, "segment-bytes", 64<<20, size(64<<10, 1<<30), "size of a log file")
}

// processFlags: the process.
func (s *settings) processFlags(fs *flag.FlagSet) {
	number(fs, &s.CPUs, "cpus", 0, between(0, 1024), "threads that run at once; 0: one per CPU, at least 4. Brokers that share a machine are faster if each gets only its share")
	number(fs, &s.Memory, "memory", defaultMemory, size(64<<20, 1<<40), "memory that this process should use, beside what topics, consumer groups and producers need; other limits follow from it")
	fs.StringVar(&s.LogFormat, "log-format", "text", "how lines of the log are written: text (key=value) or json")
	fs.StringVar(&s.LogLevel, "log-level", "info", "debug, info, warn or error; broker admin log-level changes it while the broker runs")
	number(fs, &s.Loops, "loops", 1, between(1, 64), "brokers that this process runs, each on a core of its own: this one, and others with the next ids and ports, which join the cluster by themselves")
	fs.StringVar(&s.Metrics, "metrics", "127.0.0.1:9644", "host:port for /metrics, /healthz and /groups (HTTP); empty for none. Unless metrics_login says otherwise, anyone who reaches it can read the names of topics")
	fs.StringVar(&s.MetricsLogin, "metrics-login", "none", "for what clients of the metrics port must log in: none; changes: POST and the profiler; pages: all but /livez, /healthz and /readyz; all")
	fs.StringVar(&s.MetricsTokenFile, "metrics-token-file", "", "a file with tokens for the metrics port, a line each: a principal and a token; reread when it changes")
	fs.StringVar(&s.Pprof, "pprof", "", "host:port for Go's profiler (HTTP), with the TLS and the logins of the metrics port; without them anyone who reaches it can slow the broker down")
}

// clusterSecret returns what the brokers of the cluster share, empty if nothing was given, and the file that may change
// it.
func (s *settings) clusterSecret() (secret, file string, err error) {
	switch {
	case s.secret != "":
		secret, err = host.CheckSecret(s.secret, "CHRONIK_PEER_SECRET")
		return secret, "", err
	case s.PeerSecretFile != "":
		list, err := host.ReadSecrets(s.PeerSecretFile)
		if err != nil {
			return "", "", err
		}
		return list[0], s.PeerSecretFile, nil
	}
	return "", "", nil
}

func (s *settings) brokerID() node.BrokerID { return node.BrokerID(s.BrokerID) }

// hostConfig checks the settings and turns them into the host's configuration.
func (s *settings) hostConfig() (host.Config, error) {
	s.shareMemory()
	if err := s.checkRelations(); err != nil {
		return host.Config{}, err
	}
	if err := s.complete(); err != nil {
		return host.Config{}, err
	}
	cfg := host.Config{
		Dir: s.Dir, Listen: s.Listen, PeerListen: s.PeerListen, Join: s.Join, Metrics: s.Metrics, CheckOnRequest: s.CheckOnRequest,
		Limits: host.Limits{
			FrameBytes: s.MaxRequestBytes, RequestBytes: s.InflightBytes, Conns: s.MaxConnections,
			AddressConns: s.ConnsPerAddress, UnreadBytes: s.UnreadBytes, PeerBytes: s.ownMemory() / 8, LoginTime: ms(s.LoginMs),
			ConnRate: float64(s.ConnRate),
		},
		Node: node.Config{
			ClusterID: s.ClusterID, BrokerID: s.brokerID(), LogDir: s.Dir,
			AutoCreateTopics: s.AutoCreateTopics, AutoCreateTopicsPerSecond: s.AutoCreateRate,
			DefaultPartitions: int32(s.DefaultPartitions), DefaultReplicas: int16(s.DefaultReplicas),
			MaxPartitionsPerBroker: s.MaxPartitions,
			MaxMessageBytes:        int32(s.MaxMessageBytes),
			RetentionMs:            s.RetentionMs, RetentionBytes: s.RetentionBytes,
			TimestampBeforeMaxMs: unbounded(s.StampBeforeMs), TimestampAfterMaxMs: unbounded(s.StampAfterMs), ClockPatience: ms(s.ClockPatienceMs),
			TransactionPartitions: int32(s.TxnPartitions), MaxTransactionalIDs: s.TxnIDs, TransactionMaxTimeout: ms(s.TxnMaxMs), TransactionalIDExpiration: ms(s.TxnIDsKeptMs),
			GroupPartitions: int32(s.GroupPartitions), GroupMaxSize: s.GroupMaxSize, MaxGroups: s.MaxGroups, OffsetMetadataBytes: s.OffsetTextBytes,
			MaxGroupOffsets: s.GroupOffsets, GroupOffsetBytes: s.OffsetBytes,
			MaxRequests: s.WaitingRequests, MaxWaits: s.WaitingPartitions, ParkedBytes: s.LongPollBytes, LargeBytes: s.LargeBytes, GroupInitialDelay: ms(s.GroupDelayMs),
			GroupMinSession: ms(s.GroupMinSessionMs), GroupMaxSession: ms(s.GroupMaxSessionMs), OffsetsRetention: ms(s.OffsetsKeptMs), ProducerExpiration: ms(s.ProducersKeptMs),
			ConsumerSession: ms(s.ConsumerSessionMs), ConsumerHeartbeat: ms(s.ConsumerBeatMs),
			CheckpointEntries: s.CheckpointEntries, CheckpointBytes: s.CheckpointBytes, RetainEntries: s.RetainEntries, RetainBytes: s.RetainBytes,
			HotEntries: s.RaftLogRetention, HotBytes: s.HotBytes, CacheBytes: s.CacheBytes,
			UnderwayBytes: max(s.ownMemory()/2, s.InflightBytes), AnswerBytes: min(s.ownMemory()/4, s.UnreadBytes), CompactionBytes: s.ownMemory() / 8,
			CatchUpBytesPerSecond: s.CatchUpRate, ScrubBytesPerSecond: s.ScrubRate,
			SessionLifetime: ms(s.SessionMs),
			Log:             wal.Options{SegmentBytes: s.SegmentBytes},
		},
	}
	for _, m := range s.Members {
		kafkaHost, port, err := splitAddr(m.Kafka)
		if err != nil {
			return host.Config{}, s.wrongAddress(m, "kafka", err)
		}
		cfg.Node.Members = append(cfg.Node.Members, node.Member{
			ID: node.BrokerID(m.ID), Host: kafkaHost, Port: port, Rack: m.Rack, Machine: m.Machine, Peer: m.Peer,
		})
	}
	for _, add := range []func(*host.Config) error{s.addOtherTLS, s.addListeners, s.addLogins, s.addOAuth, s.addAdmin, s.addRights} {
		if err := add(&cfg); err != nil {
			return host.Config{}, err
		}
	}
	return cfg, s.checkStrangers(&cfg)
}

// unbounded turns -1 into the largest number.
func unbounded(n int64) int64 {
	if n < 0 {
		return math.MaxInt64
	}
	return n
}

func ms(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

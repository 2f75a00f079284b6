// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

const (
	modeProduce        = "produce"
	modeConsume        = "consume"
	modeProduceConsume = "produce-consume"
	modeRoundTrip      = "round-trip"
	modeMetadata       = "metadata"
)

// modes lists the modes and the flags that mean nothing in them: a flag without effect is refused,
// or somebody would believe in a figure that it had no part in.
var modes = []struct {
	name, what string
	without    []string
}{
	{modeProduce, "callers write; a latency ends with the acknowledgement", nil},
	{
		modeConsume, "consumers read the whole topic, from its start, over and over; a latency is that of a fetch request",
		[]string{"clients", "async", "message-size", "acks", "compression", "linger-ms", "rate-limit", "partitions", "replication-factor"},
	},
	{modeProduceConsume, "callers write while a consumer reads; latencies to the acknowledgement and to the reader", nil},
	{modeRoundTrip, "as produce-consume, but a caller goes on only when its record has been read", nil},
	{
		modeMetadata, "callers ask for the topic's metadata",
		[]string{"async", "message-size", "acks", "compression", "linger-ms", "validate"},
	},
}

// config is one run of the program; durations in JSON are nanoseconds.
type config struct {
	Mode        string        `json:"mode"`
	Brokers     []string      `json:"brokers"`
	Topic       string        `json:"topic"`
	Partitions  int           `json:"partitions"`         // 0: as the topic has, 1 if it is made
	Replicas    int           `json:"replication_factor"` // 0: as the topic has, min(3, brokers) if it is made
	Concurrency int           `json:"concurrency"`
	Clients     string        `json:"clients"` // shared, own
	Async       int           `json:"async"`   // requests in flight per caller
	MessageSize int           `json:"message_size"`
	Duration    time.Duration `json:"duration"`
	Warmup      time.Duration `json:"warmup_duration"`
	Acks        string        `json:"acks"`
	Compression string        `json:"compression"`
	LingerMs    int           `json:"linger_ms"`
	Rate        int           `json:"rate_limit"` // requests per second of all callers; 0: closed loop
	Timeout     time.Duration `json:"timeout"`
	Validate    bool          `json:"validate"`

	TransactionalID    string `json:"transactional_id,omitempty"` // each caller's is this and its number
	TransactionRecords int    `json:"transaction_records,omitempty"`

	Progressive []int `json:"progressive,omitempty"`
	ServerPIDs  []int `json:"server_pids,omitempty"`

	User string `json:"user,omitempty"` // as which clients log in, by a SASL mechanism

	jsonFile, csvFile       string
	mechanism, passwordFile string
	login                   []kgo.Opt

	tls       tlsFlags
	tlsConfig *tls.Config // nil: brokers without TLS
}

// connect is what all clients need to reach the brokers.
func (c *config) connect() []kgo.Opt {
	opts := append([]kgo.Opt{kgo.SeedBrokers(c.Brokers...)}, c.login...)
	if c.tlsConfig != nil {
		opts = append(opts, kgo.DialTLSConfig(c.tlsConfig))
	}
	return opts
}

// readLogin finds out how clients log in.
func (c *config) readLogin() error {
	if c.User == "" {
		return nil
	}
	password := os.Getenv("BENCH_PASSWORD")
	if c.passwordFile != "" {
		text, err := os.ReadFile(c.passwordFile)
		if err != nil {
			return fmt.Errorf("--password-file: %w", err)
		}
		line, _, _ := strings.Cut(string(text), "\n")
		password = strings.TrimSuffix(line, "\r")
	}
	if password == "" {
		return errors.New("--user needs a password: use --password-file FILE or the variable BENCH_PASSWORD")
	}
	auth := scram.Auth{User: c.User, Pass: password}
	switch c.mechanism {
	case "", "SCRAM-SHA-512":
		c.login = []kgo.Opt{kgo.SASL(auth.AsSha512Mechanism())}
	case "SCRAM-SHA-256":
		c.login = []kgo.Opt{kgo.SASL(auth.AsSha256Mechanism())}
	case "PLAIN":
		c.login = []kgo.Opt{kgo.SASL(plain.Auth{User: c.User, Pass: password}.AsMechanism())}
	default:
		return fmt.Errorf("--mechanism %s: use SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN", c.mechanism)
	}
	return nil
}

var acksOptions = map[string]kgo.Acks{
	"all": kgo.AllISRAcks(), "-1": kgo.AllISRAcks(), "1": kgo.LeaderAck(), "0": kgo.NoAck(),
}

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

// newFlags returns the flags, to be parsed into cfg.
func newFlags(cfg *config) *flag.FlagSet {
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // run prints the errors
	cfg.Brokers = []string{"127.0.0.1:9092"}
	fs.Func("brokers", "`HOST:PORT,...` to connect to first (default 127.0.0.1:9092)", func(s string) error {
		cfg.Brokers = fields(s)
		return nil
	})
	fs.StringVar(&cfg.Topic, "topic", "bench", "the topic; created if it is missing, never removed")
	fs.IntVar(&cfg.Partitions, "partitions", 0, "partitions of a new topic (default 1)")
	fs.IntVar(&cfg.Replicas, "replication-factor", 0, "replicas of a new topic (default 3, or all brokers if fewer)")
	fs.IntVar(&cfg.Concurrency, "concurrency", 16, "callers, or consumers")
	fs.StringVar(&cfg.Clients, "clients", "shared", "shared: all callers use one client and its connections; own: each has its own")
	fs.IntVar(&cfg.Async, "async", 1, "records that each caller keeps in flight; 1 waits for each answer")
	fs.IntVar(&cfg.MessageSize, "message-size", 256, fmt.Sprintf("bytes of a record's value, at least %d; compresses to about three quarters", stampSize))
	fs.DurationVar(&cfg.Duration, "duration", 10*time.Second, "how long to measure")
	fs.DurationVar(&cfg.Warmup, "warmup-duration", time.Second, "load before that, which is not measured (but validated)")
	fs.StringVar(&cfg.Acks, "acks", "all", "all, 1 or 0; all is idempotent")
	fs.StringVar(&cfg.Compression, "compression", "none", "none, gzip, snappy, lz4 or zstd")
	fs.IntVar(&cfg.LingerMs, "linger-ms", 0, "how long a batch waits for more records")
	fs.IntVar(&cfg.Rate, "rate-limit", 0, "requests per second of all callers together, latency from the time each is due; 0: as fast as they are answered")
	fs.DurationVar(&cfg.Timeout, "timeout", 30*time.Second, "a request unanswered for so long has failed")
	fs.BoolVar(&cfg.Validate, "validate", false, "read everything back: only what is there exactly once counts")
	fs.StringVar(&cfg.TransactionalID, "transactional-id", "", "each caller writes transactions, as the producer with this `ID` and its number; a latency is that of a transaction")
	fs.IntVar(&cfg.TransactionRecords, "transaction-records", 10, "records of a transaction")
	fs.StringVar(&cfg.User, "user", "", "log in as this `NAME`")
	fs.StringVar(&cfg.passwordFile, "password-file", "", "a `FILE` with its password in the first line; without it the variable BENCH_PASSWORD")
	fs.StringVar(&cfg.mechanism, "mechanism", "", "SCRAM-SHA-512 (the default), SCRAM-SHA-256 or PLAIN")
	fs.StringVar(&cfg.jsonFile, "json-output", "", "write everything measured to this `FILE`")
	fs.StringVar(&cfg.csvFile, "csv-output", "", "write a line per step to this `FILE`")
	fs.StringVar(&cfg.tls.CA, "tls-ca", "", "speak TLS; a `FILE` (PEM) with the authorities of the brokers' certificates, or the word system")
	fs.StringVar(&cfg.tls.Cert, "tls-cert", "", "a `FILE` with this client's certificate")
	fs.StringVar(&cfg.tls.Key, "tls-key", "", "a `FILE` with its key")
	fs.Func("server-pids", "`PID,...` of the brokers on this machine: their CPU per message and memory", func(s string) (err error) {
		cfg.ServerPIDs, err = numbers(s)
		return err
	})
	fs.Func("progressive", "`N,...`: run once with each of these numbers of callers and compare", func(s string) (err error) {
		cfg.Progressive, err = numbers(s)
		return err
	})
	return fs
}

func help(w io.Writer) {
	fmt.Fprint(w, "bench loads a Kafka cluster and measures it.\n\n  bench MODE [flags]\n\nModes:\n")
	for _, m := range modes {
		fmt.Fprintf(w, "  %-15s  %s\n", m.name, m.what)
	}
	fmt.Fprintf(w, "  %-15s  %s\n", modeCompare, "this broker beside Kafka and NATS, on this machine; see `bench compare -h`")
	fmt.Fprint(w, "\nFlags:\n")
	fs := newFlags(new(config))
	fs.SetOutput(w)
	fs.PrintDefaults()
	fmt.Fprint(w, `
Latency is that of every request that was due in the measured time, also when it was answered later;
rates count what was answered in the measured time. With --rate-limit the row "own delay" says how late
this program woke up for requests that were due: that much of the latencies is its own.

Exit codes: 0 all well, 1 something failed or a validation found something, 2 wrong use.
`)
}

// parseFlags returns flag.ErrHelp when help is wanted; other errors are for people.
func parseFlags(args []string) (config, error) {
	var cfg config
	if len(args) == 0 || args[0] == "help" {
		return cfg, flag.ErrHelp
	}
	fs := newFlags(&cfg)
	if !strings.HasPrefix(args[0], "-") {
		cfg.Mode, args = args[0], args[1:]
	}
	if err := fs.Parse(args); err != nil {
		return cfg, err
	}
	if fs.NArg() > 0 {
		return cfg, fmt.Errorf("unexpected argument %q: the mode comes first, then flags", fs.Arg(0))
	}
	set := make(map[string]bool)
	fs.Visit(func(f *flag.Flag) { set[f.Name] = true })
	if err := checkMode(cfg.Mode, set); err != nil {
		return cfg, err
	}
	if err := cfg.check(set); err != nil {
		return cfg, err
	}
	if err := cfg.readLogin(); err != nil {
		return cfg, err
	}
	var err error
	cfg.tlsConfig, err = cfg.tls.config()
	return cfg, err
}

func checkMode(mode string, set map[string]bool) error {
	var names []string
	for _, m := range modes {
		names = append(names, m.name)
		if m.name != mode {
			continue
		}
		for _, name := range m.without {
			if set[name] {
				return fmt.Errorf("--%s has no effect in mode %s; leave it out", name, mode)
			}
		}
		return nil
	}
	list := strings.Join(names, ", ")
	if mode == "" {
		return fmt.Errorf("the mode is missing; begin with one of %s", list)
	}
	return fmt.Errorf("there is no mode %q; use one of %s", mode, list)
}

// check looks at values that mean nothing; set are the flags given.
func (c *config) check(set map[string]bool) error {
	if _, ok := acksOptions[c.Acks]; !ok {
		return fmt.Errorf("--acks %s: use all, 1 or 0", c.Acks)
	}
	if _, ok := codecs[c.Compression]; !ok {
		return fmt.Errorf("--compression %s: use none, gzip, snappy, lz4 or zstd", c.Compression)
	}
	switch {
	case len(c.Brokers) == 0:
		return errors.New("--brokers is empty; name at least one as host:port")
	case c.Clients != "shared" && c.Clients != "own":
		return fmt.Errorf("--clients %s: use shared or own", c.Clients)
	case set["progressive"] && set["concurrency"]:
		return errors.New("--progressive sets the number of callers of each step; leave --concurrency out")
	case c.Concurrency < 1 || c.Async < 1 || slices.ContainsFunc(c.Progressive, func(n int) bool { return n < 1 }):
		return errors.New("--concurrency, --async and the steps of --progressive must be at least 1")
	case c.MessageSize < stampSize || c.MessageSize > maxMessageSize:
		return fmt.Errorf("--message-size %d: use %d (what identifies a record) to %d", c.MessageSize, stampSize, maxMessageSize)
	case c.Duration <= 0 || c.Warmup < 0 || c.Timeout <= 0:
		return errors.New("--duration and --timeout must be above 0, --warmup-duration not below")
	case c.TransactionalID == "" && set["transaction-records"]:
		return errors.New("--transaction-records needs --transactional-id")
	case c.TransactionalID != "" && (c.Mode != modeProduce || c.Async != 1 || acksOptions[c.Acks] != kgo.AllISRAcks() || set["clients"]):
		return errors.New("--transactional-id: use mode produce with --acks all, and leave --async and --clients out; a producer has one transaction at a time")
	case c.TransactionRecords < 1:
		return errors.New("--transaction-records must be at least 1")
	case c.Partitions < 0 || c.Replicas < 0 || c.LingerMs < 0 || c.Rate < 0:
		return errors.New("--partitions, --replication-factor, --linger-ms and --rate-limit must not be negative")
	}
	return nil
}

// callers describes who sends, for the head of the report.
func (c *config) callers() string {
	switch {
	case c.Mode == modeConsume:
		return fmt.Sprintf("%d consumers", c.Concurrency)
	case c.TransactionalID != "":
		return fmt.Sprintf("%d transactional clients, %d records in a transaction", c.Concurrency, c.TransactionRecords)
	case c.Clients == "own":
		return fmt.Sprintf("%d clients, %d in flight each", c.Concurrency, c.Async)
	default:
		return fmt.Sprintf("%d callers of one client, %d in flight each", c.Concurrency, c.Async)
	}
}

// fields splits at commas and white space, so that "$(cat dir/*/pid)" is a list too.
func fields(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\t' })
}

func numbers(s string) ([]int, error) {
	var list []int
	for _, f := range fields(s) {
		n, err := strconv.Atoi(f)
		if err != nil {
			return nil, fmt.Errorf("%q is not a whole number", f)
		}
		list = append(list, n)
	}
	if len(list) == 0 {
		return nil, errors.New("the list is empty")
	}
	return list, nil
}

// SPDX-License-Identifier: Apache-2.0

// Command broker runs a Chronik broker: one alone, a member of a cluster, or a whole cluster on
// this machine to try it out. Run `broker help` for its commands.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"chronik/cmd/broker/admin"
	"chronik/host"
	"chronik/node"
)

// Exit codes.
const (
	exitClean   = 0
	exitFailed  = 1 // trouble while running: disk, network, a folder that is not ours
	exitUsage   = 2 // wrong flags or configuration
	exitBroken  = 3 // an invariant did not hold: a bug
	exitOut     = 4 // the cluster removed this broker, or another one has taken its id: not to be started again
	usageHeader = `Chronik: a Kafka-compatible, replicated log broker.

  broker                          one broker with no configuration: 127.0.0.1:9092, data in ./data
  broker start -config FILE       one broker of a cluster
  broker start -join -config FILE one that is new to a running cluster, or has lost its disk: it makes
                                  a new replica of the empty data folder (a formatted one ignores -join)
  broker local -brokers N -dir DIR -port PORT [-loops L]
                                  a cluster of N broker processes on this machine, to try it out, each of L brokers
  broker admin -bootstrap HOST:PORT,... COMMAND
                                  look after a running cluster, see below; or -config FILE of one of its brokers;
                                  with -tls-ca FILE (PEM, or the word system) for TLS, -tls-cert and -tls-key for
                                  a certificate of one's own
  broker format -config FILE      prepare the empty data folder of a founder of a brand-new cluster; changes nothing if that was done
  broker health [readyz|livez] -config FILE
                                  ask the broker that runs here how it is; exit code 0 if all is well
  broker check -config FILE       look whether a configuration is right, without starting anything
  broker config -config FILE      print all settings as a broker would run with them, and where each value came from
  broker log verify -config FILE  read the whole log of a broker that doesn't run, and say whether it is whole
  broker log dump -config FILE [-json] [-data] [-group N] [SEGMENT...]
                                  print what is in it; both take -dir DIR instead, and change nothing
  broker recover plan -dir DIR [-dir DIR...] -out PLAN [-cluster-id NEW] [-skip GROUP/ENTRY...] [-empty TOPIC/PARTITION...]
                                  of a cluster that can't go on, since most of its disks are lost, or its catalog, or an entry stops
                                  every broker: read the data folders that are left, say what would be lost, change nothing
  broker recover apply -plan PLAN -dir DIR [-dir DIR...] -confirm CODE
                                  make it go on from them, under another cluster id
  broker backup -bootstrap HOST:PORT,... -to DIR|s3://BUCKET/PREFIX [-topics T,...] [-patience TIME]
                                  copy what the cluster holds, while it runs: all the first time, then what is new
  broker restore -bootstrap HOST:PORT,... -from DIR|s3://BUCKET/PREFIX [-backup NAME] [-topics T,...] [-replicas N] [-continue]
                                  bring it into an empty cluster, with offsets
  broker backup prune -from DIR|s3://BUCKET/PREFIX -keep N [-within TIME] [-yes]
                                  show which backups are neither among the newest N nor younger than TIME, and remove them with -yes
  broker backup list|verify -from DIR|s3://BUCKET/PREFIX [-backup NAME]
                                  which backups there are; read all of one and hold it against its checksums. These take the
                                  flags of admin for logins and TLS, and -s3-endpoint URL and -s3-region; the keys of an
                                  S3 API come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or ~/.aws/credentials
  broker completion bash|zsh|fish print what makes a shell complete these words: source <(broker completion bash)
  broker version                  version and commit, and which other releases it gets along with
  broker help

Each setting is taken from the first place that has it: a flag, an environment variable CHRONIK_NAME,
the configuration file (TOML; see the broker.toml that local writes), its default.
`
)

func main() {
	if name, _ := commandOf(os.Args[1:]); name == "start" || name == "local" {
		letTimersSlack()
	}
	// Ctrl-C and SIGTERM ask for a clean stop; a second one ends the process at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// commandOf is the command that args begin with, and the rest. Without one it is start.
func commandOf(args []string) (name string, rest []string) {
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		return args[0], args[1:]
	}
	return "start", args
}

// run is main with everything passed in; it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	name, args := commandOf(args)
	var err error
	switch name {
	case "start":
		err = start(ctx, args, stdout, stderr)
	case "local":
		err = local(ctx, args, stdout, stderr)
	case "admin":
		err = administer(ctx, args, stdout)
	case "format":
		err = format(args, stdout)
	case "health":
		err = health(ctx, args, stdout)
	case "check":
		err = check(args, stdout, stderr)
	case "config":
		err = showConfig(args, stdout, stderr)
	case "log":
		err = inspectLog(args, stdout, stderr)
	case "recover":
		err = mend(args, stdout)
	case "backup":
		err = backUp(ctx, args, stdout)
	case "restore":
		err = restore(ctx, args, stdout)
	case "completion":
		err = completion(args, stdout)
	case "complete":
		for _, word := range complete(args) {
			fmt.Fprintln(stdout, word)
		}
	case "version":
		fmt.Fprintln(stdout, version())
	case "help":
		help(stdout)
	default:
		err = wrongUse{fmt.Errorf("there is no command %q", name)}
	}
	return exitCode(err, stdout, stderr)
}

// wrongUse marks an error of the caller: flags or configuration.
type wrongUse struct{ error }

func (w wrongUse) Unwrap() error { return w.error }

func exitCode(err error, stdout, stderr io.Writer) int {
	var usage wrongUse
	end, ended := errors.AsType[*node.End](err)
	switch {
	case err == nil:
		return exitClean
	case errors.Is(err, flag.ErrHelp):
		help(stdout)
		return exitClean
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "broker: %v\nRun `broker help` for commands and settings.\n", err)
		return exitUsage
	case errors.Is(err, host.ErrBroken):
		fmt.Fprintf(stderr, "broker: %v\n", err)
		return exitBroken
	case ended && end.OutOfCluster():
		fmt.Fprintf(stderr, "broker: %v\n", err)
		return exitOut
	default:
		fmt.Fprintf(stderr, "broker: %v\n", err)
		return exitFailed
	}
}

func help(w io.Writer) {
	fmt.Fprint(w, usageHeader, "\nCommands of admin:\n\n", admin.Help(), "\nSettings of one broker (flag; in the file with _ for -; default in parentheses):\n")
	fs, _ := newFlags()
	fs.SetOutput(w)
	fs.PrintDefaults()
	fmt.Fprint(w, "\nExit codes: 0 clean, 1 failed while running, 2 wrong use or configuration, 3 a bug,\n4 the cluster goes on without this data folder: the broker was removed, another one has taken its id,\nor the folder is an older copy of itself.\n")
}

// version says which release this is, and which others it gets along with.
func version() string {
	of := "(unknown build)"
	if info, ok := debug.ReadBuildInfo(); ok {
		of = release(info)
	}
	return fmt.Sprintf("chronik %s\nsupports feature %v, speaks %v of the peer protocol", of, node.ReleaseLevels(), host.PeerVersions())
}

// release is the version, the commit and the compiler of a build.
func release(info *debug.BuildInfo) string {
	commit, changed := "(unknown commit)", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = " with changes"
		}
	}
	return fmt.Sprintf("%s, commit %s%s, %s", info.Main.Version, commit, changed, info.GoVersion)
}

// start runs the brokers of a process until ctx ends.
func start(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s, err := loadSettings(args, os.Environ(), stderr)
	if err != nil {
		return wrongUse{err}
	}
	all, err := s.hostConfigs()
	if err != nil {
		return wrongUse{err}
	}
	s.warn(stderr, memoryHere())
	secret, file, err := s.clusterSecret()
	if err != nil {
		return wrongUse{err}
	}
	for i := range all {
		cfg := &all[i]
		cfg.PeerSecret, cfg.PeerSecretFile = secret, file
		if cfg.Log, cfg.LogLevel = s.newLog(stderr); len(all) > 1 {
			cfg.Log = cfg.Log.With("broker", cfg.Node.BrokerID)
		}
		cfg.Ready = func() {
			fmt.Fprintf(stdout, "ready: broker %d serves Kafka clients on %s, data in %s\n", cfg.Node.BrokerID, portsOf(cfg), cfg.Dir)
		}
	}
	setThreads(s.CPUs)
	defer paceCollector(s.Memory, all[0].Log)()
	return host.ServeAll(ctx, all)
}

// newLog is a broker's log, and its level.
func (s *settings) newLog(to io.Writer) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	level.Set(s.level)
	options := &slog.HandlerOptions{Level: level}
	if s.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(to, options)), level
	}
	return slog.New(slog.NewTextHandler(to, options)), level
}

// minThreads is how many threads may run Go code at least. One that is in a system call counts until the
// scheduler takes notice, so with two on a machine with two CPUs a large read and a large write keep everybody
// else waiting.
const minThreads = 4

func setThreads(cpus int) {
	switch {
	case cpus > 0:
		runtime.GOMAXPROCS(cpus)
	case os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < minThreads:
		runtime.GOMAXPROCS(minThreads)
	}
}

// check reads a configuration as start does and says what it found.
func check(args []string, stdout, stderr io.Writer) error {
	s, err := loadSettings(args, os.Environ(), stderr)
	if err != nil {
		return wrongUse{err}
	}
	all, err := s.hostConfigs()
	if err != nil {
		return wrongUse{err}
	}
	if _, _, err := s.clusterSecret(); err != nil {
		return wrongUse{err}
	}
	s.warn(stderr, memoryHere())
	for i := range all {
		cfg := &all[i]
		fmt.Fprintf(stdout, "the configuration is right: broker %d of %d known ones, Kafka clients on %s, data in %s\n", cfg.Node.BrokerID, len(cfg.Node.Members), portsOf(cfg), cfg.Dir)
	}
	return nil
}

// format prepares the data folder of a founder: a broker that begins a cluster, together with those in
// its list of members.
func format(args []string, stdout io.Writer) error {
	s, err := loadSettings(args, os.Environ(), io.Discard)
	if err != nil {
		return wrongUse{err}
	}
	if s.ClusterID == "" {
		return wrongUse{errors.New("cluster_id is missing: give every broker of a cluster the same one, for example " + host.NewClusterID())}
	}
	meta := host.Meta{ClusterID: s.ClusterID, BrokerID: s.brokerID()}
	done, err := host.IsFormatted(s.Dir, meta)
	if err == nil && !done {
		err = host.Format(s.Dir, meta)
	}
	if err != nil {
		return err
	}
	if done {
		fmt.Fprintf(stdout, "%s is formatted already for broker %d of cluster %s\n", s.Dir, s.BrokerID, s.ClusterID)
	} else {
		fmt.Fprintf(stdout, "formatted %s for broker %d of cluster %s\n", s.Dir, s.BrokerID, s.ClusterID)
	}
	if s.Loops > 1 {
		fmt.Fprintf(stdout, "the other %d brokers of the process, from broker %d on, make their folders when they first start, and join\n", s.Loops-1, s.BrokerID+1)
	}
	if s.PeerSecretFile != "" {
		made, err := host.MakeSecret(s.PeerSecretFile)
		if err != nil {
			return fmt.Errorf("can't make the cluster secret: %w", err)
		}
		if made {
			fmt.Fprintf(stdout, "made the cluster secret %s: copy it to the other brokers before you format and start them\n", s.PeerSecretFile)
		}
	}
	return nil
}

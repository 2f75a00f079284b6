// SPDX-License-Identifier: Apache-2.0

// Package admin looks after a running cluster: it shows how it is and moves partitions between its
// brokers. It is a Kafka client like any other; what it asks for, other tools can ask for, too.
package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Help lists the commands.
const Help = `  status                        brokers, partitions without a leader, moves under way
  wait                          wait until all replicas are in sync, so that the next broker can be stopped
  drain BROKER...               move all replicas of some brokers to the others, and wait until they are there
  remove BROKER                 take a drained broker out of the cluster
  rebalance                     spread replicas and leaders evenly over all brokers
  transfer TOPIC PARTITION [BROKER]
                                let a replica lead: the preferred one, or the one on that broker
  features                      which feature levels the brokers support, and at which one the cluster is
  raise [LEVEL]                 raise the feature level, after an upgrade of all brokers: there is no way back from it
  user add [-password-file FILE] [-iterations N] NAME
                                make a user, or give one another password: the first line of the file, or of the standard input
  user delete NAME              it can't log in any more
  user list                     who can log in

Where clients must log in, write -user NAME before the command, and give the password by -password-file FILE or by the
variable CHRONIK_PASSWORD. -mechanism is SCRAM-SHA-512 unless given. Instead, -token-file FILE logs in with a token by OAUTHBEARER.
`

// UsageError says that the caller gave the wrong words.
type UsageError struct{ error }

// Run carries out a command on the cluster that has a broker at one of the bootstrap addresses. A password for somebody else may
// come from in. secure is for TLS; nil: without.
func Run(ctx context.Context, bootstrap []string, secure *tls.Config, login Login, args []string, in io.Reader, out io.Writer) error {
	run, err := parse(args, in)
	if err != nil {
		return UsageError{err}
	}
	options, err := login.options()
	if err != nil {
		return UsageError{err}
	}
	if secure != nil {
		options = append(options, kgo.DialTLSConfig(secure))
	}
	client, err := kgo.NewClient(append(options, kgo.SeedBrokers(bootstrap...), kgo.MetadataMinAge(10*time.Millisecond))...)
	if err != nil {
		return UsageError{fmt.Errorf("bootstrap servers %s: %w", strings.Join(bootstrap, ","), err)}
	}
	defer client.Close()
	a := &admin{client: client, out: out}
	if err := a.connect(ctx); err != nil {
		return fmt.Errorf("no broker answers at %s: %w; give the addresses of some with -bootstrap", strings.Join(bootstrap, ","), err)
	}
	return run(ctx, a)
}

// parse turns words into the command that they mean.
func parse(args []string, in io.Reader) (func(context.Context, *admin) error, error) {
	if len(args) == 0 {
		return nil, errors.New("admin needs a command")
	}
	if args[0] == "user" {
		return parseUser(args[1:], in)
	}
	words := map[string][2]int{ // how many words may follow, at least and at most
		"status": {0, 0}, "wait": {0, 0}, "rebalance": {0, 0}, "drain": {1, 100}, "remove": {1, 1}, "transfer": {2, 3}, "features": {0, 0}, "raise": {0, 1},
	}
	name, rest := args[0], args[1:]
	allowed, ok := words[name]
	if !ok {
		return nil, fmt.Errorf("there is no admin command %q", name)
	}
	if len(rest) < allowed[0] || len(rest) > allowed[1] {
		return nil, fmt.Errorf("admin %s: wrong number of words after it", name)
	}
	numbers := make([]int32, len(rest))
	for i, word := range rest {
		if name == "transfer" && i == 0 {
			continue // the topic
		}
		n, err := strconv.ParseUint(word, 10, 31)
		if err != nil {
			return nil, fmt.Errorf("admin %s: %q is no id of a broker or number of a partition", name, word)
		}
		numbers[i] = int32(n)
	}
	return func(ctx context.Context, a *admin) error {
		switch name {
		case "drain":
			return a.drain(ctx, numbers)
		case "remove":
			return a.remove(ctx, numbers[0])
		case "wait":
			return a.wait(ctx)
		case "rebalance":
			return a.rebalance(ctx)
		case "features":
			return a.features(ctx)
		case "raise":
			return a.raise(ctx, numbers)
		case "transfer":
			return a.transfer(ctx, rest[0], numbers[1], numbers[2:])
		}
		return a.status(ctx)
	}, nil
}

// admin is one command's view of the cluster.
type admin struct {
	client *kgo.Client
	out    io.Writer
}

const (
	connectTime = 10 * time.Second
	requestTime = 20 * time.Second // for one request, retries included
)

func (a *admin) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	return a.client.Ping(ctx)
}

func (a *admin) say(format string, args ...any) { fmt.Fprintf(a.out, format+"\n", args...) }

// ask sends a request, to the broker that takes such ones.
func ask[T kmsg.Response](ctx context.Context, a *admin, req kmsg.Request) (T, error) {
	var none T
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	resp, err := a.client.Request(ctx, req)
	if err != nil {
		return none, fmt.Errorf("asking for %s: %w", kmsg.NameForKey(req.Key()), err)
	}
	return resp.(T), nil
}

// askOther asks one of some brokers. A broker that leaves may never hear that the others let go of it, so it isn't asked.
func askOther[T kmsg.Response](ctx context.Context, a *admin, brokers []int32, req kmsg.Request) (T, error) {
	var none T
	err := errors.New("no other broker is in the cluster")
	for _, b := range brokers {
		var resp kmsg.Response
		ctx, cancel := context.WithTimeout(ctx, requestTime)
		resp, err = a.client.Broker(int(b)).RetriableRequest(ctx, req)
		cancel()
		if err == nil {
			return resp.(T), nil
		}
	}
	return none, fmt.Errorf("asking for %s: %w", kmsg.NameForKey(req.Key()), err)
}

// refusal turns an answer's error code and text into an error.
func refusal(code int16, text *string) error {
	err := kerr.ErrorForCode(code)
	if err != nil && text != nil && *text != "" {
		return errors.New(*text)
	}
	return err
}

// remove takes a broker without replicas out of the cluster.
func (a *admin) remove(ctx context.Context, broker int32) error {
	state, err := a.look(ctx)
	if err != nil {
		return err
	}
	if n := state.replicasOn(broker); n > 0 {
		return fmt.Errorf("broker %d still has %d replicas; first run: broker admin drain %d", broker, n, broker)
	}
	req := kmsg.NewPtrUnregisterBrokerRequest()
	req.BrokerID = broker
	resp, err := askOther[*kmsg.UnregisterBrokerResponse](ctx, a, state.others(broker), req)
	if err != nil {
		return err
	}
	if err := refusal(resp.ErrorCode, resp.ErrorMessage); err != nil {
		return err
	}
	a.say("removed broker %d; it ends by itself if it runs. It can come back only as a new replica: empty its data folder, broker start -join", broker)
	return nil
}

// SPDX-License-Identifier: Apache-2.0

// Package admin looks after a running cluster: it shows how it is and moves partitions between its
// brokers. It is a Kafka client like any other; what it asks for, other tools can ask for, too.
package admin

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// UsageError says that the caller gave the wrong words.
type UsageError struct{ error }

// Run carries out a command on the cluster that has a broker at one of the bootstrap addresses. A password for somebody else may
// come from in. secure is for TLS; nil: without.
func Run(ctx context.Context, bootstrap []string, secure *tls.Config, login Login, args []string, in io.Reader, out io.Writer) error {
	run, err := parse(args, in)
	if err != nil {
		return UsageError{err}
	}
	client, err := Connect(ctx, bootstrap, secure, login)
	if err != nil {
		return err
	}
	defer client.Close()
	return run(ctx, &admin{client: client.Client, kadm: kadm.NewClient(client.Client), out: out})
}

// Client is one that a broker has answered.
type Client struct{ *kgo.Client }

// Connect finds the cluster that has a broker at one of the bootstrap addresses.
func Connect(ctx context.Context, bootstrap []string, secure *tls.Config, login Login) (*Client, error) {
	options, err := login.options()
	if err != nil {
		return nil, UsageError{err}
	}
	if secure != nil {
		options = append(options, kgo.DialTLSConfig(secure))
	}
	client, err := kgo.NewClient(append(options, kgo.SeedBrokers(bootstrap...), kgo.MetadataMinAge(10*time.Millisecond))...)
	if err != nil {
		return nil, UsageError{fmt.Errorf("bootstrap servers %s: %w", strings.Join(bootstrap, ","), err)}
	}
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	if err := client.Ping(ctx); err != nil {
		client.Close()
		return nil, fmt.Errorf("no broker answers at %s: %w; give the addresses of some with -bootstrap", strings.Join(bootstrap, ","), err)
	}
	return &Client{client}, nil
}

// parse turns words into the command that they mean.
func parse(args []string, in io.Reader) (action, error) {
	if len(args) == 0 {
		return nil, errNoCommand
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return c.parse(args[1:], in)
		}
	}
	return nil, fmt.Errorf("there is no admin command %q", args[0])
}

// parseOlder takes the words of a command that has no flags: ids of brokers and numbers of partitions, but for the topic of
// transfer.
func parseOlder(name string, least, most int) func([]string, io.Reader) (action, error) {
	return func(words []string, _ io.Reader) (action, error) {
		if len(words) < least || len(words) > most {
			return nil, fmt.Errorf("admin %s: wrong number of words after it", name)
		}
		numbers := make([]int32, len(words))
		for i, word := range words {
			if name == "transfer" && i == 0 {
				continue // the topic
			}
			n, err := strconv.ParseUint(word, 10, 31)
			if err != nil {
				return nil, fmt.Errorf("admin %s: %q is no id of a broker or number of a partition", name, word)
			}
			numbers[i] = int32(n)
		}
		return func(ctx context.Context, a *admin) error { return a.older(ctx, name, words, numbers) }, nil
	}
}

// older carries out a command without flags.
func (a *admin) older(ctx context.Context, name string, words []string, numbers []int32) error {
	switch name {
	case "drain":
		return a.drain(ctx, numbers)
	case "remove":
		return a.remove(ctx, numbers[0])
	case "rebalance":
		return a.rebalance(ctx)
	case "features":
		return a.features(ctx)
	case "raise":
		return a.raise(ctx, numbers)
	case "transfer":
		return a.transfer(ctx, words[0], numbers[1], numbers[2:])
	}
	return a.wait(ctx)
}

// admin is one command's view of the cluster.
type admin struct {
	client *kgo.Client
	kadm   *kadm.Client
	out    io.Writer
}

const (
	connectTime = 10 * time.Second
	requestTime = 20 * time.Second // for one request, retries included
)

// print writes something as JSON.
func (a *admin) print(v any) error {
	e := json.NewEncoder(a.out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
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

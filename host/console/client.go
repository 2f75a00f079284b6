// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// restTime is how long the connections of a person stay who asks for nothing.
	restTime = time.Minute
	// maxPersons bounds those who have connections at the same time.
	maxPersons = 32
)

// clients are Kafka clients, one for each person.
type clients struct {
	cluster Cluster
	seed    string

	mu     sync.Mutex
	open   map[Person]*client
	closed bool
}

// client is the Kafka client of a person, while he looks.
type client struct {
	*kgo.Client
	who     Person
	options []kgo.Opt // of further clients for him
	busy    int       // requests of his
	rest    *time.Timer
}

// of returns the client of a person, until done.
func (c *clients) of(who Person) (*client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errors.New("the broker is stopping")
	}
	k := c.open[who]
	if k == nil {
		if len(c.open) >= maxPersons {
			return nil, fmt.Errorf("%d others use the console of this broker; use that of another one, or try again in a minute", len(c.open))
		}
		options := c.options(who)
		kafka, err := kgo.NewClient(options...)
		if err != nil {
			return nil, err
		}
		k = &client{Client: kafka, who: who, options: slices.Clip(options)}
		c.open[who] = k
	}
	if k.busy++; k.rest != nil {
		k.rest.Stop()
	}
	return k, nil
}

// options are those of all clients of a person.
func (c *clients) options(who Person) []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(c.seed), kgo.ClientID("console"), kgo.MetadataMinAge(100 * time.Millisecond),
		kgo.Dialer(func(ctx context.Context, _, addr string) (net.Conn, error) { return c.cluster.Dial(ctx, who, addr) }),
		kgo.RequestRetries(30), kgo.RetryTimeout(6 * time.Second), kgo.RequestTimeoutOverhead(8 * time.Second), kgo.ConnIdleTimeout(restTime),
		kgo.RetryBackoffFn(func(int) time.Duration { return 100 * time.Millisecond }),
	}
}

func (c *clients) done(k *client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k.busy--; k.busy > 0 || c.closed {
		return
	}
	if k.rest == nil {
		k.rest = time.AfterFunc(restTime, func() { c.forget(k) })
	} else {
		k.rest.Reset(restTime)
	}
}

// forget closes the connections of a person who has gone.
func (c *clients) forget(k *client) {
	c.mu.Lock()
	idle := k.busy == 0 && c.open[k.who] == k
	if idle {
		delete(c.open, k.who)
	}
	c.mu.Unlock()
	if idle {
		k.Close()
	}
}

func (c *clients) close() {
	c.mu.Lock()
	open := c.open
	c.open, c.closed = nil, true
	c.mu.Unlock()
	for _, k := range open {
		if k.rest != nil {
			k.rest.Stop()
		}
		k.Close()
	}
}

// ask sends a request to the broker that takes such ones.
func ask[T kmsg.Response](ctx context.Context, s *session, req kmsg.Request) (T, error) {
	resp, err := s.client.Request(ctx, req)
	if err != nil {
		var none T
		return none, err
	}
	return resp.(T), nil
}

// askAll sends a request to all brokers that it concerns, and returns what answers came and the first of the errors.
func askAll[T kmsg.Response](ctx context.Context, s *session, req kmsg.Request) (answers []shard[T], err error) {
	for _, part := range s.client.RequestSharded(ctx, req) {
		if part.Err != nil {
			if err == nil {
				err = part.Err
			}
			continue
		}
		answers = append(answers, shard[T]{part.Meta.NodeID, part.Resp.(T)})
	}
	return answers, err
}

// shard is the answer of one broker.
type shard[T any] struct {
	broker int32
	answer T
}

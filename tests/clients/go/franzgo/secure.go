// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

const secureRecords = 10

// toBrokers says where the brokers are and, if that is asked for, how a client logs in over TLS.
func toBrokers() ([]kgo.Opt, error) {
	if os.Getenv("CA") == "" {
		return []kgo.Opt{brokers}, nil
	}
	pem, err := os.ReadFile(os.Getenv("CA"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return []kgo.Opt{
		brokers, kgo.WithLogger(kgo.BasicLogger(os.Stderr, kgo.LogLevelWarn, nil)), kgo.DialTLSConfig(&tls.Config{RootCAs: roots}),
		kgo.SASL(scram.Auth{User: os.Getenv("USERNAME"), Pass: os.Getenv("PASSWORD")}.AsSha512Mechanism()),
	}, nil
}

// secure takes one step as a user: create, produce or consume.
func secure(ctx context.Context, step, topic, group string) error {
	options, err := toBrokers()
	if err != nil {
		return err
	}
	if step == "consume" {
		options = append(options, kgo.ConsumeTopics(topic), kgo.ConsumerGroup(group), kgo.DisableAutoCommit())
	}
	cl, err := kgo.NewClient(options...)
	if err != nil {
		return err
	}
	defer cl.Close()
	if err := cl.Ping(ctx); err != nil { // writing and reading wait for a login that may still succeed
		return err
	}
	switch step {
	case "create":
		_, err := kadm.NewClient(cl).CreateTopic(ctx, 1, 3, nil, topic)
		return err
	case "produce":
		for i := range secureRecords {
			if err := cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: fmt.Appendf(nil, "s-%d", i)}).FirstErr(); err != nil {
				return err
			}
		}
		return nil
	}
	for n := 0; n < secureRecords; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		n += fetches.NumRecords()
	}
	return cl.CommitUncommittedOffsets(ctx)
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl/scram"
)

const secureRecords = 10

// secure takes one step as a user: create, produce or consume.
func secure(ctx context.Context, step, topic, group string) error {
	pem, err := os.ReadFile(os.Getenv("CA"))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	login, err := scram.Mechanism(scram.SHA512, os.Getenv("USERNAME"), os.Getenv("PASSWORD"))
	if err != nil {
		return err
	}
	config := &tls.Config{RootCAs: roots}
	transport := &kafka.Transport{TLS: config, SASL: login, MetadataTTL: 100 * time.Millisecond}
	switch step {
	case "create":
		c := &kafka.Client{Addr: kafka.TCP(brokers...), Transport: transport}
		created, err := c.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{Topic: topic, NumPartitions: 1, ReplicationFactor: 3}}})
		if err == nil {
			err = created.Errors[topic]
		}
		return err
	case "produce":
		w := &kafka.Writer{Addr: kafka.TCP(brokers...), Transport: transport, Topic: topic, RequiredAcks: kafka.RequireAll, BatchTimeout: 10 * time.Millisecond}
		for i := range secureRecords {
			if err := w.WriteMessages(ctx, kafka.Message{Value: fmt.Appendf(nil, "s-%d", i)}); err != nil {
				return err
			}
		}
		return w.Close()
	}
	// A reader of a group tries for ever, and tells only its log why.
	failed := make(chan error, 100)
	tell := kafka.LoggerFunc(func(format string, args ...any) {
		for _, a := range args {
			if err, yes := a.(kafka.Error); yes && err.Temporary() {
				return
			}
		}
		select {
		case failed <- fmt.Errorf(format, args...):
		default:
		}
	})
	r := kafka.NewReader(kafka.ReaderConfig{
		Brokers: brokers, GroupID: group, Topic: topic, MaxWait: 100 * time.Millisecond, ErrorLogger: tell,
		Dialer: &kafka.Dialer{TLS: config, SASLMechanism: login, Timeout: 10 * time.Second},
	})
	read := make(chan error)
	go func() {
		for range secureRecords {
			m, err := r.FetchMessage(ctx)
			if err == nil {
				err = r.CommitMessages(ctx, m)
			}
			if err != nil {
				read <- err
				return
			}
		}
		read <- nil
	}()
	select {
	case err := <-failed:
		return err
	case err := <-read:
		return err
	}
}

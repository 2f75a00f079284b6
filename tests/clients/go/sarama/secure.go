// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"os"

	"github.com/IBM/sarama"
	"github.com/xdg-go/scram"
)

const secureRecords = 10

// exchange is what sarama leaves to others of SCRAM.
type exchange struct{ *scram.ClientConversation }

func (e *exchange) Begin(user, password, authzID string) error {
	client, err := scram.SHA512.NewClient(user, password, authzID)
	if err == nil {
		e.ClientConversation = client.NewConversation()
	}
	return err
}

// logIn has a client log in over TLS, if that is asked for.
func logIn(c *sarama.Config) {
	if os.Getenv("CA") == "" {
		return
	}
	pem, err := os.ReadFile(os.Getenv("CA"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	sarama.Logger = log.New(os.Stderr, "", 0)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	c.Net.TLS.Enable, c.Net.TLS.Config = true, &tls.Config{RootCAs: roots}
	c.Net.SASL.Enable, c.Net.SASL.User, c.Net.SASL.Password = true, os.Getenv("USERNAME"), os.Getenv("PASSWORD")
	c.Net.SASL.Mechanism = sarama.SASLTypeSCRAMSHA512
	c.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &exchange{} }
}

// secure takes one step as a user: create, produce or consume.
func secure(ctx context.Context, step, topic, group string) error {
	c := config()
	switch step {
	case "create":
		adm, err := sarama.NewClusterAdmin(brokers, c)
		if err != nil {
			return err
		}
		defer adm.Close()
		return adm.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 3}, false)
	case "produce":
		p, err := sarama.NewSyncProducer(brokers, c)
		if err != nil {
			return err
		}
		defer p.Close()
		for i := range secureRecords {
			if _, _, err := p.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(fmt.Sprintf("s-%d", i))}); err != nil {
				return err
			}
		}
		return nil
	}
	g, err := sarama.NewConsumerGroup(brokers, group, c)
	if err != nil {
		return err
	}
	defer g.Close()
	return g.Consume(ctx, []string{topic}, &counter{})
}

// counter reads until it has enough, and commits.
type counter struct{ n int }

func (*counter) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (*counter) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (c *counter) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for c.n < secureRecords {
		m, open := <-claim.Messages()
		if !open {
			return nil
		}
		s.MarkMessage(m, "")
		c.n++
	}
	s.Commit()
	return nil
}

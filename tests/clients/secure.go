// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha512"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/tests/rig"
)

// secured is the second listener of the brokers: TLS, logins by SCRAM-SHA-512, and rules.
type secured struct {
	bootstrap   string
	authority   string           // the file of those that clients trust
	authorities []*rig.Authority // which sign the brokers' certificate
}

// login is as whom a client's program takes a step.
type login struct{ user, password string }

func passwordOf(user string) string { return "of-" + user }

// secureListeners makes certificates and returns the settings by which brokers have the listener. What comes by the other one
// isn't asked who it is, and may do everything.
func secureListeners(dir string, brokers int) (s secured, all map[string]string, own map[int]map[string]string, err error) {
	authorities, file, err := newAuthorities(filepath.Join(dir, "certificates"))
	if err != nil {
		return s, nil, nil, err
	}
	cert, key, err := authorities[0].Issue(certificateOf, time.Now().Add(24*time.Hour))
	if err != nil {
		return s, nil, nil, err
	}
	own = make(map[int]map[string]string)
	var addrs []string
	for id := 1; id <= brokers; id++ {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return s, nil, nil, err
		}
		addrs = append(addrs, l.Addr().String())
		l.Close()
		own[id] = map[string]string{"listeners": fmt.Sprintf("[{ name = \"secure\", listen = %q, tls_cert_file = %q, tls_key_file = %q, sasl = \"SCRAM-SHA-512\" }]",
			addrs[id-1], cert, key)}
	}
	all = map[string]string{"authorize": "true", "super_users": `"User:ANONYMOUS"`}
	return secured{strings.Join(addrs, ","), file, authorities}, all, own, nil
}

// Words of clients for what they are refused.
var (
	loginWords = regexp.MustCompile(`(?i)SASL.{0,40}authentication|authentication.?failed|SaslAuthentication|NoBrokersAvailable`)
	topicWords = regexp.MustCompile(`(?i)topic[ _]?authorization|access (this )?topic`)
	groupWords = regexp.MustCompile(`(?i)group[ _]?authorization|access (this )?group`)
)

// refusalLimit is how long a client may take to say that it is refused.
const refusalLimit = 60 * time.Second

// secure lets a client create a topic, write it, and read it in a group that commits, over TLS as a user with these rights. Then
// it is refused: with a wrong password, and without the right to create, to write and to read in a group.
func (b *bench) secure(ctx context.Context, c *client, topic string) error {
	right, poor := login{topic + "-right", passwordOf(topic + "-right")}, login{topic + "-poor", passwordOf(topic + "-poor")}
	if err := b.addUsers(ctx, right.user, poor.user); err != nil {
		return err
	}
	if err := b.addRules(ctx, right.user, "CREATE TOPIC "+topic, "WRITE TOPIC "+topic, "READ TOPIC "+topic, "READ GROUP "+topic); err != nil {
		return err
	}
	// One right too few for each: without these, some clients are refused before they ask for what they want.
	if err := b.addRules(ctx, poor.user, "READ TOPIC "+topic, "DESCRIBE GROUP "+topic, "IDEMPOTENT_WRITE CLUSTER kafka-cluster"); err != nil {
		return err
	}
	time.Sleep(500 * time.Millisecond) // until all brokers know
	for _, step := range []string{"create", "produce", "consume"} {
		if out, err := c.secure(ctx, right, step, topic, topic); err != nil {
			return fmt.Errorf("%s: %w: %s", step, err, out)
		}
	}
	if n, err := b.committedOf(ctx, topic, topic); err != nil || n != secureRecords {
		return fmt.Errorf("offset %d is committed, want %d: %w", n, secureRecords, err)
	}
	for _, r := range []struct {
		what  string
		as    login
		step  string
		topic string
		words *regexp.Regexp
	}{
		{"a wrong password", login{right.user, "a guess"}, "produce", topic, loginWords},
		{"a wrong password, reading", login{right.user, "a guess"}, "consume", topic, loginWords},
		{"no right to create", poor, "create", topic + "-new", topicWords},
		{"no right to write", poor, "produce", topic, topicWords},
		{"no right to the group", poor, "consume", topic, groupWords},
	} {
		limited, cancel := context.WithTimeout(ctx, refusalLimit)
		out, err := c.secure(limited, r.as, r.step, r.topic, topic)
		late := limited.Err() != nil
		cancel()
		switch {
		case late:
			return fmt.Errorf("%s: the client hangs: %s", r.what, out)
		case !r.words.MatchString(out):
			return fmt.Errorf("%s: no word of it (%w): %s", r.what, err, out)
		case err == nil && !c.quiet:
			return fmt.Errorf("%s: the client says it, and ends well: %s", r.what, out)
		}
	}
	if c.secureAdmin == nil {
		return nil
	}
	return c.secureAdmin(ctx, right, poor)
}

const secureRecords = 10

// plain asks the brokers by the listener where everything is allowed.
func (b *bench) plain(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.cluster.Bootstrap()...))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	return cl.Request(ctx, req)
}

func (b *bench) addUsers(ctx context.Context, names ...string) error {
	const iterations = 4096
	salt := []byte("the matrix's salt")
	req := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
	for _, name := range names {
		salted, err := pbkdf2.Key(sha512.New, passwordOf(name), salt, iterations, sha512.Size)
		if err != nil {
			return err
		}
		u := kmsg.NewAlterUserSCRAMCredentialsRequestUpsertion()
		u.Name, u.Mechanism, u.Iterations, u.Salt, u.SaltedPassword = name, 2, iterations, salt, salted
		req.Upsertions = append(req.Upsertions, u)
	}
	resp, err := b.plain(ctx, req)
	if err != nil {
		return err
	}
	for _, r := range resp.(*kmsg.AlterUserSCRAMCredentialsResponse).Results {
		err = errors.Join(err, kerr.ErrorForCode(r.ErrorCode))
	}
	return err
}

// addRules allows a user something; each rule is an operation, a kind of resource and its name.
func (b *bench) addRules(ctx context.Context, user string, rules ...string) error {
	req := kmsg.NewPtrCreateACLsRequest()
	for _, text := range rules {
		f := strings.Fields(text)
		op, err := kmsg.ParseACLOperation(f[0])
		if err != nil {
			return err
		}
		kind, err := kmsg.ParseACLResourceType(f[1])
		if err != nil {
			return err
		}
		r := kmsg.NewCreateACLsRequestCreation()
		r.ResourceType, r.ResourceName, r.ResourcePatternType = kind, f[2], kmsg.ACLResourcePatternTypeLiteral
		r.Principal, r.Host, r.Operation, r.PermissionType = "User:"+user, "*", op, kmsg.ACLPermissionTypeAllow
		req.Creations = append(req.Creations, r)
	}
	resp, err := b.plain(ctx, req)
	if err != nil {
		return err
	}
	for _, r := range resp.(*kmsg.CreateACLsResponse).Results {
		err = errors.Join(err, kerr.ErrorForCode(r.ErrorCode))
	}
	return err
}

// committedOf returns the sum of a group's offsets.
func (b *bench) committedOf(ctx context.Context, group, topic string) (sum int64, err error) {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group = group
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = group
	req.Groups = append(req.Groups, g)
	resp, err := b.plain(ctx, req)
	if err != nil {
		return 0, err
	}
	for _, g := range resp.(*kmsg.OffsetFetchResponse).Groups {
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				if t.Topic == topic {
					sum += max(0, p.Offset)
				}
			}
		}
	}
	return sum, nil
}

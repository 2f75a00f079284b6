// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node/sasl"
)

// upsert is a request that sets passwords, each "user mechanism password iterations".
func upsert(users ...string) *kmsg.AlterUserSCRAMCredentialsRequest {
	req := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
	for _, u := range users {
		in := kmsg.NewAlterUserSCRAMCredentialsRequestUpsertion()
		password := ""
		fmt.Sscan(u, &in.Name, &in.Mechanism, &password, &in.Iterations)
		in.Name = strings.Trim(in.Name, "-")
		in.Salt = []byte("salt of " + in.Name)
		in.SaltedPassword = sasl.SaltPassword(sasl.Hash(in.Mechanism), password, in.Salt, max(1, int(in.Iterations)))
		req.Upsertions = append(req.Upsertions, in)
	}
	return req
}

func without(users ...string) *kmsg.AlterUserSCRAMCredentialsRequest {
	req := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
	for _, u := range users {
		in := kmsg.NewAlterUserSCRAMCredentialsRequestDeletion()
		fmt.Sscan(u, &in.Name, &in.Mechanism)
		req.Deletions = append(req.Deletions, in)
	}
	return req
}

func alteredUsers(resp kmsg.Response) (lines []string) {
	for _, u := range resp.(*kmsg.AlterUserSCRAMCredentialsResponse).Results {
		lines = append(lines, fmt.Sprintf("%s %s", u.User, kafka.CodeName(u.ErrorCode)))
	}
	return lines
}

func described(resp kmsg.Response) (lines []string) {
	for _, u := range resp.(*kmsg.DescribeUserSCRAMCredentialsResponse).Results {
		line := fmt.Sprintf("%s %s", u.User, kafka.CodeName(u.ErrorCode))
		for _, c := range u.CredentialInfos {
			line += fmt.Sprintf(" %d:%d", c.Mechanism, c.Iterations)
		}
		lines = append(lines, line)
	}
	return lines
}

func describeUsers(names ...string) *kmsg.DescribeUserSCRAMCredentialsRequest {
	req := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()
	for _, name := range names {
		in := kmsg.NewDescribeUserSCRAMCredentialsRequestUser()
		in.Name = name
		req.Users = append(req.Users, in)
	}
	return req
}

// Users are set, described and deleted, with the errors of Kafka.
func TestUsers(t *testing.T) {
	o := newOne(t, nil)
	check := func(what string, got []string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	check("nobody", described(o.ask(describeUsers())))
	check("set", alteredUsers(o.ask(upsert("bob 2 secret 4096", "alice 1 secret 8192", "-- 1 secret 4096", "carol 3 secret 4096", "dave 0 secret 4096",
		"eve 1 secret 4095", "mallory 2 secret 16385", "twice 1 secret 4096", "twice 2 secret 4096", strings.Repeat("x", 256)+" 1 secret 4096"))),
		"bob NONE", "alice NONE", " UNACCEPTABLE_CREDENTIAL", "carol UNSUPPORTED_SASL_MECHANISM", "dave UNSUPPORTED_SASL_MECHANISM",
		"eve UNACCEPTABLE_CREDENTIAL", "mallory UNACCEPTABLE_CREDENTIAL", "twice DUPLICATE_RESOURCE", strings.Repeat("x", 256)+" UNACCEPTABLE_CREDENTIAL")
	check("more", alteredUsers(o.ask(upsert("alice 2 other 5000", "bob 2 another 16384"))), "alice NONE", "bob NONE")
	check("all", described(o.ask(describeUsers())), "alice NONE 1:8192 2:5000", "bob NONE 2:16384")
	check("some", described(o.ask(describeUsers("bob", "carol", "alice", "alice"))), "bob NONE 2:16384", "carol RESOURCE_NOT_FOUND", "alice DUPLICATE_RESOURCE")
	check("delete", alteredUsers(o.ask(without("alice 1", "bob 1", "carol 1", "alice 9"))), "alice DUPLICATE_RESOURCE", "bob RESOURCE_NOT_FOUND", "carol RESOURCE_NOT_FOUND")
	check("delete", alteredUsers(o.ask(without("alice 1", "dave 9"))), "alice NONE", "dave UNSUPPORTED_SASL_MECHANISM")
	both := without("alice 2")
	both.Upsertions = upsert("alice 1 secret 4096").Upsertions
	check("both", alteredUsers(o.ask(both)), "alice DUPLICATE_RESOURCE")
	o.restart()
	check("after a restart", described(o.ask(describeUsers())), "alice NONE 2:5000", "bob NONE 2:16384")
	o.cfg.CheckpointEntries = 1
	o.restart()
	o.ask(without("bob 2"))
	o.create("t") // a checkpoint
	o.restart()
	check("from a checkpoint", described(o.ask(describeUsers())), "alice NONE 2:5000")
}

// What is kept of a password is not the password, and lets nobody log in.
func TestUsersHaveNoPasswords(t *testing.T) {
	o := newOne(t, nil)
	o.ask(upsert("alice 2 top-secret 4096"))
	c := o.node.catalog
	if got := c.passwordOf("alice"); !got.Matches("top-secret") || got.Matches("top-secreT") {
		t.Error("the credential isn't that of the password")
	}
	if bytes := c.state(0); strings.Contains(string(bytes), "top-secret") || !strings.Contains(string(bytes), "alice") {
		t.Errorf("the catalog is %s", bytes)
	}
	for _, h := range []sasl.Hash{sasl.SHA256, sasl.SHA512} {
		nobody, again := c.credentialOf("nobody", h), c.credentialOf("nobody", h)
		if cmp.Diff(nobody, again) != "" || nobody.Iterations != 4096 || nobody.Matches("") || cmp.Diff(nobody, c.credentialOf("nobodY", h)) == "" {
			t.Errorf("made up: %+v, then %+v", nobody, again)
		}
	}
	key := c.loginKey
	o.ask(upsert("bob 1 secret 4096"))
	o.restart()
	if cmp.Diff(key, o.node.catalog.loginKey) != "" || len(key) == 0 {
		t.Error("what is made up of users that there aren't has changed")
	}
}

// A broker that gets the catalog as a checkpoint knows the users.
func TestUsersInSnapshot(t *testing.T) {
	c := newMany(t, 3, func(cfg *Config) { cfg.RetainEntries, cfg.CheckpointEntries, cfg.CheckStates = 1, 1, true })
	c.create("t", 1)
	c.kill(3)
	c.ask(1, upsert("alice 2 secret 4096", "bob 1 secret 4096"))
	for i := range 20 {
		c.create(fmt.Sprintf("t%d", i), 1)
	}
	c.start(3)
	c.until("broker 3 has the topics", func() bool { return c.nodes[3].node.catalog.byName["t19"] != nil })
	if c.nodes[3].events[EventSnapshotInstalled] == 0 {
		t.Error("it got entries")
	}
	want, got := c.nodes[1].node.catalog, c.nodes[3].node.catalog
	if diff := cmp.Diff(want.users, got.users); diff != "" || len(got.users) != 2 || cmp.Diff(want.loginKey, got.loginKey) != "" {
		t.Error(diff)
	}
}

// A cluster begins with one user if its brokers are told of one; one that was deleted doesn't come back.
func TestFirstUser(t *testing.T) {
	c := newMany(t, 3, func(cfg *Config) {
		cfg.FirstUser = NewFirstUser("admin", "secret", [sasl.SaltBytes]byte{byte(cfg.BrokerID)})
	})
	c.until("there is a user on each broker", func() bool {
		for _, m := range c.nodes {
			if len(m.node.catalog.users) != 1 {
				return false
			}
		}
		return true
	})
	for _, m := range c.nodes {
		if u := m.node.catalog.passwordOf("admin"); !u.Matches("secret") {
			t.Error("the password is another one")
		}
	}
	c.ask(1, without("admin 2"))
	c.kill(2)
	c.start(2)
	c.until("broker 2 is back", func() bool { return c.nodes[2].node.ready && len(c.nodes[2].node.catalog.users) == 0 })
	for range 200 {
		c.round()
	}
	if got := described(c.ask(2, describeUsers())); len(got) > 0 {
		t.Errorf("there are users again: %v", got)
	}
}

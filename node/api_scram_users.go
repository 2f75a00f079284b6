// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node/sasl"
)

// DescribeUserScramCredentials and AlterUserScramCredentials, version 0 (KIP-554), on any broker: who the users are, and for
// which mechanisms they have a password. Neither passwords nor what is kept of them is ever answered. A client that sets a
// password sends it salted and hashed.
//
// The error texts are Kafka's.

func (n *Node) handleDescribeUserScramCredentials(r *request, m kmsg.Request) {
	req, resp := m.(*kmsg.DescribeUserSCRAMCredentialsRequest), kmsg.NewPtrDescribeUserSCRAMCredentialsResponse()
	reply := func() { r.reply(resp) }
	if len(req.Users) == 0 {
		users, names := slices.Clone(n.catalog.users), 0
		for i := range users {
			names += btoi(i == 0 || users[i-1].Name != users[i].Name)
		}
		n.out.Work.Parts += len(users) / 32
		resp.Results = make([]kmsg.DescribeUserSCRAMCredentialsResponseResult, 0, names)
		n.each(r, len(users), func(i int) {
			if i == 0 || users[i-1].Name != users[i].Name {
				resp.Results = append(resp.Results, describedUser(users[i].Name))
			}
			addCredential(&resp.Results[len(resp.Results)-1], users[i])
		}, reply)
		return
	}
	onceEach(r, req.Users, func(u *kmsg.DescribeUserSCRAMCredentialsRequestUser) string { return u.Name }, func(once []kmsg.DescribeUserSCRAMCredentialsRequestUser, twice map[string]bool) {
		resp.Results = make([]kmsg.DescribeUserSCRAMCredentialsResponseResult, 0, len(once))
		n.each(r, len(once), func(i int) {
			resp.Results = append(resp.Results, n.describeUser(once[i].Name, twice[once[i].Name]))
		}, reply)
	})
}

func (n *Node) describeUser(name string, twice bool) kmsg.DescribeUserSCRAMCredentialsResponseResult {
	out := describedUser(name)
	for _, h := range []sasl.Hash{sasl.SHA256, sasl.SHA512} {
		if _, u := n.catalog.findCredential(name, h); u != nil && !twice {
			addCredential(&out, u)
		}
	}
	switch {
	case twice:
		setResult(&out.ErrorCode, &out.ErrorMessage, kafka.Errorf(kerr.DuplicateResource, "Cannot describe SCRAM credentials for the same user twice in a single request: %s", name))
	case len(out.CredentialInfos) == 0:
		setResult(&out.ErrorCode, &out.ErrorMessage, kafka.Errorf(kerr.ResourceNotFound, "Attempt to describe a user credential that does not exist: %s", name))
	}
	return out
}

func describedUser(name string) kmsg.DescribeUserSCRAMCredentialsResponseResult {
	out := kmsg.NewDescribeUserSCRAMCredentialsResponseResult()
	out.User = name
	return out
}

func addCredential(out *kmsg.DescribeUserSCRAMCredentialsResponseResult, u *userCredential) {
	info := kmsg.NewDescribeUserSCRAMCredentialsResponseResultCredentialInfo()
	info.Mechanism, info.Iterations = int8(u.Hash), int32(u.Iterations)
	out.CredentialInfos = append(out.CredentialInfos, info)
}

func setResult(code *int16, text **string, err error) {
	if *code = kafka.Code(err); err != nil {
		*text = errorText(err)
	}
}

// userChanges are those that a request asks for, one for each user.
type userChanges struct {
	list []*changeUser
	errs []error // nil: the catalog decides
	at   map[string]int
}

// add notes a change. A user that is named twice is not changed at all.
func (u *userChanges) add(c *changeUser, err error) {
	if i, twice := u.at[c.Name]; twice {
		if u.errs[i] == nil {
			u.errs[i] = kafka.Errorf(kerr.DuplicateResource, "A user credential cannot be altered twice in the same request")
		}
		return
	}
	u.at[c.Name] = len(u.list)
	u.list, u.errs = append(u.list, c), append(u.errs, err)
}

func (n *Node) handleAlterUserScramCredentials(r *request, m kmsg.Request) {
	req := m.(*kmsg.AlterUserSCRAMCredentialsRequest)
	changes := &userChanges{at: make(map[string]int)}
	n.each(r, len(req.Deletions)+len(req.Upsertions), func(i int) {
		if i < len(req.Deletions) {
			in := &req.Deletions[i]
			c := &changeUser{Name: in.Name, Hash: sasl.Hash(in.Mechanism)}
			changes.add(c, checkUser(c))
		} else {
			changes.add(n.upsertion(&req.Upsertions[i-len(req.Deletions)]))
		}
	}, func() { n.changeUsers(r, changes) })
}

// checkUser refuses a change as Kafka does.
func checkUser(c *changeUser) error {
	if err := checkUserName(c.Name); err != nil {
		return err
	}
	if !c.Hash.Known() {
		return kafka.Errorf(kerr.UnsupportedSaslMechanism, "Unknown SCRAM mechanism")
	}
	return nil
}

func (n *Node) upsertion(in *kmsg.AlterUserSCRAMCredentialsRequestUpsertion) (*changeUser, error) {
	c := &changeUser{Name: in.Name, Hash: sasl.Hash(in.Mechanism), Key: n.catalog.loginKey}
	if c.Key == nil {
		c.Key = n.secrets.draw()
	}
	if err := checkUser(c); err != nil {
		return c, err
	}
	switch {
	case in.Iterations < sasl.MinIterations:
		return c, kafka.Errorf(kerr.UnacceptableCredential, "Too few iterations")
	case in.Iterations > sasl.MaxIterations:
		return c, kafka.Errorf(kerr.UnacceptableCredential, "Too many iterations")
	case len(in.Salt) > maxSalt:
		return c, kafka.Errorf(kerr.UnacceptableCredential, "a salt has at most %d bytes", maxSalt)
	}
	set := sasl.FromSalted(c.Hash, in.SaltedPassword, in.Salt, int(in.Iterations))
	c.Set = &set
	return c, nil
}

func (n *Node) changeUsers(r *request, changes *userChanges) {
	resp := kmsg.NewPtrAlterUserSCRAMCredentialsResponse()
	resp.Results = make([]kmsg.AlterUserSCRAMCredentialsResponseResult, len(changes.list))
	w := waitFor(r, resp, len(changes.list))
	n.each(r, len(changes.list), func(i int) {
		out := &resp.Results[i]
		*out = kmsg.NewAlterUserSCRAMCredentialsResponseResult()
		out.User = changes.list[i].Name
		if err := changes.errs[i]; err != nil {
			setResult(&out.ErrorCode, &out.ErrorMessage, err)
			w.done()
			return
		}
		out.ErrorCode = kerr.RequestTimedOut.Code // until it is applied
		n.commands.submitFor(r, command{ChangeUser: changes.list[i]}, func(res commandResult) {
			setResult(&out.ErrorCode, &out.ErrorMessage, res.err)
			w.done()
		})
	}, func() { w.begin(int32(adminTimeout.Milliseconds())) })
}

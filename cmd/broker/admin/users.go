// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"chronik/node/sasl"
)

// Login is as whom the commands log in; without a user they don't.
type Login struct{ Mechanism, User, Password, Token string }

func (l Login) options() ([]kgo.Opt, error) {
	auth := scram.Auth{User: l.User, Pass: l.Password}
	switch {
	case l.Token != "":
		return []kgo.Opt{kgo.SASL(oauth.Auth{Token: l.Token}.AsMechanism())}, nil
	case l.User == "":
		return nil, nil
	case l.Password == "":
		return nil, fmt.Errorf("there is no password for user %s; give it by -password-file FILE or by the variable CHRONIK_PASSWORD", l.User)
	}
	switch l.Mechanism {
	case "", "SCRAM-SHA-512":
		return []kgo.Opt{kgo.SASL(auth.AsSha512Mechanism())}, nil
	case "SCRAM-SHA-256":
		return []kgo.Opt{kgo.SASL(auth.AsSha256Mechanism())}, nil
	case "PLAIN":
		return []kgo.Opt{kgo.SASL(plain.Auth{User: l.User, Pass: l.Password}.AsMechanism())}, nil
	}
	return nil, fmt.Errorf("there is no mechanism %q; use SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN", l.Mechanism)
}

// ReadPassword returns the first line of a file, of the standard input for "-".
func ReadPassword(path string, stdin io.Reader) (string, error) {
	in := stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return "", fmt.Errorf("can't read the password: %w", err)
		}
		defer f.Close()
		in = f
	}
	line, err := bufio.NewReader(io.LimitReader(in, 64<<10)).ReadString('\n')
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", fmt.Errorf("no password is in the first line of %s (%v)", path, err)
	}
	return line, nil
}

// parseUser takes the words after "user".
func parseUser(args []string, stdin io.Reader) (action, error) {
	if len(args) == 0 {
		return nil, errors.New("admin user: what? add, delete or list")
	}
	fs := flag.NewFlagSet("user", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	file := fs.String("password-file", "-", "")
	iterations := fs.Int("iterations", sasl.MinIterations, "")
	if err := fs.Parse(args[1:]); err != nil {
		return nil, fmt.Errorf("admin user %s: %w", args[0], err)
	}
	switch words := fs.Args(); {
	case args[0] == "list" && len(words) == 0:
		return func(ctx context.Context, a *admin) error { return a.listUsers(ctx) }, nil
	case args[0] == "delete" && len(words) == 1:
		return func(ctx context.Context, a *admin) error { return a.deleteUser(ctx, words[0]) }, nil
	case args[0] == "add" && len(words) == 1:
		return func(ctx context.Context, a *admin) error {
			password, err := ReadPassword(*file, stdin)
			if err != nil {
				return err
			}
			return a.addUser(ctx, words[0], password, *iterations)
		}, nil
	}
	return nil, errors.New("admin user: write: user add [-password-file FILE] [-iterations N] NAME, user delete NAME, or user list")
}

// addUser sets a user's password for each mechanism of SCRAM, which also serves PLAIN.
func (a *admin) addUser(ctx context.Context, name, password string, iterations int) error {
	for _, h := range []sasl.Hash{sasl.SHA256, sasl.SHA512} {
		var random [sasl.SaltBytes]byte
		rand.Read(random[:])
		in := kmsg.NewAlterUserSCRAMCredentialsRequestUpsertion()
		in.Name, in.Mechanism, in.Iterations, in.Salt = name, int8(h), int32(iterations), sasl.Salt(random)
		if iterations >= sasl.MinIterations && iterations <= sasl.MaxIterations { // the broker refuses others
			in.SaltedPassword = sasl.SaltPassword(h, password, in.Salt, iterations)
		}
		req := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
		req.Upsertions = append(req.Upsertions, in)
		if err := a.alterUser(ctx, req); err != nil {
			return fmt.Errorf("user %s, %s: %w", name, h.Mechanism(), err)
		}
	}
	a.say("user %s can log in, as principal User:%s", name, name)
	return nil
}

func (a *admin) alterUser(ctx context.Context, req *kmsg.AlterUserSCRAMCredentialsRequest) error {
	resp, err := ask[*kmsg.AlterUserSCRAMCredentialsResponse](ctx, a, req)
	if err != nil {
		return err
	}
	for _, r := range resp.Results {
		if err := refusal(r.ErrorCode, r.ErrorMessage); err != nil {
			return err
		}
	}
	return nil
}

func (a *admin) describeUsers(ctx context.Context, names ...string) ([]kmsg.DescribeUserSCRAMCredentialsResponseResult, error) {
	req := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()
	for _, name := range names {
		in := kmsg.NewDescribeUserSCRAMCredentialsRequestUser()
		in.Name = name
		req.Users = append(req.Users, in)
	}
	resp, err := ask[*kmsg.DescribeUserSCRAMCredentialsResponse](ctx, a, req)
	if err != nil {
		return nil, err
	}
	return resp.Results, refusal(resp.ErrorCode, resp.ErrorMessage)
}

func (a *admin) deleteUser(ctx context.Context, name string) error {
	users, err := a.describeUsers(ctx, name)
	if err != nil {
		return err
	}
	for _, u := range users {
		if u.ErrorCode == kerr.ResourceNotFound.Code {
			return fmt.Errorf("there is no user %s", name)
		}
		for _, c := range u.CredentialInfos {
			in := kmsg.NewAlterUserSCRAMCredentialsRequestDeletion()
			in.Name, in.Mechanism = name, c.Mechanism
			req := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
			req.Deletions = append(req.Deletions, in)
			if err := a.alterUser(ctx, req); err != nil {
				return fmt.Errorf("user %s: %w", name, err)
			}
		}
	}
	a.say("user %s can't log in any more; connections that are there stay until their session ends (session_lifetime_ms)", name)
	return nil
}

func (a *admin) listUsers(ctx context.Context) error {
	users, err := a.describeUsers(ctx)
	if err != nil {
		return err
	}
	for _, u := range users {
		line := u.User
		for _, c := range u.CredentialInfos {
			line += fmt.Sprintf("  %s (%d iterations)", sasl.Hash(c.Mechanism).Mechanism(), c.Iterations)
		}
		a.say("%s", line)
	}
	if len(users) == 0 {
		a.say("there are no users")
	}
	return nil
}

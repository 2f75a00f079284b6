// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"chronik/tests/rig"
)

// certificateOf is the name of the brokers' certificate in its folder.
const certificateOf = "broker"

// newAuthorities makes three authorities, and a file with the first two.
func newAuthorities(dir string) (all []*rig.Authority, file string, err error) {
	var text []byte
	for _, name := range []string{"authority", "next", "stranger"} {
		a, err := rig.NewAuthority(dir, name)
		if err != nil {
			return nil, "", err
		}
		pem, err := os.ReadFile(a.File)
		if err != nil {
			return nil, "", err
		}
		if all = append(all, a); len(all) <= 2 {
			text = append(text, pem...)
		}
	}
	file = filepath.Join(dir, "both.crt")
	return all, file, os.WriteFile(file, text, 0o600)
}

// certificates replaces the certificate of all brokers again and again, also by one of another authority, which clients trust as
// well, and back, while a writer and a reader of a group go on, and new clients come. None of them may notice.
func (b *bench) certificates(ctx context.Context, c *client, topic string) (err error) {
	as := login{topic + "-user", passwordOf(topic + "-user")}
	if err := b.createTopic(ctx, topic, 3); err != nil {
		return err
	}
	if err := b.addUsers(ctx, as.user); err != nil {
		return err
	}
	if err := b.addRules(ctx, as.user, "WRITE TOPIC "+topic, "READ TOPIC "+topic, "READ GROUP "+topic); err != nil {
		return err
	}
	time.Sleep(500 * time.Millisecond) // until all brokers know
	var member, writer *process
	if c.memberAs != nil {
		if member, err = c.memberAs(as, "reader", topic, topic); err != nil {
			return err
		}
		defer member.kill()
		if writer, err = c.writerAs(as, "writer", topic, "1"); err != nil {
			return err
		}
		defer writer.kill()
	}
	order := []int{0, 1, 1, 0, 0}
	if b.spoil == "untrusted" {
		order[2] = 2
	}
	for _, authority := range order {
		if err := b.flows(ctx, member, writer); err != nil {
			return err
		}
		if err := b.replaceCertificate(ctx, authority); err != nil {
			return err
		}
		if out, err := c.secure(ctx, as, "produce", topic, topic); err != nil || troubled.MatchString(out) {
			return fmt.Errorf("a new client: %w: %s", err, out)
		}
	}
	if c.memberAs == nil {
		return nil
	}
	return errors.Join(b.flows(ctx, member, writer), ended(ctx, member, writer))
}

// troubled matches what clients say about errors.
var troubled = regexp.MustCompile(`(?i)error|exception|fail|refused|certificate|ssl|disconnect|timed? ?out`)

// flows waits until records go on to be written and read.
func (b *bench) flows(ctx context.Context, member, writer *process) error {
	if member == nil {
		return nil
	}
	before := len(member.got())
	return until(ctx, 30*time.Second, "the reader reads on", []*process{member, writer}, func() bool { return len(member.got()) > before+50 })
}

// ended ends a writer and a reader. All that was acknowledged was read, and neither has told of an error.
func ended(ctx context.Context, member, writer *process) error {
	if err := writer.stop(); err != nil {
		return err
	}
	if !endedWell(writer.err) {
		return fmt.Errorf("the writer failed (%w): %s", writer.err, strings.Join(writer.last, "\n"))
	}
	err := until(ctx, 30*time.Second, "every acknowledged record was read", []*process{member}, func() bool {
		read := make(map[string]bool)
		for _, r := range member.got() {
			read[r] = true
		}
		for _, r := range writer.written() {
			if !read[r] {
				return false
			}
		}
		return true
	})
	if err := errors.Join(err, member.stop()); err != nil {
		return err
	}
	for _, p := range []*process{member, writer} {
		if len(p.others) > 0 {
			return fmt.Errorf("the %s says: %s", p.name, strings.Join(p.others, "\n"))
		}
	}
	return nil
}

// replaceCertificate has an authority make another certificate, and waits until all brokers show it.
func (b *bench) replaceCertificate(ctx context.Context, authority int) error {
	file, _, err := b.secured.authorities[authority].Issue(certificateOf, time.Now().Add(24*time.Hour))
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(file, strings.TrimSuffix(file, ".crt")+".key")
	if err != nil {
		return err
	}
	if b.spoil == "restart" { // as if brokers didn't read certificates again
		for _, id := range b.cluster.Running() {
			if _, err := b.cluster.Stop(id); err != nil {
				return err
			}
			if err := b.cluster.Restart(ctx, id); err != nil {
				return err
			}
		}
	}
	config := &tls.Config{InsecureSkipVerify: true} // it is known which one it must be
	for _, addr := range strings.Split(b.secured.bootstrap, ",") {
		err := until(ctx, 15*time.Second, "broker "+addr+" shows the new certificate", nil, func() bool {
			conn, err := tls.Dial("tcp", addr, config)
			if err != nil {
				return false
			}
			defer conn.Close()
			return conn.ConnectionState().PeerCertificates[0].SerialNumber.Cmp(pair.Leaf.SerialNumber) == 0
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node/sasl"
)

// shapes are the texts that bytes could be printed as.
func shapes(secret []byte) []string {
	decimal := strings.Trim(fmt.Sprint(secret[:min(len(secret), 8)]), "[]")
	return []string{string(secret), fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), base64.StdEncoding.EncodeToString(secret), strings.Trim(fmt.Sprintf("%q", secret), `"`), decimal}
}

// Nothing that is described for people, neither inputs nor outputs nor events nor errors, has a password in it or what is kept of one.
func TestNoSecretIsDescribed(t *testing.T) {
	const password, wrong = "pa55word-of-alice", "wr0ng-passw0rd"
	var said strings.Builder
	o := newGuarded(t, nil)
	o.look = func(out *Output) {
		fmt.Fprintln(&said, strings.Join(DescribeOutput(out, 1000), "\n"))
		for i := range out.Events {
			fmt.Fprintf(&said, "%+v %+v\n", out.Events[i], out.Events[i].Audit)
		}
	}
	describe := func(frame []byte) []byte {
		fmt.Fprintln(&said, strings.Join(DescribeInput(&Input{Requests: []Request{{Conn: 1, Host: "/10.0.0.1", Frame: frame}}}, 1000), "\n"))
		return frame
	}
	users := upsert("alice 2 "+password+" 4096", "carol 9 "+password+" 4096", "dave 2 "+password+" 1")
	o.in("OPEN", 99, describe(kafka.AppendRequest(nil, 1, "", users)))
	o.in("OPEN", 99, describe(kafka.AppendRequest(nil, 1, "", kmsg.NewPtrDescribeUserSCRAMCredentialsRequest())))
	conn := ConnID(200)
	for _, mechanism := range sasl.Mechanisms() {
		for _, shown := range []string{password, wrong} {
			for _, headers := range []bool{true, false} {
				conn++
				s := &stranger{one: o, conn: conn, headers: headers}
				s.logIn(mechanism, "alice", shown)
			}
		}
	}
	rudely(o, conn, password, describe)
	secrets := [][]byte{[]byte(password), []byte(wrong), o.node.catalog.loginKey, o.node.secrets.key[:]}
	for _, u := range o.node.catalog.users {
		secrets = append(secrets, u.StoredKey, u.ServerKey)
	}
	for _, u := range users.Upsertions {
		secrets = append(secrets, u.SaltedPassword)
	}
	for _, id := range o.node.Groups() {
		v, _ := o.node.Inspect(id)
		fmt.Fprintf(&said, "%+v\n", v)
	}
	fmt.Fprintf(&said, "%+v %v\n", o.node.Stats(), o.node.Check(true))
	text := said.String()
	for _, secret := range secrets {
		for _, shape := range shapes(secret) {
			if i := strings.Index(text, shape); i >= 0 {
				t.Errorf("a secret is in %q", text[max(0, i-80):i+len(shape)])
			}
		}
	}
	if !strings.Contains(text, "alice") || !strings.Contains(text, "login failed") && !strings.Contains(text, "SASL_AUTHENTICATION_FAILED") {
		t.Error("nothing is described")
	}
}

// rudely shows a password in tokens that are none, and where no token belongs.
func rudely(o *one, conn ConnID, password string, describe func([]byte) []byte) {
	for _, token := range []string{"alice\x00" + password, "\x00alice\x00" + password + "\x00more", "bob\x00alice\x00" + password, password} {
		conn++
		s := &stranger{one: o, conn: conn, headers: true}
		s.handshake(sasl.Plain)
		s.token([]byte(token))
		conn++
		s = &stranger{one: o, conn: conn, headers: true} // who forgets the handshake
		s.on(conn, describe([]byte(token)))
	}
}

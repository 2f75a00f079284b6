// SPDX-License-Identifier: Apache-2.0

package sasl

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/sasl/scram"
	"pgregory.net/rapid"
)

// TestVector is the exchange of RFC 7677, section 3.
func TestVector(t *testing.T) {
	salt, _ := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	c := FromSalted(SHA256, SaltPassword(SHA256, "pencil", salt, 4096), salt, 4096)
	s := NewScram(SHA256, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", func(string) Credential { return c })
	for _, turn := range [][2]string{
		{
			"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
			"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
		},
		{
			"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
			"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
		},
	} {
		if s.User() != "" {
			t.Error("the user is named before the end")
		}
		got, err := s.Next([]byte(turn[0]))
		if err != nil || string(got) != turn[1] {
			t.Fatalf("%s: got %q, %v, want %q", turn[0], got, err, turn[1])
		}
	}
	if s.User() != "user" {
		t.Errorf("logged in as %q", s.User())
	}
	if _, err := s.Next(nil); err == nil || s.User() != "" {
		t.Errorf("a message after the end: %v, user %q", err, s.User())
	}
}

var hashes = rapid.SampledFrom([]Hash{SHA256, SHA512})

// text is a user's name or password, with what has a meaning in messages.
var text = rapid.StringMatching(`([a-zäß€,=]|=2C|=3D){1,12}`)

// TestAgainstClient lets franz-go's client log in with the right and with a wrong password.
func TestAgainstClient(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h, user, password := hashes.Draw(t, "hash"), text.Draw(t, "user"), text.Draw(t, "password")
		shown := password
		if rapid.Bool().Draw(t, "wrong") {
			shown = text.Draw(t, "shown")
		}
		salt := Salt([SaltBytes]byte(rapid.SliceOfN(rapid.Byte(), SaltBytes, SaltBytes).Draw(t, "salt")))
		c := FromSalted(h, SaltPassword(h, password, salt, MinIterations), salt, MinIterations)
		server := NewScram(h, "nonceOfTheServer", func(string) Credential { return c })
		auth := scram.Auth{User: user, Pass: shown}
		mechanism := auth.AsSha256Mechanism()
		if h == SHA512 {
			mechanism = auth.AsSha512Mechanism()
		}
		client, message, err := mechanism.Authenticate(context.Background(), "host")
		for done := false; err == nil && !done; {
			var answer []byte
			if answer, err = server.Next(message); err == nil {
				done, message, err = client.Challenge(answer)
			}
		}
		switch {
		case shown == password && (err != nil || server.User() != user):
			t.Fatalf("%q with the right password is %q: %v", user, server.User(), err)
		case shown != password && (!errors.Is(err, ErrCredentials) || server.User() != ""):
			t.Fatalf("%q with a wrong password is %q: %v", user, server.User(), err)
		case c.Matches(shown) != (shown == password):
			t.Fatalf("password %q matches that of %q", shown, password)
		}
	})
}

// TestFirstMessage is a table of what a client may begin with.
func TestFirstMessage(t *testing.T) {
	for message, user := range map[string]string{
		"n,,n=user,r=abc":                         "user",
		"y,,n=user,r=abc":                         "user",
		"n,a=user,n=user,r=abc":                   "user",
		"n,a=a=2Cb,n=a=2Cb,r=abc":                 "a,b",
		"n,,n==3D2C,r=abc":                        "=2C",
		"n,,n=jörg,r=abc":                         "jörg",
		"n,,n=user,r=abc,ext=1":                   "user",
		"n,,n=user,r=abc,tokenauth=false":         "user",
		"n,,n=user,r=abc,tokenauth=true":          "",
		"n,,n=user,r=abc,tokenauth=TRUE":          "",
		"p=tls-server-end-point,,n=user,r=abc":    "",
		"n,a=other,n=user,r=abc":                  "",
		"n,b=user,n=user,r=abc":                   "",
		"n,,m=must,n=user,r=abc":                  "",
		"n,,n=,r=abc":                             "",
		"n,,n=us=er,r=abc":                        "",
		"n,,n=user,r=":                            "",
		"n,,n=user,r=a c":                         "",
		"n,,n=user":                               "",
		"n,,r=abc,n=user":                         "",
		"n,,n=user,r=abc,1=2":                     "",
		"n,,n=user,r=abc,":                        "",
		"n,n=user,r=abc":                          "",
		"x,,n=user,r=abc":                         "",
		"n,,n=us\x00er,r=abc":                     "",
		"n,,n=us\xffer,r=abc":                     "",
		"":                                        "",
		"\x00user\x00password":                    "",
		"n,,n=" + strings.Repeat("=", 9) + ",r=x": "",
	} {
		asked := ""
		s := NewScram(SHA256, "xyz", func(user string) Credential {
			asked = user
			return Credential{Hash: SHA256, Salt: []byte("salt"), Iterations: 5000}
		})
		answer, err := s.Next([]byte(message))
		if asked != user || (err == nil) != (user != "") {
			t.Errorf("%q: asked for %q, %v; want %q", message, asked, err, user)
		}
		if want := "r=abcxyz,s=c2FsdA==,i=5000"; err == nil && string(answer) != want {
			t.Errorf("%q: answered %q, want %q", message, answer, want)
		}
	}
}

// TestFinalMessage refuses final messages that prove nothing about this exchange.
func TestFinalMessage(t *testing.T) {
	for _, message := range []string{
		"c=biws,r=abcxyz", "c=biws,r=abcxyz,p=", "c=biws,r=abcxyz,p=AAAA", "c=biws,r=abc,p=" + zeros, "c=biws,r=abcxyz,p=" + zeros,
		"c=eSws,r=abcxyz,p=" + zeros, "c=biws,r=abcxyz,,p=" + zeros, "r=abcxyz,p=" + zeros, "c=biws,r=abcxyz,p=" + zeros + "\n", "",
	} {
		s := NewScram(SHA256, "xyz", func(user string) Credential { return Unknown([]byte("key"), user, SHA256, MinIterations) })
		if _, err := s.Next([]byte("n,,n=user,r=abc")); err != nil {
			t.Fatal(err)
		}
		answer, err := s.Next([]byte(message))
		if err == nil || answer != nil || s.User() != "" {
			t.Errorf("%q: answered %q, user %q", message, answer, s.User())
		}
		proof, ok := strings.CutPrefix(message, "c=biws,r=abcxyz,p=")
		if wrongProof := ok && proof != zeros+"\n"; errors.Is(err, ErrCredentials) != wrongProof {
			t.Errorf("%q: %v", message, err)
		}
	}
}

var zeros = base64.StdEncoding.EncodeToString(make([]byte, 32))

// TestDoubledNonce is a client as librdkafka 2.0: it has its nonce twice in the final message, and means that.
func TestDoubledNonce(t *testing.T) {
	salted := SaltPassword(SHA256, "pencil", []byte("salt"), MinIterations)
	s := NewScram(SHA256, "xyz", func(string) Credential { return FromSalted(SHA256, salted, []byte("salt"), MinIterations) })
	first, err := s.Next([]byte("n,,n=user,r=abc"))
	if err != nil {
		t.Fatal(err)
	}
	final := "c=biws,r=abcabcxyz"
	key := SHA256.hmac(salted, []byte("Client Key"))
	proof := SHA256.hmac(SHA256.sum(key), []byte("n=user,r=abc,"+string(first)+","+final))
	for i := range proof {
		proof[i] ^= key[i]
	}
	if _, err := s.Next([]byte(final + ",p=" + base64.StdEncoding.EncodeToString(proof))); err != nil || s.User() != "user" {
		t.Errorf("logged in as %q: %v", s.User(), err)
	}
}

// TestUnknown compares the credential of a user that there isn't with one that there is.
func TestUnknown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h, user := hashes.Draw(t, "hash"), text.Draw(t, "user")
		a, b := Unknown([]byte("key"), user, h, MinIterations), Unknown([]byte("key"), user, h, MinIterations)
		other := Unknown([]byte("another key"), user, h, MinIterations)
		if wrong := a.Check(); wrong != "" {
			t.Fatal(wrong)
		}
		if !bytes.Equal(a.Salt, b.Salt) || bytes.Equal(a.Salt, other.Salt) || bytes.Equal(a.StoredKey, other.StoredKey) {
			t.Fatalf("salts %q, %q and with another key %q", a.Salt, b.Salt, other.Salt)
		}
		if len(a.Salt) < 20 || len(a.Salt) > 26 {
			t.Fatalf("a salt of %d bytes", len(a.Salt))
		}
		if n := Pick([]byte("key"), user, h, 3); n < 0 || n > 2 || n != Pick([]byte("key"), user, h, 3) {
			t.Fatalf("picked %d of 3", n)
		}
	})
}

func TestPlain(t *testing.T) {
	for token, want := range map[string][2]string{
		"\x00alice\x00secret":      {"alice", "secret"},
		"alice\x00alice\x00secret": {"alice", "secret"},
		"bob\x00alice\x00secret":   {},
		"\x00alice\x00":            {},
		"\x00\x00secret":           {},
		"alice\x00secret":          {},
		"\x00alice\x00sec\x00ret":  {},
		"\x00alice\x00\xff":        {},
		"":                         {},
	} {
		user, password, err := ParsePlain([]byte(token))
		if got := [2]string{user, password}; got != want || (err == nil) != (want != [2]string{}) {
			t.Errorf("%q: %q, %v", token, got, err)
		}
	}
}

// FuzzScram sends anything at all; only who knows the password gets in.
func FuzzScram(f *testing.F) {
	f.Add([]byte("n,,n=user,r=abc"), []byte("c=biws,r=abcxyz,p="+zeros))
	f.Add([]byte("y,a=u,n=u,r=abc,x=1"), []byte("c=eSxhPXUs,r=abcxyz,x=1,p="+zeros))
	f.Fuzz(func(t *testing.T, first, final []byte) {
		s := NewScram(SHA256, "xyz", func(user string) Credential { return Unknown([]byte("key"), user, SHA256, MinIterations) })
		_, err := s.Next(first)
		_, err2 := s.Next(final)
		if err2 == nil || s.User() != "" || err != nil && errors.Is(err2, ErrCredentials) {
			t.Fatalf("user %q: %v, %v", s.User(), err, err2)
		}
		if _, _, err := ParsePlain(first); err == nil && bytes.Count(first, []byte{0}) != 2 {
			t.Fatal("taken for PLAIN")
		}
	})
}

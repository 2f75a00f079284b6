// SPDX-License-Identifier: Apache-2.0

package sasl

import (
	"bytes"
	"crypto/hmac"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Scram is one exchange of RFC 5802 on the server's side: the client says who it is (first message), is told salt, iterations and
// a nonce, proves that it knows the password (final message), and is shown that the server knows its credential.
//
// Channel binding isn't served: a client that demands it (p) is refused, one that would like it (y) isn't. Extensions are passed
// over as the RFC says, but for those that must be understood (m), and for Kafka's delegation tokens.
type Scram struct {
	hash  Hash
	nonce string // the server's part
	find  func(user string) Credential

	state      int
	user       string
	credential Credential
	gs2        string // the beginning of the first message, with which the final one must begin
	bare       string // the rest
	first      string // the answer to it
	both       string // nonce of the client and ours
}

const (
	scramFirst = iota
	scramFinal
	scramDone
	scramFailed
)

// NewScram begins an exchange. The nonce must never have been used before, and nobody can foretell it. find returns what is
// known of a user; for one that there isn't see Unknown.
func NewScram(h Hash, nonce string, find func(user string) Credential) *Scram {
	return &Scram{hash: h, nonce: nonce, find: find}
}

// User is who has logged in; "" before that.
func (s *Scram) User() string {
	if s.state == scramDone {
		return s.user
	}
	return ""
}

// Claims is who the client says it is.
func (s *Scram) Claims() string { return s.user }

// Next takes a message of the client and returns the answer. After an error there is nothing more to say.
func (s *Scram) Next(message []byte) (answer []byte, err error) {
	switch s.state {
	case scramFirst:
		answer, err = s.takeFirst(message)
		s.state = scramFinal
	case scramFinal:
		answer, err = s.takeFinal(message)
		s.state = scramDone
	default:
		err = errors.New("the exchange is over")
	}
	if err != nil {
		*s = Scram{state: scramFailed, user: s.user}
		return nil, err
	}
	return answer, nil
}

// takeFirst takes
//
//	gs2-header: ("n" / "y") "," ["a=" name] ","
//	bare:       "n=" name "," "r=" nonce *("," extension)
func (s *Scram) takeFirst(message []byte) ([]byte, error) {
	if !utf8.Valid(message) || bytes.IndexByte(message, 0) >= 0 {
		return nil, errors.New("the first message isn't text")
	}
	parts := strings.SplitN(string(message), ",", 3)
	if len(parts) != 3 {
		return nil, errors.New("the first message has no header")
	}
	switch {
	case strings.HasPrefix(parts[0], "p="):
		return nil, errors.New("channel binding isn't served")
	case parts[0] != "n" && parts[0] != "y":
		return nil, errors.New("the first message has an unknown header")
	}
	s.gs2, s.bare = parts[0]+","+parts[1]+",", parts[2]
	nonce, err := s.takeBare()
	if err != nil {
		return nil, err
	}
	if as, err := actAs(parts[1]); err != nil || as != "" && as != s.user {
		return nil, errAuthzid
	}
	s.credential = s.find(s.user)
	s.both = nonce + s.nonce
	s.first = fmt.Sprintf("r=%s,s=%s,i=%d", s.both, base64.StdEncoding.EncodeToString(s.credential.Salt), s.credential.Iterations)
	return []byte(s.first), nil
}

func (s *Scram) takeBare() (nonce string, err error) {
	fields := strings.Split(s.bare, ",")
	if len(fields) < 2 || !strings.HasPrefix(fields[0], "n=") || !strings.HasPrefix(fields[1], "r=") {
		return "", errors.New("the first message has no name and nonce; mandatory extensions aren't known")
	}
	if s.user, err = unescape(fields[0][2:]); err != nil {
		return "", err
	}
	if nonce = fields[1][2:]; nonce == "" || strings.ContainsFunc(nonce, func(r rune) bool { return r < 0x21 || r > 0x7e }) {
		return "", errors.New("the client's nonce isn't printable")
	}
	for _, f := range fields[2:] {
		if !isExtension(f) {
			return "", errors.New("the first message has a malformed extension")
		}
		if name, value, _ := strings.Cut(f, "="); name == "tokenauth" && strings.EqualFold(value, "true") {
			return "", errors.New("delegation tokens aren't served")
		}
	}
	return nonce, nil
}

// actAs is the name for which a client wants to act.
func actAs(field string) (string, error) {
	if field == "" {
		return "", nil
	}
	if !strings.HasPrefix(field, "a=") {
		return "", errors.New("the header has an unknown field")
	}
	return unescape(field[2:])
}

// isExtension reports whether a field is letters, an equals sign and a value.
func isExtension(field string) bool {
	name, value, ok := strings.Cut(field, "=")
	return ok && name != "" && value != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// unescape reads a name, in which =2C stands for a comma and =3D for an equals sign.
func unescape(name string) (string, error) {
	plain := strings.NewReplacer("=2C", ",", "=3D", "=").Replace(name)
	if name == "" || strings.Count(name, "=") != strings.Count(name, "=2C")+strings.Count(name, "=3D") {
		return "", errors.New("the user's name is malformed")
	}
	return plain, nil
}

// takeFinal takes "c=" header "," "r=" nonce *("," extension) "," "p=" proof, header and proof in base 64.
func (s *Scram) takeFinal(message []byte) ([]byte, error) {
	text := string(message)
	at := strings.LastIndex(text, ",p=")
	if at < 0 {
		return nil, errors.New("the final message has no proof")
	}
	fields := strings.Split(text[:at], ",")
	if len(fields) < 2 || !strings.HasPrefix(fields[0], "c=") || !strings.HasPrefix(fields[1], "r=") {
		return nil, errors.New("the final message has no header and nonce")
	}
	for _, f := range fields[2:] {
		if !isExtension(f) {
			return nil, errors.New("the final message has a malformed extension")
		}
	}
	proof, err := base64.StdEncoding.Strict().DecodeString(text[at+3:])
	header, headerErr := base64.StdEncoding.Strict().DecodeString(fields[0][2:])
	switch {
	case err != nil || headerErr != nil || strings.ContainsAny(text, "\r\n"): // which the decoder passes over
		return nil, errors.New("the final message isn't in base 64")
	case string(header) != s.gs2 && (string(header) != "n,," || s.gs2[0] != 'n'): // franz-go leaves out whom it acts for
		return nil, errors.New("the final message is for another channel")
	case !strings.HasSuffix(fields[1][2:], s.both): // librdkafka of kcat 1.7 has its own nonce twice, and Kafka allows that
		return nil, errors.New("the final message has another nonce")
	}
	said := []byte(s.bare + "," + s.first + "," + text[:at])
	if !s.proves(proof, said) {
		return nil, ErrCredentials
	}
	return []byte("v=" + base64.StdEncoding.EncodeToString(s.hash.hmac(s.credential.ServerKey, said))), nil
}

// proves reports whether a proof shows the key whose hash is stored.
func (s *Scram) proves(proof, said []byte) bool {
	if len(proof) != s.hash.Size() {
		return false
	}
	key := make([]byte, len(proof))
	subtle.XORBytes(key, proof, s.hash.hmac(s.credential.StoredKey, said))
	return hmac.Equal(s.hash.sum(key), s.credential.StoredKey)
}

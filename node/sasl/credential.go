// SPDX-License-Identifier: Apache-2.0

// Package sasl is the server's side of logins: PLAIN (RFC 4616), SCRAM-SHA-256 (RFC 7677), SCRAM-SHA-512, and the form of OAUTHBEARER (RFC
// 7628), as Kafka speaks them. Bytes of the client go in, bytes for it come out. It knows no connection, no clock and no random source: whoever uses it
// brings nonces and knows the users.
//
// What is kept of a password is a Credential, from which the password can't be read back, and with which nobody can log in as
// the user. Passwords are taken as they are, in UTF-8: like Kafka, this does no SASLprep.
package sasl

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"hash"
	"math/big"
)

// The mechanisms, by the names that clients ask for.
const (
	Plain       = "PLAIN"
	ScramSHA256 = "SCRAM-SHA-256"
	ScramSHA512 = "SCRAM-SHA-512"
)

// Mechanisms lists those that go by a password, the best first.
func Mechanisms() []string { return []string{ScramSHA512, ScramSHA256, Plain} }

// Hash is the hash function of a credential, by Kafka's numbers of the SCRAM mechanisms.
type Hash int8

// The hashes.
const (
	SHA256 Hash = 1
	SHA512 Hash = 2
)

// HashOf returns the hash of a SCRAM mechanism.
func HashOf(mechanism string) (Hash, bool) {
	switch mechanism {
	case ScramSHA256:
		return SHA256, true
	case ScramSHA512:
		return SHA512, true
	}
	return 0, false
}

// Known reports whether there is such a hash.
func (h Hash) Known() bool { return h == SHA256 || h == SHA512 }

// Mechanism is the SCRAM mechanism that uses the hash.
func (h Hash) Mechanism() string {
	if h == SHA512 {
		return ScramSHA512
	}
	return ScramSHA256
}

// Size is how many bytes the hash has.
func (h Hash) Size() int {
	if h == SHA512 {
		return sha512.Size
	}
	return sha256.Size
}

func (h Hash) new() hash.Hash {
	if h == SHA512 {
		return sha512.New()
	}
	return sha256.New()
}

func (h Hash) sum(data []byte) []byte {
	d := h.new()
	d.Write(data)
	return d.Sum(nil)
}

func (h Hash) hmac(key, data []byte) []byte {
	mac := hmac.New(h.new, key)
	mac.Write(data)
	return mac.Sum(nil)
}

// Kafka's bounds of the iterations of PBKDF2. The least is also what its tools use.
const (
	MinIterations = 4096
	MaxIterations = 16384
)

// Credential is what a server keeps of a password.
type Credential struct {
	Hash       Hash
	Salt       []byte
	StoredKey  []byte
	ServerKey  []byte
	Iterations int
}

// Check reports what no credential can be, "" if it can be one.
func (c *Credential) Check() string {
	switch {
	case !c.Hash.Known():
		return "a credential of an unknown mechanism"
	case len(c.StoredKey) != c.Hash.Size() || len(c.ServerKey) != c.Hash.Size():
		return "a credential with keys of another length than its hash"
	case c.Iterations < MinIterations || c.Iterations > MaxIterations:
		return "a credential with too few or too many iterations"
	}
	return ""
}

// SaltPassword is the costly step from a password to its keys, some milliseconds.
func SaltPassword(h Hash, password string, salt []byte, iterations int) []byte {
	key, err := pbkdf2.Key(h.new, password, salt, iterations, h.Size())
	if err != nil { // only for lengths that no hash has, or for salts of a few bytes where FIPS 140 is enforced
		return make([]byte, h.Size())
	}
	return key
}

// FromSalted makes the credential of a salted password.
func FromSalted(h Hash, salted, salt []byte, iterations int) Credential {
	return Credential{
		Hash: h, Salt: salt, Iterations: iterations,
		StoredKey: h.sum(h.hmac(salted, []byte("Client Key"))),
		ServerKey: h.hmac(salted, []byte("Server Key")),
	}
}

// Matches reports whether a password is that of the credential. It is as costly as SaltPassword, whatever comes out.
func (c *Credential) Matches(password string) bool { return c.MatchesBy(password, SaltPassword) }

// MatchesBy does the same for credentials that were made with something else than SaltPassword.
func (c *Credential) MatchesBy(password string, salt func(Hash, string, []byte, int) []byte) bool {
	shown := FromSalted(c.Hash, salt(c.Hash, password, c.Salt, c.Iterations), c.Salt, c.Iterations)
	return hmac.Equal(shown.StoredKey, c.StoredKey)
}

// SaltBytes is how many random bytes make a salt.
const SaltBytes = 17

// Salt makes one that looks as those of Kafka's tools do: a random number in base 36.
func Salt(random [SaltBytes]byte) []byte {
	random[0] &= 3 // 130 bits
	return []byte(new(big.Int).SetBytes(random[:]).Text(36))
}

// Unknown makes up the credential of a user that there isn't. No password has it. It is always the same for a user, so that a
// stranger can't tell it from that of a user that there is; and it can't be foretold without the key.
func Unknown(key []byte, user string, h Hash, iterations int) Credential {
	name := append([]byte{byte(h)}, user...)
	draw := SHA512.hmac(key, append([]byte("salt"), name...))
	return Credential{
		Hash: h, Iterations: iterations,
		Salt:      Salt([SaltBytes]byte(draw[:SaltBytes])),
		StoredKey: SHA512.hmac(key, append([]byte("stored"), name...))[:h.Size()],
		ServerKey: SHA512.hmac(key, append([]byte("server"), name...))[:h.Size()],
	}
}

// Pick draws a number below n that is always the same for a user.
func Pick(key []byte, user string, h Hash, n int) int {
	draw := SHA512.hmac(key, append([]byte{'p', 'i', 'c', 'k', byte(h)}, user...))
	return int(binary.BigEndian.Uint64(draw) % uint64(n))
}

// ErrCredentials says that a user and a password don't belong together; that there is no such user is told alike.
var ErrCredentials = errors.New("invalid credentials")

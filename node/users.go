// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/kafka"
	"chronik/node/sasl"
)

// Users are state of the catalog. There is no more of a user than its credentials, one for each mechanism of SCRAM (KIP-554),
// from which the password can't be read back; PLAIN goes by the same.

const (
	maxCredentials = 10_000
	maxUserName    = 255     // bytes
	maxSalt        = 1 << 10 // bytes
	loginKeyBytes  = sha256.Size
)

// userCredential is what is kept of a user's password for one mechanism. It is never changed, only replaced.
type userCredential struct {
	Name string
	sasl.Credential
}

// changeUser sets the credential of a user for a mechanism, or deletes it.
type changeUser struct {
	Name string
	Hash sasl.Hash
	Set  *sasl.Credential `json:",omitempty"` // nil: delete
	// Key becomes catalog.loginKey if there is none.
	Key []byte `json:",omitempty"`
	// First refuses the change if there is a user already, or was one.
	First bool `json:",omitempty"`
}

// FirstUser is the user that a cluster begins with, so that somebody can log in and make others.
type FirstUser struct {
	Name       string
	Credential sasl.Credential
}

// NewFirstUser makes one. The random bytes are for the salt of its password.
func NewFirstUser(name, password string, random [sasl.SaltBytes]byte) *FirstUser {
	salt := sasl.Salt(random)
	return &FirstUser{name, sasl.FromSalted(sasl.SHA512, sasl.SaltPassword(sasl.SHA512, password, salt, sasl.MinIterations), salt, sasl.MinIterations)}
}

// makeFirstUser is called when this broker knows the catalog. Of several brokers that do it, one succeeds.
func (n *Node) makeFirstUser() {
	u := n.cfg.FirstUser
	if u == nil || n.catalog.loginKey != nil {
		return
	}
	cmd := &changeUser{Name: u.Name, Hash: u.Credential.Hash, Set: &u.Credential, Key: n.secrets.draw(), First: true}
	n.commands.submit(command{ChangeUser: cmd}, func(commandResult) {})
}

func (u *changeUser) check() string {
	switch {
	case checkUserName(u.Name) != nil:
		return checkUserName(u.Name).Error()
	case !u.Hash.Known():
		return "a credential of an unknown mechanism"
	case u.Set == nil:
		return ""
	case u.Set.Hash != u.Hash || len(u.Set.Salt) > maxSalt || len(u.Key) != loginKeyBytes:
		return "a credential of another mechanism, with too long a salt, or without a key"
	}
	return u.Set.Check()
}

// checkUserName refuses what clients can't log in with.
func checkUserName(name string) error {
	switch {
	case name == "":
		return kafka.Errorf(kerr.UnacceptableCredential, "Username must not be empty")
	case len(name) > maxUserName || !utf8.ValidString(name) || strings.ContainsRune(name, 0):
		return kafka.Errorf(kerr.UnacceptableCredential, "the name of a user has at most %d bytes of UTF-8, none of them zero", maxUserName)
	}
	return nil
}

func (c *catalog) changeUser(cmd *changeUser) error {
	i, was := c.findCredential(cmd.Name, cmd.Hash)
	switch {
	case cmd.First && c.loginKey != nil:
		return kafka.Errorf(kerr.DuplicateResource, "the cluster has had users before")
	case was == nil && cmd.Set == nil:
		return kafka.Errorf(kerr.ResourceNotFound, "Attempt to delete a user credential that does not exist")
	case was == nil && len(c.users) >= maxCredentials:
		return kafka.Errorf(kerr.PolicyViolation, "there are %d credentials of users, the most that the cluster keeps; delete some first", len(c.users))
	case was != nil:
		c.users = slices.Delete(c.users, i, i+1)
	}
	if cmd.Set == nil {
		return nil
	}
	c.users = slices.Insert(c.users, i, &userCredential{cmd.Name, *cmd.Set})
	if c.loginKey == nil {
		c.loginKey = cmd.Key
	}
	return nil
}

// findCredential returns a credential, nil if there is none, and where it is or would be.
func (c *catalog) findCredential(name string, h sasl.Hash) (int, *userCredential) {
	i, there := slices.BinarySearchFunc(c.users, userCredential{Name: name, Credential: sasl.Credential{Hash: h}}, func(a *userCredential, b userCredential) int {
		return compareCredentials(a, &b)
	})
	if !there {
		return i, nil
	}
	return i, c.users[i]
}

func compareCredentials(a, b *userCredential) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.Hash, b.Hash))
}

// credentialOf returns what is known of a user's password. Of a user that there isn't it makes something up, which is the same
// on all brokers, and remains the same after a restart: the key of what is made up came with the first user.
func (c *catalog) credentialOf(name string, h sasl.Hash) sasl.Credential {
	if _, u := c.findCredential(name, h); u != nil {
		return u.Credential
	}
	iterations := sasl.MinIterations
	if len(c.users) > 0 { // as many as one of those that there are
		iterations = c.users[sasl.Pick(c.loginKey, name, h, len(c.users))].Iterations
	}
	return sasl.Unknown(c.loginKey, name, h, iterations)
}

// passwordOf does the same for PLAIN, which may use the credential of either mechanism.
func (c *catalog) passwordOf(name string) sasl.Credential {
	if _, strong := c.findCredential(name, sasl.SHA512); strong == nil {
		if _, u := c.findCredential(name, sasl.SHA256); u != nil {
			return u.Credential
		}
	}
	return c.credentialOf(name, sasl.SHA512)
}

// Password is what the password of a user is compared with.
type Password struct{ credential sasl.Credential }

// Matches compares one, which is costly on purpose.
func (p *Password) Matches(shown string) bool { return p.credential.Matches(shown) }

// PasswordOf is for logins that don't come in by a Kafka request. Of a user that there isn't it is made up.
func (n *Node) PasswordOf(user string) Password { return Password{n.catalog.passwordOf(user)} }

// secrets draws what nobody can foretell who doesn't know the key.
type secrets struct {
	key   [sha256.Size]byte
	drawn uint64
}

// newSecrets takes the key from the world; in tests there may be none.
func (c *Config) newSecrets() secrets {
	if c.LoginSecret != [sha256.Size]byte{} {
		return secrets{key: c.LoginSecret}
	}
	return secrets{key: sha256.Sum256(binary.BigEndian.AppendUint64(nil, c.Seed))}
}

func (s *secrets) draw() []byte {
	s.drawn++
	mac := hmac.New(sha256.New, s.key[:])
	mac.Write(binary.BigEndian.AppendUint64(nil, s.drawn))
	return mac.Sum(nil)
}

// checkUsers looks at the order of the credentials, and whether each can be one.
func (c *catalog) checkUsers() error {
	for _, u := range c.users {
		if wrong := u.Check(); wrong != "" || checkUserName(u.Name) != nil {
			return fmt.Errorf("user %.60q has %s", u.Name, wrong)
		}
	}
	return cmp.Or(
		ascending("users", c.users, compareCredentials),
		broken(len(c.users) == 0 || len(c.loginKey) == loginKeyBytes, "users come with a key"),
	)
}

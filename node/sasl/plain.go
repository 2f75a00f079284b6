// SPDX-License-Identifier: Apache-2.0

package sasl

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// refusal is what is wrong with a message, in the words of Kafka.
type refusal string

func (r refusal) Error() string { return string(r) }

const (
	errNotText  refusal = "Invalid SASL/PLAIN response: it isn't UTF-8"
	errNoUser   refusal = "Authentication failed: username not specified"
	errNoSecret refusal = "Authentication failed: password not specified"
	errAuthzid  refusal = "Authentication failed: Client requested an authorization id that is different from username"
)

// ParsePlain takes the only message of PLAIN apart: who it is to act as, who logs in, and the password, with a zero byte between
// them. Nobody acts for somebody else.
func ParsePlain(token []byte) (user, password string, err error) {
	parts := strings.Split(string(token), "\x00")
	switch {
	case len(parts) != 3:
		return "", "", refusal(fmt.Sprintf("Invalid SASL/PLAIN response: expected 3 tokens, got %d", min(len(parts), 4)))
	case !utf8.Valid(token):
		return "", "", errNotText
	case parts[1] == "":
		return "", "", errNoUser
	case parts[2] == "":
		return "", "", errNoSecret
	case parts[0] != "" && parts[0] != parts[1]:
		return "", "", errAuthzid
	}
	return parts[1], parts[2], nil
}

// SPDX-License-Identifier: Apache-2.0

package sasl

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// What is wrong with a message, about in the words of Kafka.
var (
	errTokens   = errors.New("a SASL/PLAIN response has 3 tokens")
	errNoUser   = errors.New("username not specified")
	errNoSecret = errors.New("password not specified")
	errAuthzid  = errors.New("client requested an authorization id that is different from username")
)

// ParsePlain takes the only message of PLAIN apart: who it is to act as, who logs in, and the password, with a zero byte between
// them. Nobody acts for somebody else.
func ParsePlain(token []byte) (user, password string, err error) {
	parts := strings.Split(string(token), "\x00")
	switch {
	case len(parts) != 3 || !utf8.Valid(token):
		return "", "", errTokens
	case parts[1] == "":
		return "", "", errNoUser
	case parts[2] == "":
		return "", "", errNoSecret
	case parts[0] != "" && parts[0] != parts[1]:
		return "", "", errAuthzid
	}
	return parts[1], parts[2], nil
}

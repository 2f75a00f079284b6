// SPDX-License-Identifier: Apache-2.0

package sasl

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// Bearer is the mechanism of RFC 7628 in Kafka (KIP-255): the client shows a token that somebody else has issued.
const Bearer = "OAUTHBEARER"

// What is wrong with a message of OAUTHBEARER.
var (
	errBearerHead  = errors.New("invalid OAUTHBEARER client first message")
	errBearerToken = errors.New("the message has no bearer token")
	errBearerPairs = errors.New("the extensions aren't names and values")
)

// BearerAck is what a client says when it has read why it isn't let in.
const BearerAck = "\x01"

// ParseBearer takes the only message of OAUTHBEARER apart: who the client would like to act as, "" if it doesn't say, and the token.
// Extensions have to be well-formed; nothing here knows any.
func ParseBearer(message []byte) (authzid, token string, err error) {
	head, rest, found := strings.Cut(string(message), "\x01")
	after, isNone := strings.CutPrefix(head, "n,") // no channel binding
	name, ends := strings.CutSuffix(after, ",")
	if !found || !isNone || !ends || !utf8.Valid(message) {
		return "", "", errBearerHead
	}
	if name != "" {
		escaped, isName := strings.CutPrefix(name, "a=")
		if authzid, err = unescape(escaped); !isName || err != nil || strings.ContainsAny(escaped, ",\x00") {
			return "", "", errBearerHead
		}
	}
	pairs, ends := strings.CutSuffix(rest, "\x01\x01")
	if !ends {
		return "", "", errBearerHead
	}
	for pair := range strings.SplitSeq(pairs, "\x01") {
		key, value, found := strings.Cut(pair, "=")
		switch {
		case !found || !isWord(key) || !isText(value):
			return "", "", errBearerPairs
		case key != "auth":
		case token != "":
			return "", "", errBearerToken
		default:
			scheme, shown, _ := strings.Cut(value, " ")
			if token = strings.TrimLeft(shown, " "); !strings.EqualFold(scheme, "bearer") || token == "" || strings.ContainsFunc(token, notOfToken) {
				return "", "", errBearerToken
			}
		}
	}
	if token == "" {
		return "", "", errBearerToken
	}
	return authzid, token, nil
}

func isWord(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') })
}

func isText(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return (r < 0x20 || r > 0x7e) && !strings.ContainsRune("\t\r\n", r) })
}

// notOfToken is what RFC 6750 allows in no token.
func notOfToken(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-._~+/=", r)
}

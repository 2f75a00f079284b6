// SPDX-License-Identifier: Apache-2.0

package host

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
)

// The brokers of a cluster share a secret. Each end of a connection proves that it knows it, by an HMAC over what both
// have said, with a random number from either, so that a proof serves once. The secret itself never leaves a broker. It
// protects who may speak, not what is said: that takes TLS.

const (
	nonceBytes = 16
	proofBytes = sha256.Size

	// MinSecretBytes is the shortest secret that is taken: a proof lets a stranger try short ones at home.
	MinSecretBytes = 16
)

type nonce [nonceBytes]byte

func newNonce() (n nonce) {
	rand.Read(n[:])
	return n
}

// proof is what an end of a connection sends to show that it knows the secret. The end's name keeps the listener's
// proof from being sent back to it.
func proof(secret, end string, h hello, listener nonce) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(end))
	mac.Write(h.append(nil))
	mac.Write(listener[:])
	return mac.Sum(nil)
}

// challenge is the listener's half: it proves that it knows the first of the secrets, and returns which of them the dialer
// knows.
func challenge(sock io.ReadWriter, secrets []string, h hello) (secret string, known bool, err error) {
	own := newNonce()
	if _, err := sock.Write(append(own[:], proof(secrets[0], "listener", h, own)...)); err != nil {
		return "", false, err
	}
	var theirs [proofBytes]byte
	if _, err := io.ReadFull(sock, theirs[:]); err != nil {
		return "", false, err
	}
	secret, known = provenBy(theirs[:], secrets, "dialer", h, own)
	return secret, known, nil
}

// answerChallenge is the dialer's half. It proves that it knows the secret that the listener has shown to know.
func answerChallenge(sock io.ReadWriter, secrets []string, h hello) (secret string, err error) {
	var b [nonceBytes + proofBytes]byte
	if _, err := io.ReadFull(sock, b[:]); err != nil {
		return "", err
	}
	theirs := nonce(b[:nonceBytes])
	secret, known := provenBy(b[nonceBytes:], secrets, "listener", h, theirs)
	if !known {
		return "", errSecret
	}
	_, err = sock.Write(proof(secret, "dialer", h, theirs))
	return secret, err
}

// provenBy returns the secret that a proof shows.
func provenBy(shown []byte, secrets []string, end string, h hello, listener nonce) (string, bool) {
	for _, secret := range secrets {
		if hmac.Equal(shown, proof(secret, end, h, listener)) {
			return secret, true
		}
	}
	return "", false
}

var errSecret = errors.New("the other broker has another cluster secret: give all brokers the same peer_secret_file")

// maxSecrets bounds the secrets in a file: each costs a handshake an HMAC.
const maxSecrets = 4

// ReadSecrets returns the secrets in a file, one in each line that isn't empty, without white space around them.
func ReadSecrets(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("can't read the cluster secret: %w; `broker format` makes one on the first broker, copy it to the others", err)
	}
	var list []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if _, err := CheckSecret(line, path); err != nil {
			return nil, err
		}
		list = append(list, line)
	}
	if len(list) == 0 || len(list) > maxSecrets {
		return nil, fmt.Errorf("%s: it holds %d cluster secrets; write one in a line, or two while it changes, at most %d", path, len(list), maxSecrets)
	}
	return list, nil
}

// CheckSecret refuses a secret that could be guessed; where says where it was given.
func CheckSecret(secret, where string) (string, error) {
	if len(secret) < MinSecretBytes {
		return "", fmt.Errorf("%s: the cluster secret has %d bytes; write at least %d, for example 32 random hexadecimal digits", where, len(secret), MinSecretBytes)
	}
	return secret, nil
}

// MakeSecret writes a new secret to a file that only its owner can read, unless the file is there.
func MakeSecret(path string) (made bool, err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	var b [16]byte
	rand.Read(b[:])
	if _, err := f.WriteString(hex.EncodeToString(b[:]) + "\n"); err != nil {
		return false, err
	}
	return true, f.Sync()
}

// checkOpen refuses to listen for other brokers where strangers can reach it, without a secret.
func checkOpen(addr, secret string) error {
	if addr == "" || secret != "" {
		return nil
	}
	name, _, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(name); err == nil && (name == "localhost" || ip != nil && ip.IsLoopback()) {
		return nil
	}
	return fmt.Errorf("peer_listen is %s, which other machines may reach, and there is no cluster secret: whoever connects could take part in the cluster. "+
		"Set peer_secret_file, the same on all brokers (`broker format` makes one), or the variable CHRONIK_PEER_SECRET; without one, peer_listen must be a loopback address", addr)
}

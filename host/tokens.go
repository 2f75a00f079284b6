// SPDX-License-Identifier: Apache-2.0

package host

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
)

// minToken is how long a token is at least. It is looked for without a delay, so it must not be a word.
const minToken = 16

// tokens are those with which programs log in to the admin port, such as Prometheus: a line each of a file, with the principal
// before it. The file is read again as those of certificates are.
type tokens struct {
	file string
	line teller
	all  atomic.Pointer[map[[sha256.Size]byte]string] // principals
	seen [sha256.Size]byte
}

// openTokens reads the file for the first time; nil if there is none.
func openTokens(file string, log *slog.Logger) (*tokens, error) {
	if file == "" {
		return nil, nil
	}
	t := &tokens{file: file, line: teller{log: log}}
	_, err := t.read()
	return t, err
}

// CheckTokens says what is wrong with a file of tokens.
func CheckTokens(file string) error {
	_, err := openTokens(file, slog.New(slog.DiscardHandler))
	return err
}

// principal is who a token stands for. What is looked for is its hash, so how long that takes says nothing of others.
func (t *tokens) principal(token string) (string, bool) {
	if t == nil {
		return "", false
	}
	p, known := (*t.all.Load())[sha256.Sum256([]byte(token))]
	return p, known
}

// again looks whether the file has changed.
func (t *tokens) again() {
	switch changed, err := t.read(); {
	case err != nil:
		t.line.tell(slog.LevelWarn, "new tokens of the admin port aren't taken: those before them stay", err.Error())
	case changed:
		t.line.tell(slog.LevelInfo, "took the tokens of the admin port anew", "", slog.Int("tokens", len(*t.all.Load())))
	}
}

func (t *tokens) read() (changed bool, err error) {
	text, err := os.ReadFile(t.file)
	if err != nil {
		return false, fmt.Errorf("can't read the tokens: %w", err)
	}
	seen := sha256.Sum256(text)
	if t.all.Load() != nil && seen == t.seen {
		return false, nil
	}
	all, err := parseTokens(string(text))
	if err != nil {
		return false, fmt.Errorf("%s: %w", t.file, err)
	}
	t.seen = seen
	t.all.Store(&all)
	return true, nil
}

// parseTokens has no token in its errors.
func parseTokens(text string) (map[[sha256.Size]byte]string, error) {
	all, n := make(map[[sha256.Size]byte]string), 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		at := strings.LastIndexAny(line, " \t")
		if at < 0 || len(line)-at-1 < minToken || !strings.Contains(line[:at], ":") {
			return nil, fmt.Errorf("line %d isn't a principal and a token of at least %d letters, such as User:prometheus and 32 random hexadecimal digits", n, minToken)
		}
		all[sha256.Sum256([]byte(line[at+1:]))] = strings.TrimSpace(line[:at])
	}
	if len(all) == 0 {
		return nil, errors.New("no token is in it")
	}
	return all, nil
}

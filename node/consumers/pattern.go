// SPDX-License-Identifier: Apache-2.0

package consumers

import (
	"regexp"
	"regexp/syntax"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/kafka"
)

// Pattern is a regular expression that the names of topics have to match as a whole. Like Kafka's (RE2J) it is one
// of RE2: it takes time that is linear in a name's length and in the size of the expression.
type Pattern struct {
	re   *regexp.Regexp
	Size int // about its instructions
}

// Bounds of a regular expression, which is matched with the names of all topics. A repetition counts as often as it
// repeats: (\pL{100}){10} has a thousand instructions.
const (
	maxRegex     = 1 << 10
	maxRegexSize = 2 << 10
)

// TopicPattern compiles a regular expression.
func TopicPattern(regex string) (*Pattern, error) {
	p, err := compile(regex)
	if err != nil {
		return nil, kafka.Errorf(kerr.InvalidRegularExpression, "%v; write it in the syntax of RE2, in at most %d bytes", err, maxRegex)
	}
	return p, nil
}

func compile(regex string) (*Pattern, error) {
	if len(regex) > maxRegex {
		return nil, kafka.Errorf(kerr.InvalidRegularExpression, "it has %d bytes", len(regex))
	}
	parsed, err := syntax.Parse(regex, syntax.Perl)
	if err != nil {
		return nil, err
	}
	size := regexSize(parsed)
	if size > maxRegexSize {
		return nil, kafka.Errorf(kerr.InvalidRegularExpression, "with what it repeats it has a size of %d, the most is %d", size, maxRegexSize)
	}
	re, err := regexp.Compile(regex)
	if err != nil {
		return nil, err
	}
	re.Longest()
	return &Pattern{re, size}, nil
}

// regexSize is about how many instructions an expression takes when its repetitions are written out.
func regexSize(re *syntax.Regexp) int {
	size := 1
	if re.Op == syntax.OpLiteral {
		size = len(re.Rune)
	}
	for _, sub := range re.Sub {
		size += regexSize(sub)
	}
	if re.Op == syntax.OpRepeat {
		size *= max(re.Max, re.Min+1)
	}
	return size
}

// Matches reports whether all of a name matches. Of the matches that begin first the longest is looked for, so if
// the whole name is one, it is that.
func (p *Pattern) Matches(name string) bool {
	at := p.re.FindStringIndex(name)
	return at != nil && at[0] == 0 && at[1] == len(name)
}

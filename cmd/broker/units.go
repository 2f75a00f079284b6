// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Milliseconds.
const (
	minute  = 60 * 1000
	hour    = 60 * minute
	day     = 24 * hour
	forEver = 1000 * 365 * day // a bound, so that sums with the clock stay numbers
)

// unit is a word that can follow a number, and how much it stands for.
type unit struct {
	word  string
	times int64
}

// The units of bytes and of times, the largest first: numbers are shown in the first one that divides them. The
// last words are only understood.
var (
	byteUnits   = []unit{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"KB", 1e3}, {"B", 1}}
	milliUnits  = []unit{{"d", day}, {"h", hour}, {"min", minute}, {"m", minute}, {"s", 1000}, {"ms", 1}}
	binaryUnits = 4 // of byteUnits are shown
)

// limits says which numbers a setting can have, and in which units they can be given.
type limits struct {
	least, most int64
	units       []unit
	special     []int64 // outside of the range, with a meaning of their own
}

func between(least, most int64) limits { return limits{least: least, most: most} }
func size(least, most int64) limits    { return limits{least: least, most: most, units: byteUnits} }
func millis(least, most int64) limits  { return limits{least: least, most: most, units: milliUnits} }

// or allows one more number, which has a meaning of its own.
func (l limits) or(special int64) limits {
	l.special = append(slices.Clone(l.special), special)
	return l
}

// String is the range in words.
func (l limits) String() string {
	s := show(l.least, l.units) + " to " + show(l.most, l.units)
	for _, n := range l.special {
		s += " or " + strconv.FormatInt(n, 10)
	}
	return s
}

// unitName is the unit of a plain number.
func (l limits) unitName() string {
	if len(l.units) == 0 {
		return ""
	}
	if l.units[0].word == "d" {
		return "ms"
	}
	return "bytes"
}

// show writes a number the way that people read it, so that parse understands it.
func show(n int64, units []unit) string {
	shown := units[:min(len(units), binaryUnits)]
	if len(units) > 0 && units[0].word == "d" {
		shown = units
	}
	for _, u := range shown {
		if n > 0 && n%u.times == 0 {
			return strconv.FormatInt(n/u.times, 10) + u.word
		}
	}
	return strconv.FormatInt(n, 10)
}

// parse reads a number with or without a unit and checks that it is in range.
func (l limits) parse(text string) (int64, error) {
	digits := strings.TrimSpace(text)
	times := int64(1)
	if i := strings.IndexFunc(digits, func(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }); i > 0 {
		word := digits[i:]
		j := slices.IndexFunc(l.units, func(u unit) bool { return u.word == word })
		if j < 0 {
			return 0, l.unknownUnit(word)
		}
		digits, times = strings.TrimSpace(digits[:i]), l.units[j].times
	}
	n, err := strconv.ParseInt(strings.ReplaceAll(digits, "_", ""), 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, l.outOfRange()
	case err != nil && strings.Contains(digits, "."):
		return 0, fmt.Errorf("write a whole number: %s%s", l, l.example())
	case err != nil:
		return 0, fmt.Errorf("that is no number; write %s%s", l, l.example())
	}
	product := n * times
	if product/times != n || !slices.Contains(l.special, product) && (product < l.least || product > l.most) {
		return 0, l.outOfRange()
	}
	return product, nil
}

func (l limits) outOfRange() error {
	if name := l.unitName(); name != "" {
		return fmt.Errorf("out of range; write %s (a plain number counts %s)", l, name)
	}
	return fmt.Errorf("out of range; write %s", l)
}

func (l limits) unknownUnit(word string) error {
	if len(l.units) == 0 {
		return fmt.Errorf("this is a count and has no unit %q; write %s", word, l)
	}
	var words []string
	for _, u := range l.units {
		words = append(words, u.word)
	}
	return fmt.Errorf("there is no unit %q here; use %s", word, strings.Join(words, ", "))
}

func (l limits) example() string {
	switch l.unitName() {
	case "bytes":
		return ", for example 64MiB"
	case "ms":
		return ", for example 500ms or 7d"
	}
	return ""
}

// numeric is a setting that is a number: a flag.Value.
type numeric[T int | int64] struct {
	limits
	to *T
}

// number declares a setting that is a number.
func number[T int | int64](fs *flag.FlagSet, to *T, name string, value T, l limits, usage string) {
	*to = value
	fs.Var(&numeric[T]{l, to}, name, usage)
}

func (n *numeric[T]) String() string {
	if n == nil || n.to == nil {
		return "" // a zero value, which package flag makes
	}
	return show(int64(*n.to), n.units)
}

func (n *numeric[T]) Set(text string) error {
	v, err := n.parse(text)
	if err == nil {
		*n.to = T(v)
	}
	return err
}

func (n *numeric[T]) bounds() limits { return n.limits }

// boundsOf returns the range of a setting; false if it is no number.
func boundsOf(f *flag.Flag) (limits, bool) {
	b, ok := f.Value.(interface{ bounds() limits })
	if !ok {
		return limits{}, false
	}
	return b.bounds(), true
}

// rangeOf is what the table of settings says of a setting's range.
func rangeOf(f *flag.Flag) string {
	l, ok := boundsOf(f)
	return cmp.Or(map[bool]string{true: l.String()}[ok], map[string]string{"true": "true or false", "false": "true or false"}[f.DefValue], "text")
}

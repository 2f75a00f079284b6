// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// loadSettings puts a broker's configuration together: flags over environment over file over
// defaults.
func loadSettings(args, environ []string, warnings io.Writer) (*settings, error) {
	line, _ := newFlags() // for what the command line says; it is applied last
	if err := line.Parse(args); err != nil {
		return nil, explainFlag(line, err)
	}
	if line.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", line.Arg(0))
	}
	fs, s := newFlags()
	s.given, s.flags = make(map[string]string), fs
	if f := line.Lookup("config"); isGiven(line, "config") {
		if err := s.readFile(f.Value.String(), fs, warnings); err != nil {
			return nil, err
		}
	}
	if err := s.setFromEnv(fs, environ, warnings); err != nil {
		return nil, err
	}
	line.Visit(func(f *flag.Flag) {
		fs.Set(f.Name, f.Value.String()) // parsed once already
		s.given[keyOf(f.Name)] = "-" + f.Name
	})
	if err := s.level.UnmarshalText([]byte(s.LogLevel)); err != nil {
		return nil, fmt.Errorf("%s is %q; use debug, info, warn or error", s.where("log_level"), s.LogLevel)
	}
	if s.LogFormat != "text" && s.LogFormat != "json" {
		return nil, fmt.Errorf("%s is %q; use text or json", s.where("log_format"), s.LogFormat)
	}
	return s, nil
}

func isGiven(fs *flag.FlagSet, name string) (given bool) {
	fs.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	return given
}

func flagNames(fs *flag.FlagSet) (names []string) {
	fs.VisitAll(func(f *flag.Flag) { names = append(names, f.Name) })
	return names
}

// keyOf is a flag's name in a file, flagOf the other way round.
func keyOf(name string) string { return strings.ReplaceAll(name, "-", "_") }
func flagOf(key string) string { return strings.ReplaceAll(key, "_", "-") }

// where names a setting by the place where the user gave it.
func (s *settings) where(key string) string {
	if place, ok := s.given[key]; ok {
		return place
	}
	return key
}

// explainFlag adds the nearest flag to the error about an unknown one, and what to write.
func explainFlag(fs *flag.FlagSet, err error) error {
	if errors.Is(err, flag.ErrHelp) {
		return err
	}
	if name, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); ok {
		return fmt.Errorf("there is no flag -%s; did you mean -%s?", name, nearest(flagOf(name), flagNames(fs)))
	}
	return errors.New(strings.Replace(err.Error(), ": parse error", ": write true or false", 1))
}

// readFile takes settings from a TOML file; what the file leaves out keeps its default.
func (s *settings) readFile(path string, fs *flag.FlagSet, warnings io.Writer) error {
	if path == "" {
		return errors.New("-config names no file; leave it out for a broker without one")
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return fmt.Errorf("can't read the configuration: %s is a folder; name the file in it, for example %s", path, filepath.Join(path, "broker.toml"))
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() { // to read a pipe could take for ever
		return fmt.Errorf("can't read the configuration: %s is no regular file, but a pipe, socket or device; write the settings into a file and name that", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("can't read the configuration: %w", err)
	}
	var values map[string]toml.Primitive
	meta, err := toml.Decode(string(text), &values)
	if syntax, ok := errors.AsType[toml.ParseError](err); ok {
		return explainSyntax(path, syntax)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if len(values) == 0 {
		fmt.Fprintf(warnings, "broker: %s sets nothing; every setting has its default\n", path)
	}
	f := file{path: path, lines: strings.Split(string(text), "\n"), flags: fs, to: s}
	for _, key := range meta.Keys() {
		value, top := values[key[0]]
		if !top || len(key) > 1 && (key[0] == "members" || key[0] == "listeners") {
			continue
		}
		delete(values, key[0]) // an array of tables has its key once for each
		if err := f.take(&meta, key[0], value); err != nil {
			return err
		}
	}
	for _, place := range []*string{&s.Dir, &s.PeerSecretFile, &s.FirstPasswordFile, &s.MetricsTokenFile, &s.OAuth.KeysFile, &s.OAuth.CAFile} {
		if *place != "" && !filepath.IsAbs(*place) {
			*place = filepath.Join(filepath.Dir(path), *place)
		}
	}
	absolute(filepath.Dir(path), slices.Concat(s.TLS.fields(), s.peerTLSFiles(), s.metricsTLSFiles()))
	return nil
}

// explainSyntax adds what to write to the parser's errors.
func explainSyntax(path string, err toml.ParseError) error {
	switch {
	case strings.Contains(err.Message, "already been defined"):
		return fmt.Errorf("%s:%d: %s; write it once", path, err.Position.Line, strings.TrimSuffix(err.Message, "."))
	case strings.Contains(err.Message, "out of range"):
		return fmt.Errorf("%s:%d: %s: %s", path, err.Position.Line, err.LastKey, err.Message)
	}
	return fmt.Errorf("%s:%d: this is no TOML: %s; write NAME = VALUE, with texts in quotes", path, err.Position.Line, err.Message)
}

// file is a configuration file that is being read.
type file struct {
	path  string
	lines []string
	flags *flag.FlagSet
	to    *settings
}

// taker takes a value of a TOML file. Package toml adds the line to its errors.
type taker func(value any) error

func (t taker) UnmarshalTOML(value any) error { return t(value) }

// take takes the value of one key of the file.
func (f *file) take(meta *toml.MetaData, key string, value toml.Primitive) error {
	line := f.line(key)
	place := fmt.Sprintf("%s:%d: %s", f.path, line, key)
	if tables := map[string]taker{"members": f.members, "listeners": f.listeners}[key]; tables != nil {
		err := meta.PrimitiveDecode(value, tables)
		if parse, ok := errors.AsType[toml.ParseError](err); ok {
			return errors.New(parse.Message) // it has its own line
		}
		return err
	}
	flg := f.flags.Lookup(flagOf(key))
	if flg == nil || key == "config" || strings.Contains(key, "-") {
		return fmt.Errorf("%s:%d: there is no setting %q; did you mean %q?", f.path, line, key, nearest(key, f.keys()))
	}
	f.to.given[key] = place
	err := meta.PrimitiveDecode(value, taker(func(v any) error { return setValue(flg, v) }))
	if parse, ok := errors.AsType[toml.ParseError](err); ok {
		return fmt.Errorf("%s:%d: %s: %s", f.path, parse.Position.Line, key, parse.Message)
	}
	return err
}

// keys lists what can be in a file.
func (f *file) keys() []string {
	keys := []string{"members", "listeners"}
	for _, name := range flagNames(f.flags) {
		if name != "config" {
			keys = append(keys, keyOf(name))
		}
	}
	return keys
}

// line finds the line of a key, or of a table; 1 if it is written in an unusual way.
func (f *file) line(key string) int { return max(1, f.lineAfter(key, 0)) }

// lineAfter finds the first line after a line that begins with a key or a table's header, counted from 1; 0 if there
// is none.
func (f *file) lineAfter(key string, after int) int {
	for i, text := range f.lines {
		word := strings.Trim(strings.TrimPrefix(text, "\ufeff"), " \t[\"'")
		if rest, ok := strings.CutPrefix(word, key); ok && i >= after {
			if rest = strings.TrimLeft(rest, " \t\"'"); strings.HasPrefix(rest, "=") || strings.HasPrefix(rest, "]") || strings.HasPrefix(rest, ".") {
				return i + 1
			}
		}
	}
	return 0
}

// setValue gives a setting a value of TOML.
func setValue(f *flag.Flag, value any) error {
	_, isNumber := boundsOf(f)
	isBool := f.DefValue == "true" || f.DefValue == "false"
	switch v := value.(type) {
	case bool:
		if isBool {
			return f.Value.Set(strconv.FormatBool(v))
		}
	case int64:
		if isNumber {
			return explainValue(v, f.Value.Set(strconv.FormatInt(v, 10)))
		}
	case string:
		if isBool {
			return fmt.Errorf("%q is a text; write true or false without quotes", v)
		}
		return explainValue(strconv.Quote(v), f.Value.Set(v))
	}
	want := "a text in quotes"
	if l, ok := boundsOf(f); ok {
		want = "a whole number, " + l.String() + l.example()
	} else if isBool {
		want = "true or false"
	}
	return fmt.Errorf("%v is %s; write %s", value, kindOf(value), want)
}

func explainValue(value any, err error) error {
	if err != nil {
		return fmt.Errorf("%v: %w", value, err)
	}
	return nil
}

// kindOf names a type of TOML.
func kindOf(value any) string {
	switch value.(type) {
	case bool:
		return "a boolean"
	case int64:
		return "a number"
	case float64:
		return "a number with a fraction"
	case string:
		return "a text"
	case []any:
		return "a list"
	case map[string]any, []map[string]any:
		return "a table"
	}
	return "a time"
}

// setFromEnv takes settings from CHRONIK_* variables. Other programs may have such variables of
// their own, so an unknown name is only a warning.
func (s *settings) setFromEnv(fs *flag.FlagSet, environ []string, warnings io.Writer) error {
	for _, pair := range slices.Sorted(slices.Values(environ)) {
		name, value, _ := strings.Cut(pair, "=")
		key, ok := strings.CutPrefix(name, "CHRONIK_")
		if !ok {
			continue
		}
		key = flagOf(strings.ToLower(key))
		if key == "peer-secret" { // no flag, which others on the machine could read
			s.secret = strings.TrimSpace(value)
			continue
		}
		if key == "config" || fs.Lookup(key) == nil {
			near := strings.ToUpper(keyOf(nearest(key, flagNames(fs))))
			fmt.Fprintf(warnings, "broker: there is no setting %s (the nearest is CHRONIK_%s); ignored\n", name, near)
			continue
		}
		if err := fs.Set(key, strings.TrimSpace(value)); err != nil {
			if _, isNumber := boundsOf(fs.Lookup(key)); !isNumber {
				err = errors.New("write true or false")
			}
			return fmt.Errorf("%s is %q: %w", name, value, err)
		}
		s.given[keyOf(key)] = name
	}
	return nil
}

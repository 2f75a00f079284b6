// SPDX-License-Identifier: Apache-2.0

package host

import (
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf16"
)

// A client that shows a certificate is a Kafka principal: "User:" and a name made from the certificate's subject, by the rules
// of Kafka's ssl.principal.mapping.rules, so that rights that were granted to a principal of Kafka's hold here.

// PrincipalRules make a name from the subject of a certificate. The zero value is the rule DEFAULT: the subject itself.
type PrincipalRules struct{ rules []principalRule }

// principalRule is one of them; without a pattern it takes the whole subject.
type principalRule struct {
	pattern, whole *regexp.Regexp // whole: from the first byte to the last
	replacement    []replacement
	change         func(string) string
}

// replacement is a text, or what a group of the pattern matched.
type replacement struct {
	text  string
	group int // -1: the text
}

// What Kafka's SslPrincipalMapper has.
const ruleText = `(DEFAULT)|RULE:((?:\\.|[^\\/])*)/((?:\\.|[^\\/])*)/([LU]?).*?|(.*?)`

var (
	ruleSplitter = regexp.MustCompile(`\s*(` + ruleText + `)\s*(?:,\s*|$)`)
	ruleParser   = regexp.MustCompile(`^(?:` + ruleText + `)`)
)

// ParsePrincipalRules reads rules as Kafka writes them: DEFAULT, or RULE:pattern/replacement/ with L or U after it for lower
// or upper case, separated by commas. The first whose pattern matches counts.
func ParsePrincipalRules(text string) (PrincipalRules, error) {
	var all PrincipalRules
	for _, found := range ruleSplitter.FindAllStringSubmatch(strings.TrimSpace(text), -1) {
		m := ruleParser.FindStringSubmatch(found[1])
		if len(m[0]) != len(found[1]) {
			return all, fmt.Errorf("%q is no rule: write DEFAULT, or RULE:pattern/replacement/ with L or U after it for lower or upper case", found[1])
		}
		switch {
		case m[1] != "":
			all.rules = append(all.rules, principalRule{})
		case strings.HasPrefix(m[0], "RULE:"):
			r, err := newPrincipalRule(m[2], m[3], m[4])
			if err != nil {
				return all, fmt.Errorf("%q: %w", found[1], err)
			}
			all.rules = append(all.rules, r)
		}
	}
	if len(all.rules) == 0 && strings.TrimSpace(text) != "" {
		return all, fmt.Errorf("%q holds no rule: write DEFAULT, or RULE:pattern/replacement/", text)
	}
	return all, nil
}

func newPrincipalRule(pattern, text, change string) (r principalRule, err error) {
	if r.pattern, err = regexp.Compile(pattern); err != nil {
		return r, fmt.Errorf("%w; Go's regular expressions know no look-ahead and no back references", err)
	}
	r.whole = regexp.MustCompile(`^(?:` + pattern + `)$`)
	r.change = map[string]func(string) string{"L": strings.ToLower, "U": strings.ToUpper}[change]
	r.replacement, err = parseReplacement(text, r.pattern.NumSubexp())
	return r, err
}

// parseReplacement reads a replacement as Java's does: $3 is a group, and a backslash makes what follows a text. A number that
// is no group is a text, too, as Kafka has it.
func parseReplacement(text string, groups int) (parts []replacement, err error) {
	literal := func(s string) { parts = append(parts, replacement{s, -1}) }
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text):
			i++
			literal(text[i : i+1])
		case text[i] != '$':
			literal(text[i : i+1])
		case i+1 == len(text) || text[i+1] < '0' || text[i+1] > '9':
			return nil, errors.New(`after $ there is no number of a group; write \$ for a dollar`)
		case int(text[i+1]-'0') > groups:
			literal(text[i : i+1])
		default:
			group := 0
			for i+1 < len(text) && text[i+1] >= '0' && text[i+1] <= '9' && 10*group+int(text[i+1]-'0') <= groups {
				i++
				group = 10*group + int(text[i]-'0')
			}
			parts = append(parts, replacement{group: group})
		}
	}
	return parts, nil
}

// principal is who has a certificate with a subject, as it is encoded.
func (p PrincipalRules) principal(subject []byte) (string, error) {
	name, err := distinguishedName(subject)
	if err != nil {
		return "", err
	}
	user, err := p.user(name)
	return "User:" + user, err
}

// user makes a name from a subject that is written down.
func (p PrincipalRules) user(name string) (string, error) {
	rules := p.rules
	if len(rules) == 0 {
		rules = []principalRule{{}}
	}
	for _, r := range rules {
		if user, ok := r.apply(name); ok {
			return user, nil
		}
	}
	return "", fmt.Errorf("no rule of tls_principal_rules takes the subject of its certificate, %q", name)
}

func (r *principalRule) apply(name string) (string, bool) {
	if r.pattern == nil {
		return name, true
	}
	if !r.whole.MatchString(name) {
		return "", false
	}
	var b strings.Builder
	at := 0
	for _, m := range r.pattern.FindAllStringSubmatchIndex(name, -1) {
		b.WriteString(name[at:m[0]])
		at = m[1]
		for _, part := range r.replacement {
			if part.group < 0 {
				b.WriteString(part.text)
			} else if from := m[2*part.group]; from >= 0 {
				b.WriteString(name[from:m[2*part.group+1]])
			}
		}
	}
	b.WriteString(name[at:])
	if r.change != nil {
		return r.change(b.String()), true
	}
	return b.String(), true
}

// attribute is a type and a value in a name.
type attribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

type attributeSET []attribute // asn1 reads a SET if the type's name says so

// keywords are the types that have a name in RFC 2253.
var keywords = map[string]string{
	"2.5.4.3": "CN", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.9": "STREET", "2.5.4.10": "O", "2.5.4.11": "OU",
	"0.9.2342.19200300.100.1.25": "DC", "0.9.2342.19200300.100.1.1": "UID",
}

// distinguishedName writes a subject as Java's X500Principal.getName does, which is RFC 2253.
func distinguishedName(subject []byte) (string, error) {
	var sets []attributeSET
	if rest, err := asn1.Unmarshal(subject, &sets); err != nil || len(rest) > 0 {
		return "", errors.New("the subject of its certificate can't be parsed")
	}
	var names []string
	for _, set := range slices.Backward(sets) {
		var parts []string
		for _, a := range set {
			kind := a.Type.String()
			value, isText := attributeText(a.Value)
			if keyword := keywords[kind]; keyword != "" && isText {
				parts = append(parts, keyword+"="+escapeValue(value))
			} else {
				parts = append(parts, kind+"=#"+hex.EncodeToString(a.Value.FullBytes))
			}
		}
		names = append(names, strings.Join(parts, "+"))
	}
	return strings.Join(names, ","), nil
}

// attributeText decodes a value that is a text.
func attributeText(v asn1.RawValue) (string, bool) {
	if v.Class != asn1.ClassUniversal {
		return "", false
	}
	switch v.Tag {
	case asn1.TagPrintableString, asn1.TagUTF8String, asn1.TagIA5String, asn1.TagGeneralString:
		return strings.ToValidUTF8(string(v.Bytes), "\ufffd"), true
	case asn1.TagT61String:
		var text []rune // Java takes it for Latin-1
		for _, b := range v.Bytes {
			text = append(text, rune(b))
		}
		return string(text), true
	case asn1.TagBMPString:
		var text []uint16
		for i := 0; i+1 < len(v.Bytes); i += 2 {
			text = append(text, uint16(v.Bytes[i])<<8|uint16(v.Bytes[i+1]))
		}
		return string(utf16.Decode(text)), true
	}
	return "", false
}

// escapeValue escapes what would have a meaning of its own, and white space at the ends.
func escapeValue(value string) string {
	var b strings.Builder
	for _, r := range value {
		switch {
		case r == 0:
			b.WriteString(`\00`)
			continue
		case strings.ContainsRune(`,=+<>#;"\`, r):
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	text := b.String()
	rest := strings.TrimLeft(text, " \r")
	lead := text[:len(text)-len(rest)]
	middle := strings.TrimRight(rest, " \r")
	each := func(space string) (escaped string) {
		for _, c := range space {
			escaped += `\` + string(c)
		}
		return escaped
	}
	return each(lead) + middle + each(rest[len(middle):])
}

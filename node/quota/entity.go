// SPDX-License-Identifier: Apache-2.0

package quota

import (
	"cmp"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Name is one part of an entity: there is none (""), it is the default, or it is a name (after '=').
type Name string

// Default stands for all that have no quota of their own.
const Default Name = "*"

// Named makes a name.
func Named(text string) Name { return Name("=" + text) }

// NameOf makes a name, or the default of nil, as the protocol has it.
func NameOf(text *string) Name {
	if text == nil {
		return Default
	}
	return Named(*text)
}

// Text is the reverse, for a part that there is.
func (n Name) Text() *string {
	text, named := strings.CutPrefix(string(n), "=")
	if !named {
		return nil
	}
	return &text
}

// The types of entities, as Kafka calls them.
const (
	User     = "user"
	ClientID = "client-id"
	IP       = "ip"
)

// Entity is whom a quota is for: a user, a client id, both, or an address.
type Entity struct {
	User   Name `json:",omitempty"`
	Client Name `json:",omitempty"`
	IP     Name `json:",omitempty"`
}

// part returns the part of a type, nil if there is no such type.
func (e *Entity) part(kind string) *Name {
	switch kind {
	case User:
		return &e.User
	case ClientID:
		return &e.Client
	case IP:
		return &e.IP
	}
	return nil
}

// Set sets a part. The text says what is wrong with it, "" if nothing is.
func (e *Entity) Set(kind string, name *string) string {
	p := e.part(kind)
	if p == nil {
		return fmt.Sprintf("Unhandled client quota entity type: %.100s", kind)
	}
	*p = NameOf(name)
	return ""
}

// Part is a part of an entity, and of which type it is.
type Part struct {
	Type string
	Name *string // nil: the default
}

// Parts are those that there are.
func (e Entity) Parts() (parts []Part) {
	for _, kind := range []string{User, ClientID, IP} {
		if name := *e.part(kind); name != "" {
			parts = append(parts, Part{kind, name.Text()})
		}
	}
	return parts
}

// maxName is how many bytes a name may have.
const maxName = 1 << 10

// check says why quotas can't be set for an entity, "" if they can; what an address can be is the caller's business. The texts
// are Kafka's.
func (e Entity) check() string {
	parts := e.Parts()
	if len(parts) == 0 {
		return "Invalid empty client quota entity"
	}
	for _, p := range parts {
		switch {
		case p.Name == nil:
		case *p.Name == "":
			return "Empty " + p.Type + " not supported"
		case len(*p.Name) > maxName || !utf8.ValidString(*p.Name):
			return fmt.Sprintf("a name of %s has at most %d bytes of UTF-8", p.Type, maxName)
		}
	}
	if e.IP == "" {
		return ""
	}
	if e.User != "" || e.Client != "" {
		return "Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId"
	}
	return ""
}

// String is for people.
func (e Entity) String() string {
	var parts []string
	for _, p := range e.Parts() {
		if p.Name == nil {
			parts = append(parts, "the default "+p.Type)
		} else {
			parts = append(parts, fmt.Sprintf("%s %.80q", p.Type, *p.Name))
		}
	}
	return strings.Join(parts, " and ")
}

// Compare orders entities.
func (e Entity) Compare(o Entity) int {
	return cmp.Or(strings.Compare(string(e.User), string(o.User)), strings.Compare(string(e.Client), string(o.Client)), strings.Compare(string(e.IP), string(o.IP)))
}

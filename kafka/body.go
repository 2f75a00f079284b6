// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// kmsg parses bodies, but trusts their counts: it makes room for as many elements as a count says
// while a byte is left for each, and reads as many tags as a count of up to 2^32-1 says though no
// byte is left. So a body is measured first, with the table below.

// Limits on a request beyond the length of its frame. They keep what a body makes us allocate to
// about its own length and some tens of megabytes.
const (
	maxElements = 1 << 18 // of all arrays in a body together; twice the partitions of a large broker
	maxTags     = 1 << 10 // of all tagged fields in a body together; clients send one or two
)

// shapes says what each request is made of, for versions 0 to max, as the protocol defines it.
//
// A field is a letter for its type and the versions that have it (3-: from 3 on, -12: up to 12,
// none: all). b: 1 byte, h: 2, i: 4, l: 8, u: 16 bytes; s: string; B: bytes; both may be null and
// are compact in flexible versions, as are the lengths of arrays. *i is an array of i; [ ] is an
// array of structures and ?[ ] one that may be null, which a byte says. In flexible versions a
// structure ends with tagged fields.
var shapes = map[int16]struct {
	max  int16
	text string
}{
	0:  {13, "s3- h i [ s-12 u13- [ i B ] ]"},                                                                   // Produce
	1:  {18, "i-14 i i i3- b4- i7- i7- [ s-12 u13- [ i i9- l i12- l5- i ] ] [7- s-12 u13- *i ] s11- 1=[ i l ]"}, // Fetch
	2:  {11, "i b2- [ s [ i i4- l i-0 ] ] i10-"},                                                                // ListOffsets
	3:  {13, "[ u10- s ] b4- b8-10 b8-"},                                                                        // Metadata
	8:  {10, "s i1- s1- s7- l2-4 [ s-9 u10- [ i l l1-1 i6- s ] ]"},                                              // OffsetCommit
	9:  {10, "s-7 [-7 s *i ] [8- s s9- i9- [ s-9 u10- *i ] ] b7-"},                                              // OffsetFetch
	10: {6, "s-3 b1- *s4-"},                                                                                     // FindCoordinator
	11: {9, "s i i1- s s5- s [ s B ] s8-"},                                                                      // JoinGroup
	12: {4, "s i s s3-"},                                                                                        // Heartbeat
	13: {5, "s s-2 [3- s s s5- ]"},                                                                              // LeaveGroup
	14: {5, "s i s s3- s5- s5- [ s B ]"},                                                                        // SyncGroup
	15: {6, "*s b3-"},                                                                                           // DescribeGroups
	16: {5, "*s4- *s5-"},                                                                                        // ListGroups
	17: {1, "s"},                                                                                                // SaslHandshake
	18: {5, "s3- s3- s5- i5-"},                                                                                  // ApiVersions
	19: {7, "[ s i h [ i *i ] [ s s ] ] i b1-"},                                                                 // CreateTopics
	20: {6, "*s-5 [6- s u ] i"},                                                                                 // DeleteTopics
	21: {2, "[ s [ i l ] ] i"},                                                                                  // DeleteRecords
	22: {5, "s i l3- h3-"},                                                                                      // InitProducerId
	23: {4, "i3- [ s [ i i2- i ] ]"},                                                                            // OffsetForLeaderEpoch
	24: {5, "s-3 l-3 h-3 [-3 s *i ] [4- s l h b [ s *i ] ]"},                                                    // AddPartitionsToTxn
	25: {4, "s l h s"},                                                                                          // AddOffsetsToTxn
	26: {5, "s l h b"},                                                                                          // EndTxn
	27: {2, "[ l h b [ s *i ] i b2- ]"},                                                                         // WriteTxnMarkers
	28: {6, "s s l h i3- s3- s3- [ s-5 u6- [ i l i2- s ] ]"},                                                    // TxnOffsetCommit
	29: {3, "b s b1- s s b b"},                                                                                  // DescribeAcls
	30: {3, "[ b s b1- s s b b ]"},                                                                              // CreateAcls
	31: {3, "[ b s b1- s s b b ]"},                                                                              // DeleteAcls
	32: {4, "[ b s *s ] b1- b3-"},                                                                               // DescribeConfigs
	33: {2, "[ b s [ s s ] ] b"},                                                                                // AlterConfigs
	34: {2, "[ s [ s *i ] ]"},                                                                                   // AlterReplicaLogDirs
	35: {5, "[ s *i ]"},                                                                                         // DescribeLogDirs
	36: {2, "B"},                                                                                                // SaslAuthenticate
	37: {3, "[ s i [ *i ] ] i b"},                                                                               // CreatePartitions
	42: {3, "*s"},                                                                                               // DeleteGroups
	43: {2, "b1- [ s *i ] i"},                                                                                   // ElectLeaders
	44: {1, "[ b s [ s b s ] ] b"},                                                                              // IncrementalAlterConfigs
	45: {1, "i b1- [ s [ i *i ] ]"},                                                                             // AlterPartitionReassignments
	46: {0, "i [ s *i ]"},                                                                                       // ListPartitionReassignments
	47: {0, "s [ s [ i ] ]"},                                                                                    // OffsetDelete
	48: {1, "[ s b s ] b"},                                                                                      // DescribeClientQuotas
	49: {1, "[ [ s s ] [ s l b ] ] b"},                                                                          // AlterClientQuotas
	50: {0, "[ s ]"},                                                                                            // DescribeUserScramCredentials
	51: {0, "[ s b ] [ s b i B B ]"},                                                                            // AlterUserScramCredentials
	55: {2, "[ s [ i ] ]"},                                                                                      // DescribeQuorum
	57: {2, "i [ s h b-0 b1- ] b1-"},                                                                            // UpdateFeatures
	60: {2, "b b1- b2-"},                                                                                        // DescribeCluster
	61: {0, "[ s *i ]"},                                                                                         // DescribeProducers
	64: {0, "i"},                                                                                                // UnregisterBroker
	65: {0, "*s"},                                                                                               // DescribeTransactions
	66: {2, "*s *l l1- s2-"},                                                                                    // ListTransactions
	68: {1, "s s i s s i *s s1- s [ u *i ]"},                                                                    // ConsumerGroupHeartbeat
	69: {1, "*s b"},                                                                                             // ConsumerGroupDescribe
	74: {1, "*b1-"},                                                                                             // ListConfigResources
	75: {0, "[ s ] i ?[ s i ]"},                                                                                 // DescribeTopicPartitions
}

// field is one field of a shape.
type field struct {
	kind     byte // a letter of the table, or '[' for a structure
	array    bool // of that kind
	nullable bool // a structure that is there or not
	tagged   bool // with this tag
	tag      int
	min, max int16
	inner    []field // of '['
}

// schema is what is known of one key. It is computed once and never changes.
type schema struct {
	known        bool  // by kmsg
	max          int16 // highest version whose body is parsed; -1: none
	flexibleFrom int16 // KIP-482; above all versions if none is flexible
	fields       []field
}

func (s *schema) flexible(version int16) bool { return s.known && version >= s.flexibleFrom }

var unknownSchema = schema{max: -1}

var schemas = func() (table [kmsg.MaxKey + 1]schema) {
	for key := range table {
		table[key] = unknownSchema
		req := kmsg.RequestForKey(int16(key))
		if req == nil {
			continue
		}
		s := schema{known: true, max: -1}
		for s.flexibleFrom <= req.MaxVersion() {
			if req.SetVersion(s.flexibleFrom); req.IsFlexible() {
				break
			}
			s.flexibleFrom++
		}
		if shape, ok := shapes[int16(key)]; ok {
			words := strings.Fields(shape.text)
			s.max, s.fields = shape.max, compile(&words)
		}
		table[key] = s
	}
	return table
}()

func schemaOf(key int16) *schema {
	if key < 0 || int(key) >= len(schemas) {
		return &unknownSchema
	}
	return &schemas[key]
}

// compile takes fields up to the end of the text or of the array that they are in.
func compile(words *[]string) (fields []field) {
	for len(*words) > 0 {
		word := (*words)[0]
		*words = (*words)[1:]
		if word == "]" {
			return fields
		}
		var f field
		if tag, rest, ok := strings.Cut(word, "="); ok {
			f.tagged, f.tag, word = true, number(tag), rest
		}
		word, f.array = strings.CutPrefix(word, "*")
		word, f.nullable = strings.CutPrefix(word, "?")
		f.kind = word[0]
		f.min, f.max = versionRange(word[1:])
		if f.kind == '[' {
			f.array, f.inner = !f.tagged && !f.nullable, compile(words)
		}
		fields = append(fields, f)
	}
	return fields
}

// versionRange parses "", "3-", "-12" and "2-4".
func versionRange(text string) (low, high int16) {
	first, last, _ := strings.Cut(text, "-")
	high = 1<<15 - 1
	if first != "" {
		low = int16(number(first))
	}
	if last != "" {
		high = int16(number(last))
	}
	return low, high
}

func number(text string) int {
	n, err := strconv.ParseUint(text, 10, 15)
	if err != nil {
		panic("kafka: a shape has a bad number: " + text)
	}
	return int(n)
}

// ParseBody parses the body of a request whose header is h. Truncated bodies and counts that
// the bytes can't hold are errors; close the connection then. It never panics, and
// allocates about len(body) plus 100 bytes for each array element, of which it takes at most 2^18.
// Byte slices in the request alias body.
//
// Fields that an old version lacks have the meaning that Kafka gives to their absence.
func ParseBody(h Header, body []byte) (kmsg.Request, error) {
	req, _, err := ParseWithin(h, body, maxElements)
	return req, err
}

// ErrLarge says that a body has more elements than were to be parsed.
var ErrLarge = errors.New("the body has more elements than are to be parsed now")

// ParseWithin is ParseBody for a body of at most so many elements, and returns their number. Of a larger one it has
// looked at no more than that when it returns ErrLarge, so its time is bounded. Text is copied, so a kilobyte of it
// counts as an element.
func ParseWithin(h Header, body []byte, most int) (req kmsg.Request, elements int, err error) {
	s := schemaOf(h.Key)
	switch {
	case s.max < 0:
		return nil, 0, ErrUnknownKey
	case h.Version < 0 || h.Version > s.max:
		return nil, 0, fmt.Errorf("%v is unknown; versions 0 to %d are known", h, s.max)
	}
	elements, err = s.measure(h.Version, body, min(most, maxElements))
	if err == ErrLarge {
		return nil, elements, err
	}
	if err != nil {
		return nil, elements, fmt.Errorf("body of a %v request: %w", h, err)
	}
	req = kmsg.RequestForKey(h.Key)
	req.SetVersion(h.Version)
	if err := req.ReadFrom(body); err != nil {
		return nil, elements, fmt.Errorf("body of a %v request: %w", h, err)
	}
	fillAbsent(req)
	return req, elements, nil
}

// fillAbsent corrects what kmsg leaves at its own defaults where the version lacks a field.
func fillAbsent(req kmsg.Request) {
	switch r := req.(type) {
	case *kmsg.MetadataRequest:
		if r.Version < 4 { // the field came with KIP-204; before, brokers always created topics
			r.AllowAutoTopicCreation = true
		}
		if r.Version < 1 && len(r.Topics) == 0 { // v0 has no null array; empty means all topics
			r.Topics = nil
		}
	case *kmsg.JoinGroupRequest:
		if r.Version < 1 { // KIP-62
			r.RebalanceTimeoutMillis = r.SessionTimeoutMillis
		}
	}
}

// measuring walks over a body.
type measuring struct {
	reader
	version  int16
	flexible bool
	left     *limits
}

// limits is what is left of elements, of bytes of text and of maxTags.
type limits struct{ elements, text, tags int }

// measure checks that body has the fields of the version, and no more elements and tags than the
// limits allow. What follows them is ignored, as in Kafka: librdkafka 2.16 sends three bytes too many
// when it asks for the metadata of all topics.
func (s *schema) measure(version int16, body []byte, most int) (elements int, err error) {
	m := measuring{reader: reader{b: body}, version: version, flexible: s.flexible(version), left: &limits{most, most * textElement, maxTags}}
	m.structure(s.fields)
	elements = most - m.left.elements + (most*textElement-m.left.text)/textElement
	switch {
	case m.left.tags < 0:
		return elements, fmt.Errorf("it has more than %d tagged fields", maxTags)
	case most < maxElements && (m.left.elements < 0 || m.left.text < 0):
		return elements, ErrLarge
	case m.left.elements < 0:
		return elements, fmt.Errorf("its arrays have more than %d elements together", maxElements)
	case m.bad:
		return elements, errShort
	}
	return elements, nil
}

// textElement is how many bytes of text count as an element.
const textElement = 1 << 10

func (m *measuring) structure(fields []field) {
	for i := range fields {
		f := &fields[i]
		if f.tagged || m.version < f.min || m.version > f.max {
			continue
		}
		if !f.array {
			m.field(f)
			continue
		}
		n := m.length(4)
		if m.left.elements -= max(0, n); m.left.elements < 0 {
			m.fail()
		}
		for ; n > 0 && !m.bad; n-- {
			m.field(f)
		}
	}
	if m.flexible {
		m.tags(fields)
	}
}

func (m *measuring) field(f *field) {
	switch f.kind {
	case 'b':
		m.bytes(1)
	case 'h':
		m.bytes(2)
	case 'i':
		m.bytes(4)
	case 'l':
		m.bytes(8)
	case 'u':
		m.bytes(16)
	case 's':
		n := m.length(2)
		if m.left.text -= max(0, n); m.left.text < 0 {
			m.fail()
		}
		m.bytes(n)
	case 'B':
		m.bytes(m.length(4))
	case '[':
		if f.nullable && m.isNull() {
			return
		}
		m.structure(f.inner)
	}
}

// isNull takes the byte before a structure that may be null: -1 if it is.
func (m *measuring) isNull() bool {
	b := m.bytes(1)
	return len(b) == 1 && b[0] == 0xff
}

// length takes the length of a string, of bytes or of an array, which has that many bytes in
// versions that aren't flexible; negative for null.
func (m *measuring) length(size int) int {
	switch {
	case m.flexible:
		return m.uvarint() - 1
	case size == 2:
		return int(m.int16())
	default:
		return int(m.int32())
	}
}

// tags takes the tagged fields at the end of a structure.
func (m *measuring) tags(fields []field) {
	n := m.uvarint()
	if m.left.tags -= n; m.left.tags < 0 {
		m.fail()
	}
	for ; n > 0 && !m.bad; n-- {
		tag := m.uvarint()
		content := m.bytes(m.uvarint())
		for i := range fields {
			if f := &fields[i]; f.tagged && f.tag == tag {
				m.tag(f, content)
			}
		}
	}
}

// tag takes what is in a tagged field, which has to fill it.
func (m *measuring) tag(f *field, content []byte) {
	inner := measuring{reader: reader{b: content}, version: m.version, flexible: true, left: m.left}
	if inner.field(f); inner.bad || len(inner.b) > 0 {
		m.fail()
	}
}

// errShort is the text for bytes that end too early.
var errShort = errors.New("it ends too early")

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node/consumers"
)

// Records of consumer groups that this release doesn't know, or can't parse, change nothing, with all that is in their
// entry, and end nothing: a coordinator that finds them in its log goes on.
func TestUnknownRecordsOfGroups(t *testing.T) {
	key := func(kind uint16, rest string) []byte {
		return append(binary.BigEndian.AppendUint16(nil, kind), rest...)
	}
	value := func(v interface{ AppendTo([]byte) []byte }) []byte { return v.AppendTo(nil) }
	leaderless := kmsg.GroupMetadataValue{Version: 3, Members: []kmsg.GroupMetadataValueMember{{MemberID: "m"}}}
	future := kmsg.NewOffsetCommitValue()
	future.Version = offsetValueForm + 1
	good := offsetRecord("g", "u", &committedOffset{offset: 7})
	records := map[string]kafka.Record{
		"no key":               {},
		"short key":            {Key: []byte{1}},
		"unknown kind":         {Key: key(3, "x"), Value: []byte("x")},
		"largest kind":         {Key: key(1<<16-1, ""), Value: []byte{}},
		"offset, cut key":      {Key: good.Key[:len(good.Key)-1], Value: good.Value},
		"offset, cut":          {Key: good.Key, Value: good.Value[:5]},
		"offset, empty":        {Key: good.Key, Value: []byte{}},
		"offset, later form":   {Key: good.Key, Value: value(&future)},
		"offset, no topic":     {Key: offsetKey("g", "", 0)},
		"group, cut key":       {Key: groupKey("g")[:3]},
		"group, cut":           {Key: groupKey("g"), Value: []byte{0, 3, 0}},
		"group without leader": {Key: groupKey("g"), Value: value(&leaderless)},
		"group, many members":  {Key: groupKey("g"), Value: append(append([]byte{0, 3}, make([]byte, 18)...), 0x7f, 0xff, 0xff, 0xff)},
		"new, cut key":         {Key: key(keyModernGroup, "\x00\x09g")},
		"new, no JSON":         {Key: modernKey("g", ""), Value: []byte("{")},
		"new, other JSON":      {Key: modernKey("g", ""), Value: []byte(`{"Epoch":"x"}`)},
		"member, no JSON":      {Key: modernKey("g", "m"), Value: []byte("x")},
		"member, null JSON":    {Key: modernKey("g", "m"), Value: []byte("null")},
		"member, another":      {Key: modernKey("g", "m"), Value: []byte(`{"ID":"n"}`)},
		"member without name":  {Key: key(keyModernMember, "\x00\x01g"), Value: []byte(`{}`)},
	}
	for name, r := range records {
		o := newGroups(t, nil)
		o.byHand = true
		if o.node.catalog.byName["t"] == nil {
			o.create("t")
		}
		c := o.node.coordinators[o.node.coordinatorPartition("g").Group]
		c.propose([]kafka.Record{offsetRecord("g", "t", &committedOffset{offset: 5, metadata: "at 5", committed: o.node.stampMs(), topicID: o.node.catalog.byName["t"].id()})}, func(error) {})
		o.pass(100e6)
		var got error
		c.propose([]kafka.Record{good, r}, func(err error) { got = err })
		before := o.events[EventEntryRefused]
		o.pass(100e6)
		if got == nil || o.events[EventEntryRefused] != before+1 {
			t.Errorf("%s: it is taken: %v, %d refused", name, got, o.events[EventEntryRefused]-before)
		}
		if offset := o.committedAt("g", "t"); offset != 5 {
			t.Errorf("%s: offset %d is left", name, offset)
		}
		if c.find("g").stored.find("u", 0) != nil {
			t.Errorf("%s: a part of its entry is applied", name)
		}
		o.restart()
		o.pass(1e9)
		if offset := o.committedAt("g", "t"); offset != 5 {
			t.Errorf("%s: offset %d is left after a restart", name, offset)
		}
	}
}

// A checkpoint with such a record is refused, whoever sends it.
func TestUnknownRecordsInACheckpoint(t *testing.T) {
	state := appendGroupBatch(nil, []kafka.Record{offsetTombstone("g", "t", 0), {Key: []byte{0, 9}}}, 0)
	if err := (&coordinator{node: &Node{}}).restore([][]byte{state}); !errors.Is(err, errGroupRecord) {
		t.Errorf("error %v", err)
	}
}

// FuzzGroupRecord applies whatever record there may be, and what the leader makes of the group then.
func FuzzGroupRecord(f *testing.F) {
	good := offsetRecord("g", "t", &committedOffset{offset: 7})
	f.Add(good.Key, good.Value)
	f.Add(groupKey("g"), groupMetadataRecord("g", &kmsg.GroupMetadataValue{Version: 3}).Value)
	f.Add(modernKey("g", ""), (&modernState{Epoch: 1}).record("g").Value)
	f.Add(modernKey("g", "m"), (&modernMember{ID: "m", Regex: "("}).record("g").Value)
	f.Add([]byte{0, 3}, []byte{})
	f.Fuzz(func(t *testing.T, key, value []byte) {
		n := newGroups(t, nil).node
		c := n.coordinators[n.coordinatorPartition("g").Group]
		state := c.state(0)
		before := len(c.groups)
		if err := c.applyBatch(appendGroupBatch(nil, []kafka.Record{{Key: key, Value: value}}, 0)); err != nil {
			if string(c.state(0)) != string(state) || len(c.groups) != before {
				t.Fatalf("it is refused, and changes something: %v", err)
			}
			return
		}
		again := &coordinator{node: n, group: c.group}
		if err := again.restore([][]byte{c.state(0)}); err != nil {
			t.Fatalf("a state is written that can't be read: %v", err)
		}
		c.leading()
		c.expireOffsets("")
		for _, g := range c.groups {
			if g.stored.modern != nil {
				a := consumers.NewAssigner(subscribers(g.stored.modern.members), n.catalog.topicSizes().list, nil, "", false)
				for !a.Done {
					a.Piece()
				}
			}
		}
		c.following()
	})
}

// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Kind is what a command wants.
type Kind byte

// The kinds are part of the log's format: none may change its number.
const (
	Init     Kind = 1 // a producer for a transactional id, of which all earlier ones are fenced
	Add      Kind = 2 // groups to become part of the transaction, which begins with the first
	End      Kind = 3 // the transaction to be committed or aborted, as its producer says
	Timeout  Kind = 4 // the transaction to be aborted because it has taken too long
	Complete Kind = 5 // nothing but what Number says
	Expire   Kind = 6 // a transactional id that nobody uses to be forgotten
)

// Command is one entry of a coordinator's log. Fields that its kind doesn't use are at their zero value.
type Command struct {
	Kind Kind
	Name string // the transactional id

	// Producer says who wants it. Of an Init it is the producer that the client was, None if it doesn't say.
	Producer Producer
	// Fresh is a producer id that nobody has, for Init and for what uses up the last epoch; below 0 if the command brings none.
	Fresh int64
	// At is the leader's time, in ms.
	At int64

	TimeoutMs int32    // Init: how long a transaction may take
	Most      int      // Init: how many transactional ids there may be; 0: any number
	Groups    []uint64 // Add: raft groups, of partitions or of consumer groups' coordinators
	Commit    bool     // End
	V2        bool     // End: as in the newer protocol

	// Number says that all markers of the decision of that number were acknowledged. Any kind may.
	Number uint64
	// Of is what a Timeout is about (Transaction.Began), or an Expire (Transaction.Touched).
	Of uint64
}

// Producer is a producer id and an epoch.
type Producer struct {
	ID    int64
	Epoch int16
}

// None is no producer.
var None = Producer{-1, -1}

func (p Producer) String() string { return fmt.Sprintf("%d/%d", p.ID, p.Epoch) }

// Version is the first byte of a command.
const Version = 1

const (
	flagCommit = 1
	flagV2     = 2
)

var kindNames = []string{"?", "Init", "Add", "End", "Timeout", "Complete", "Expire"}

// String tells a command, for people.
func (c *Command) String() string {
	s := fmt.Sprintf("%s %s", kindNames[c.Kind], c.Name)
	if c.Producer != None {
		s += fmt.Sprintf(" producer %v", c.Producer)
	}
	if c.Fresh >= 0 {
		s += fmt.Sprintf(" fresh id %d", c.Fresh)
	}
	if len(c.Groups) > 0 {
		s += fmt.Sprintf(" groups %d", c.Groups)
	}
	switch {
	case c.Kind == End && c.Commit:
		s += " commit"
	case c.Kind == End:
		s += " abort"
	}
	if c.Number > 0 {
		s += fmt.Sprintf(", i%d has its markers", c.Number)
	}
	return s
}

var errCommand = errors.New("malformed command for a coordinator of transactions")

// Append appends the command's bytes:
//
//	version, kind u8; name (length uvarint, bytes); producer id, epoch, fresh id, time (varints); time-out, most (uvarints);
//	flags u8; number, of (uvarints); number of groups and groups (uvarints)
func (c *Command) Append(b []byte) []byte {
	b = append(b, Version, byte(c.Kind))
	b = appendString(b, c.Name)
	b = appendProducer(b, c.Producer)
	b = binary.AppendVarint(b, c.Fresh)
	b = binary.AppendVarint(b, c.At)
	b = binary.AppendUvarint(b, uint64(c.TimeoutMs))
	b = binary.AppendUvarint(b, uint64(c.Most))
	flags := byte(0)
	if c.Commit {
		flags |= flagCommit
	}
	if c.V2 {
		flags |= flagV2
	}
	b = append(b, flags)
	b = binary.AppendUvarint(b, c.Number)
	b = binary.AppendUvarint(b, c.Of)
	return appendGroups(b, c.Groups)
}

// Parse is the inverse of Append. What it refuses a later release has written, or nobody has.
func Parse(b []byte) (*Command, error) {
	r := reader{b: b}
	if v := r.byte(); v != Version {
		return nil, fmt.Errorf("%w: version %d, this broker knows %d", errCommand, v, Version)
	}
	c := &Command{Kind: Kind(r.byte()), Name: r.string(), Producer: r.producer(), Fresh: r.varint(), At: r.varint()}
	c.TimeoutMs, c.Most = int32(r.upTo(1<<31-1)), int(r.upTo(1<<31-1))
	flags := r.byte()
	c.Commit, c.V2 = flags&flagCommit != 0, flags&flagV2 != 0
	c.Number, c.Of, c.Groups = r.uvarint(), r.uvarint(), r.groups()
	switch {
	case r.bad || len(r.b) > 0:
		return nil, fmt.Errorf("%w: it doesn't end where its numbers say", errCommand)
	case c.Kind < Init || c.Kind > Expire || flags > flagCommit|flagV2:
		return nil, fmt.Errorf("%w: kind %d, flags %d", errCommand, c.Kind, flags)
	case c.Name == "":
		return nil, fmt.Errorf("%w: no transactional id", errCommand)
	}
	return c, nil
}

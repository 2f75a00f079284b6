// SPDX-License-Identifier: Apache-2.0

package quota

import (
	"fmt"
	"math"
)

// Key is what a quota limits.
type Key uint8

// In the order of their names.
const (
	Connections Key = iota // new ones of an address, in a second
	Fetch                  // bytes of answers to Fetch in a second
	Mutations              // partitions that are created or deleted in a second
	Produce                // bytes of Produce requests in a second
	Request                // time that requests take, in percent of one thread's
	keys
)

var keyNames = [keys]string{"connection_creation_rate", "consumer_byte_rate", "controller_mutation_rate", "producer_byte_rate", "request_percentage"}

// String is Kafka's name.
func (k Key) String() string { return keyNames[k] }

// keyOf returns the key of a name that quotas of an entity may have.
func (e Entity) keyOf(name string) (Key, bool) {
	for k, n := range keyNames {
		if n == name {
			return Key(k), (Key(k) == Connections) == (e.IP != "")
		}
	}
	return 0, false
}

// largest is the largest value of a key.
func (k Key) largest() float64 {
	switch k {
	case Connections:
		return math.MaxInt32
	case Produce, Fetch:
		return math.MaxInt64
	}
	return math.MaxFloat64
}

// whole reports whether a key's values have no fractions.
func (k Key) whole() bool { return k == Connections || k == Produce || k == Fetch }

// Value is one limit of an entity.
type Value struct {
	Key   string
	Value float64
}

// Op sets or removes a value.
type Op struct {
	Value
	Remove bool `json:",omitempty"`
}

// Change is what a client changes of an entity's quotas.
type Change struct {
	Entity
	Ops []Op
}

// MaxOps is how many values a change may name: as many as there are keys, and a few that there aren't, which may be removed.
const MaxOps = 16

// Check says what is wrong with a change, "" if nothing is. The texts are Kafka's. What is to be removed need not exist.
func (c *Change) Check() string {
	if len(c.Ops) > MaxOps {
		return fmt.Sprintf("%d quotas of one entity", len(c.Ops))
	}
	seen := make(map[string]bool)
	for _, op := range c.Ops {
		if seen[op.Key] {
			return fmt.Sprintf("Duplicate quota key %.100s not updating quota for this entity %v", op.Key, c.Entity)
		}
		seen[op.Key] = true
	}
	if wrong := c.Entity.check(); wrong != "" {
		return wrong
	}
	for _, op := range c.Ops {
		if wrong := c.checkValue(op.Value); wrong != "" && !op.Remove {
			return wrong
		}
	}
	return ""
}

// Clean leaves out of a change what has no effect: the values of what is removed, and removals of what no entity has.
func (c *Change) Clean() {
	ops := c.Ops
	c.Ops = make([]Op, 0, len(ops))
	for _, op := range ops {
		if _, known := c.keyOf(op.Key); !known && op.Remove {
			continue
		}
		if op.Remove {
			op.Value.Value = 0
		}
		c.Ops = append(c.Ops, op)
	}
}

// Dirty says what Clean leaves of no change, "" if there is nothing.
func (c *Change) Dirty() string {
	for _, op := range c.Ops {
		if _, known := c.keyOf(op.Key); !known || op.Remove && op.Value.Value != 0 {
			return fmt.Sprintf("a removal of %.60q", op.Key)
		}
	}
	return ""
}

func (e Entity) checkValue(v Value) string {
	k, known := e.keyOf(v.Key)
	switch {
	case !known:
		return fmt.Sprintf("Invalid configuration key %.100s", v.Key)
	case !(v.Value > 0):
		return "Quota " + v.Key + " must be greater than 0"
	case v.Value > k.largest():
		return "Proposed value for " + v.Key + " is too large."
	case k.whole() && math.Mod(v.Value, 1) > 1e-6:
		return v.Key + " cannot be a fractional value."
	}
	return ""
}

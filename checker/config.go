// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"cmp"
	"slices"
)

// Config is who votes in a group. While it is joint, a majority of Voters and a majority of Outgoing
// have to agree (raft paper, section 6).
type Config struct {
	Index            uint64 // the entry that made it; 0 for the configuration of the founders
	Voters, Outgoing []ReplicaID
}

// Quorum reports whether those of which has says so can decide.
func (c *Config) Quorum(has func(ReplicaID) bool) bool {
	return majority(c.Voters, has) && (len(c.Outgoing) == 0 || majority(c.Outgoing, has))
}

func majority(ids []ReplicaID, has func(ReplicaID) bool) bool {
	return count(ids, has) > len(ids)/2
}

func count(ids []ReplicaID, has func(ReplicaID) bool) (n int) {
	for _, id := range ids {
		if has(id) {
			n++
		}
	}
	return n
}

// Configured says that a replica applied a configuration. It has to be said before the first view
// that names it.
func (c *Cluster) Configured(id ReplicaID, group uint64, conf Config) *Violation {
	g := c.group(group)
	conf.Voters, conf.Outgoing = sorted(conf.Voters), sorted(conf.Outgoing)
	at, known := slices.BinarySearchFunc(g.configs, conf.Index, func(o Config, index uint64) int { return cmp.Compare(o.Index, index) })
	if known {
		c.counts[ConfigEqual]++
		if o := &g.configs[at]; !slices.Equal(o.Voters, conf.Voters) || !slices.Equal(o.Outgoing, conf.Outgoing) {
			return g.broken(ConfigEqual, "after entry %d broker %v has the configuration %v, another replica has %v", conf.Index, id, &conf, o)
		}
		return nil
	}
	conf.Voters, conf.Outgoing = slices.Clone(conf.Voters), slices.Clone(conf.Outgoing) // the caller's arrays may be used again
	g.configs = slices.Insert(g.configs, at, conf)
	for i := max(at-1, 0); i < min(at+1, len(g.configs)-1); i++ {
		if bad := c.overlap(g, &g.configs[i], &g.configs[i+1]); bad != nil {
			return bad
		}
	}
	return nil
}

// sorted returns the replicas in order, copied if they aren't.
func sorted(ids []ReplicaID) []ReplicaID {
	if slices.IsSorted(ids) {
		return ids
	}
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return ids
}

// overlap checks that no majority of a configuration can decide behind the back of one of the next.
// There are few of them and few replicas, so all divisions of the replicas into two are tried.
func (c *Cluster) overlap(g *group, before, after *Config) *Violation {
	if first, _ := slices.BinarySearch(g.configEntries, before.Index+1); first < len(g.configEntries) && g.configEntries[first] < after.Index {
		return nil // there may be another between them, which nobody was seen with
	}
	all := slices.Concat(before.Voters, before.Outgoing, after.Voters, after.Outgoing)
	slices.Sort(all)
	all = slices.Compact(all)
	const enough = 16
	if len(all) > enough {
		return nil
	}
	c.counts[ConfigsOverlap]++
	for set := range 1 << len(all) {
		in := func(id ReplicaID) bool {
			i, ok := slices.BinarySearch(all, id)
			return ok && set>>i&1 == 1
		}
		if before.Quorum(in) && after.Quorum(func(id ReplicaID) bool { return !in(id) }) {
			return g.broken(ConfigsOverlap, "the configuration %v of entry %d and the next one, %v of entry %d, have majorities without a common replica",
				before, before.Index, after, after.Index)
		}
	}
	return nil
}

// String lists the voters: "[1 2 3]", joint "[1 2 4] and [1 2 3]".
func (c *Config) String() string {
	text := list(c.Voters)
	if len(c.Outgoing) > 0 {
		text += " and " + list(c.Outgoing)
	}
	return text
}

func list(ids []ReplicaID) string {
	text := ""
	for _, id := range ids {
		text += " " + id.String()
	}
	if text == "" {
		return "[]"
	}
	return "[" + text[1:] + "]"
}

// inForce returns the configurations by which a replica may have decided in its last step: the one
// that it showed before, the one that it shows now, and those between.
func (o *observation) inForce() []Config {
	from := o.v.Config
	if !o.r.fresh {
		from = min(from, o.r.view.Config)
	}
	g := o.g
	var first, end int
	for first < len(g.configs) && g.configs[first].Index < from {
		first++
	}
	for end = first; end < len(g.configs) && g.configs[end].Index <= o.v.Config; end++ {
	}
	return g.configs[first:end]
}

// decided reports whether a quorum of a configuration in force had what has says, and otherwise how
// many of how many voters had.
func (o *observation) decided(has func(ReplicaID) bool) (ok bool, have, of int) {
	configs := o.inForce()
	for i := range configs {
		if configs[i].Quorum(has) {
			return true, 0, 0
		}
		have, of = count(configs[i].Voters, has), len(configs[i].Voters)
	}
	return len(configs) == 0, have, of
}

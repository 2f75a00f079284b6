// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/kafka"
	"chronik/node/acl"
	"chronik/node/quota"
)

// Quotas are state of the catalog, so that all brokers have the same ones. Each holds its own clients to them.

const (
	// maxQuotas is how many entities may have quotas.
	maxQuotas = 10_000
	// maxQuotasOnce is how many a command changes.
	maxQuotasOnce = 100
)

// changeQuotas makes changes of quotas, one after the other: all of them or none.
type changeQuotas struct{ Changes []quota.Change }

func (c *changeQuotas) check() string {
	if len(c.Changes) == 0 || len(c.Changes) > maxQuotasOnce {
		return fmt.Sprintf("%d changes of quotas", len(c.Changes))
	}
	for i := range c.Changes {
		if wrong := cmp.Or(checkQuota(&c.Changes[i]), c.Changes[i].Dirty()); wrong != "" {
			return wrong
		}
	}
	return ""
}

// checkQuota says what is wrong with a change, "" if nothing is.
func checkQuota(c *quota.Change) string {
	if wrong := c.Check(); wrong != "" {
		return wrong
	}
	if ip := c.IP.Text(); ip != nil && !acl.IsAddress(*ip) { // in Kafka it may be the name of a host, too
		return fmt.Sprintf("%.100s is not a valid IP or resolvable host.", *ip)
	}
	return ""
}

func (c *changeQuotas) what() string {
	text := "change the quotas of " + c.Changes[0].String()
	for _, op := range c.Changes[0].Ops {
		if op.Remove {
			text += fmt.Sprintf(", no %.40s", op.Key)
		} else {
			text += fmt.Sprintf(", %.40s %v", op.Key, op.Value.Value)
		}
	}
	if more := len(c.Changes) - 1; more > 0 {
		text += fmt.Sprintf(", and of %d more", more)
	}
	return text
}

func (c *changeQuotas) size() (size int64) {
	for i := range c.Changes {
		e := &c.Changes[i].Entity
		size += int64(64 + len(e.User) + len(e.Client) + len(e.IP))
		for _, op := range c.Changes[i].Ops {
			size += int64(64 + len(op.Key))
		}
	}
	return size
}

func (c *catalog) changeQuotas(cmd *changeQuotas) error {
	have := len(c.quotas.Quotas())
	c.node.out.Work.Parts += 2*len(cmd.Changes) + have/128
	if fresh := c.quotas.Fresh(cmd.Changes); fresh > 0 && have+fresh > maxQuotas {
		return kafka.Errorf(kerr.PolicyViolation, "%d users, client ids and addresses have quotas, and a cluster keeps those of at most %d; delete some, or set a default", have, maxQuotas)
	}
	c.quotas.Apply(cmd.Changes)
	return nil
}

// ConnectionRates is how many new connections addresses may make in a second. The world counts them.
type ConnectionRates struct {
	Default float64            // of those that aren't named; 0: any number
	Of      map[string]float64 // by address
}

// ratesTold is what the world has been told by.
type ratesTold struct {
	set     *quota.Set
	changes uint64
	some    bool
}

// tellRates tells the world of quotas of addresses that it doesn't know.
func (n *Node) tellRates() {
	s, told := n.catalog.quotas, &n.ratesTold
	if told.set == s && told.changes == s.Changes() {
		return
	}
	told.set, told.changes = s, s.Changes()
	if !told.some && !s.Has(quota.Connections) {
		return
	}
	told.some = s.Has(quota.Connections)
	n.out.Work.Parts += len(s.Quotas()) / 64
	n.out.Rates = &ConnectionRates{Of: make(map[string]float64)}
	n.out.Rates.Default = s.Addresses(func(address string, rate float64) { n.out.Rates.Of[address] = rate })
}

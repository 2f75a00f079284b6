// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Hasty is a client that asks one broker for more than its quotas allow. Nothing that it asks for changes anything.
type Hasty struct {
	ID     int         `json:"id"` // from 1, unique
	At     Duration    `json:"at"`
	For    Duration    `json:"for"`
	Pause  Duration    `json:"pause"` // between requests, at most
	Broker int         `json:"broker"`
	User   string      `json:"user"`   // h1 or h2
	Client string      `json:"client"` // its id: h1 or h2
	Wants  HastyKind   `json:"wants"`
	Size   int         `json:"size"` // of what it wants, in bytes or partitions
	Manner HastyManner `json:"manner,omitempty"`
}

// HastyKind says what a hasty client wants.
type HastyKind string

// The kinds of hasty clients.
const (
	HastyProduce HastyKind = "produce"
	HastyFetch   HastyKind = "fetch"
	HastyTime    HastyKind = "time" // that requests take
	HastyCreate  HastyKind = "create"
)

// HastyKinds lists them.
var HastyKinds = []HastyKind{HastyProduce, HastyFetch, HastyTime, HastyCreate}

// HastyManner says what a hasty client does that was told to wait.
type HastyManner string

// The manners of hasty clients.
const (
	HastyWaits HastyManner = ""      // as it was told
	HastyRash  HastyManner = "rash"  // it asks for more at once
	HastySlips HastyManner = "slips" // it connects anew
)

// HastyManners lists them.
var HastyManners = []HastyManner{HastyWaits, HastyRash, HastySlips}

// Quota is a change of a quota. Each part of whom it is for is none (""), the default ("*"), or a name after '='.
type Quota struct {
	User   string  `json:"user,omitempty"`
	Client string  `json:"client,omitempty"`
	Key    string  `json:"key"`
	Value  float64 `json:"value,omitempty"` // 0: it is removed
}

// QuotaKeys are what quotas limit, in the order of HastyKinds.
var QuotaKeys = []string{"producer_byte_rate", "consumer_byte_rate", "request_percentage", "controller_mutation_rate"}

// QuotaPlenty is more than anybody does in a second.
const QuotaPlenty = 1e12

// ofHasty says that only hasty clients are held to a quota. Others are only held to plenty.
func (q *Quota) ofHasty() bool {
	return strings.HasPrefix(q.User, "=h") || strings.HasPrefix(q.Client, "=h")
}

// HastyName is the name of a user of hasty clients, and of their ids.
func HastyName(n int) string { return "h" + strconv.Itoa(n) }

func (p *Plan) validateHasty() error {
	if len(p.Hasty) > 0 && p.Security == nil {
		return errors.New("hasty clients are for worlds with security")
	}
	ids := make(map[int]bool)
	for _, h := range p.Hasty {
		if h.ID < 1 || h.ID > 50 || ids[h.ID] || h.At < 0 || h.For < 0 || h.Pause < millisecond || h.Broker < 1 || h.Broker > p.Brokers || h.Size < 1 || h.Size > 100<<10 {
			return fmt.Errorf("hasty client %d: id must be unique and from 1 to 50, at and for not negative, pause at least 1ms, broker one of the brokers, size from 1 to 100 KiB", h.ID)
		}
		if ids[h.ID] = true; !slices.Contains(HastyKinds, h.Wants) || !slices.Contains(HastyManners, h.Manner) || !strings.HasPrefix(h.User, "h") || !strings.HasPrefix(h.Client, "h") {
			return fmt.Errorf("hasty client %d: wants one of %q, manner one of %q, user and client begin with h", h.ID, HastyKinds, HastyManners)
		}
	}
	for _, o := range p.Orders {
		if q := o.Quota; q != nil && (q.User+q.Client == "" || !slices.Contains(QuotaKeys, q.Key) || q.Value < 0 || q.Value > 0 && q.Value < QuotaPlenty && !q.ofHasty()) {
			return fmt.Errorf("order %d: a quota needs a user or a client, one of the keys %q and a value, of plenty if others than hasty clients are held to it", o.ID, QuotaKeys)
		}
	}
	return nil
}

// hasty has clients ask for too much in some worlds with security. It is drawn after all else.
func (g *generator) hasty() {
	p := g.plan
	if !g.chance(2, 3) {
		return
	}
	kinds := HastyKinds
	if g.chance(1, 2) {
		kinds = []HastyKind{HastyKinds[g.pick(4)]}
	}
	add := func(o Order) {
		o.ID = len(p.Orders) + 1
		p.Orders = append(p.Orders, o)
	}
	for n := range 2 {
		add(Order{Kind: OrderPassword, User: HastyName(n + 1)})
		for _, t := range resourceTypes {
			add(Order{Kind: OrderCreate, Rule: allowAll(HastyName(n+1), t)})
		}
	}
	for range g.between(1, 4) {
		p.Hasty = append(p.Hasty, Hasty{
			ID: len(p.Hasty) + 1, At: Duration(g.upTo(int64(p.Safety)/4) / 1000 * 1000), For: g.span(2*second, max(3*second, p.Safety)), Pause: g.span(10*millisecond, second),
			Broker: int(g.between(1, int64(p.Brokers))), User: g.hastyName(), Client: g.hastyName(), Wants: kinds[g.pick(int64(len(kinds)))],
			Size: 1, Manner: HastyManners[g.pick(3)],
		})
		if h := &p.Hasty[len(p.Hasty)-1]; h.Wants == HastyProduce || h.Wants == HastyFetch {
			h.Size = int(g.wide(500, 8000))
		} else if h.Wants == HastyCreate {
			h.Size = int(g.wide(1, 20))
		}
	}
	for _, k := range kinds {
		add(Order{Kind: OrderQuota, Quota: g.quota(k)})
	}
	now := int64(0)
	for range g.wide(1, 16) {
		now = min(now+g.upTo(int64(p.Safety)/4), int64(p.Safety))
		q := g.quota(kinds[g.pick(int64(len(kinds)))])
		if g.chance(1, 3) {
			q.Value = 0
		}
		add(Order{At: Duration(now / 1000 * 1000), Kind: OrderQuota, Quota: q})
	}
}

func (g *generator) hastyName() string { return HastyName(1 + int(g.pick(2))) }

// quota draws one that hasty clients are held to, or that is plenty.
func (g *generator) quota(k HastyKind) *Quota {
	q := &Quota{Key: QuotaKeys[slices.Index(HastyKinds, k)]}
	name := func() string { return "=" + g.hastyName() }
	switch g.pick(8) {
	default:
		q.User = name()
	case 2:
		q.User, q.Client = name(), name()
	case 3:
		q.Client = name()
	case 4:
		q.User, q.Client = name(), "*"
	case 5:
		q.User, q.Client = "*", name()
	case 6:
		q.User, q.Value = "*", QuotaPlenty
	case 7:
		if q.Value, q.Client = QuotaPlenty, "*"; g.chance(1, 2) {
			q.User = "*"
		}
	}
	if q.Value > 0 {
		return q
	}
	switch k {
	case HastyProduce, HastyFetch:
		q.Value = float64(g.wide(500, 16000))
	case HastyTime:
		q.Value = float64(g.wide(1, 64)) / 4096
	case HastyCreate:
		q.Value = float64(g.wide(1, 64)) / 4
	}
	return q
}

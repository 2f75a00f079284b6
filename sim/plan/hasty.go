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

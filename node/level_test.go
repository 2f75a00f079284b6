// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

var (
	oldRelease  = Levels{1, 1}
	nextRelease = Levels{1, 2}
)

// raise asks a broker to raise the feature level.
func (c *many) raise(id BrokerID, level int16, try bool) *kmsg.UpdateFeaturesResponse {
	c.t.Helper()
	req := kmsg.NewPtrUpdateFeaturesRequest()
	req.Version, req.TimeoutMillis, req.ValidateOnly = 1, 5000, try
	f := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
	f.Feature, f.MaxVersionLevel, f.UpgradeType = levelFeature, level, 1
	req.FeatureUpdates = append(req.FeatureUpdates, f)
	return c.ask(id, req).(*kmsg.UpdateFeaturesResponse)
}

// release starts a broker again, of a release that supports some levels.
func (c *many) release(id BrokerID, l Levels) {
	c.kill(id)
	c.nodes[id].cfg.Levels = l
	c.nodes[id].events[EventReady] = 0
	c.start(id)
	c.until("it is ready", func() bool { return c.nodes[id].events[EventReady] > 0 })
}

// inWords says whether an error has a text.
func inWords(text *string, want string) bool { return text != nil && strings.Contains(*text, want) }

// A cluster is upgraded broker by broker and back, without anybody noticing, until its level is raised. That takes all brokers.
func TestLevels(t *testing.T) {
	c := newMany(t, 3, func(cfg *Config) { small(cfg); cfg.Levels = oldRelease })
	c.create("t", 1, 2, 3)
	early := func() {
		t.Helper()
		for _, id := range c.ids {
			if n := c.nodes[id].node; n.Level() != 1 || n.Trial() != (Trial{}) {
				t.Fatalf("broker %d is at level %d and has met %+v", id, n.Level(), n.Trial())
			}
		}
	}
	for _, id := range []BrokerID{1, 2} {
		c.release(id, nextRelease)
	}
	r := c.raise(1, 2, false).Results[0]
	if r.ErrorCode != kerr.InvalidUpdateVersion.Code || !inWords(r.ErrorMessage, "broker 3 supports level 1. Upgrade these brokers first") {
		t.Errorf("%s %v", kafka.CodeName(r.ErrorCode), r.ErrorMessage)
	}
	c.release(2, oldRelease)
	early()
	for _, id := range []BrokerID{2, 3} {
		c.release(id, nextRelease)
	}
	early()
	if r := c.raise(2, 2, true).Results[0]; r.ErrorCode != 0 {
		t.Errorf("%v", r.ErrorMessage)
	}
	early()
	if r := c.raise(2, 2, false).Results[0]; r.ErrorCode != 0 {
		t.Errorf("%v", r.ErrorMessage)
	}
	c.until("all are at level 2 and use it", func() bool {
		for _, id := range c.ids {
			if n := c.nodes[id].node; n.Level() != 2 || n.Trial().Taken == 0 || n.Trial().Applied == 0 {
				return false
			}
		}
		return true
	})
	for _, level := range []int16{0, 1, 3} {
		if r := c.raise(3, level, false).Results[0]; r.ErrorCode != kerr.InvalidUpdateVersion.Code {
			t.Errorf("level %d: %s", level, kafka.CodeName(r.ErrorCode))
		}
	}
	c.kill(1)
	m := c.nodes[1]
	m.cfg.Levels = oldRelease
	_, err := Open(m.cfg, m.dir, c.now)
	if wrong, ok := errors.AsType[*LevelError](err); !ok || !strings.Contains(err.Error(), "it is too old. Start a newer release") {
		t.Errorf("%v %v", wrong, err)
	}
	c.release(1, nextRelease)
	for _, id := range c.ids {
		if e := c.nodes[id].node.Trial().Early; e != "" {
			t.Errorf("broker %d has met %s", id, e)
		}
	}
}

// A broker that was away while the level was raised comes back with the release before: it takes nothing but the catalog, and ends.
func TestTooOldForTheLevel(t *testing.T) {
	c := newMany(t, 3, func(cfg *Config) { small(cfg); cfg.Levels = nextRelease })
	c.create("t", 1, 2, 3)
	c.kill(3)
	if r := c.raise(1, 2, false).Results[0]; r.ErrorCode != 0 {
		t.Fatalf("%v", r.ErrorMessage)
	}
	c.until("the level is used", func() bool { return c.nodes[1].node.Trial().Applied > 0 })
	c.nodes[3].cfg.Levels = oldRelease
	c.nodes[3].mayEnd = true
	c.start(3)
	n := c.nodes[3].node
	c.ends(3, EndLevel, "the cluster is at feature level 2, and this release of broker 3 supports level 1: it is too old")
	if n.Trial() != (Trial{}) {
		t.Errorf("%+v", n.Trial())
	}
	c.nodes[3].cfg.Levels = Levels{2, 3}
	c.start(3)
	c.until("a newer release goes on", func() bool { return c.nodes[3].node.Level() == 2 && c.nodes[3].node.Trial().Taken > 0 })
}

// A broker with an empty disk whose release doesn't fit isn't taken in, and says why. Nor is one that goes on with its folder.
func TestNotTakenInForItsLevels(t *testing.T) {
	for name, x := range map[string]struct {
		cluster, other Levels
		level          int16
		want           string
	}{
		"too old": {nextRelease, oldRelease, 2, "supports level 1: it is too old"},
		"too new": {oldRelease, Levels{2, 3}, 1, "supports levels 2 to 3: it is too new. Start a release that supports both"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newMany(t, 3, func(cfg *Config) { small(cfg); cfg.Levels = x.cluster })
			if x.level > 1 {
				c.raise(1, x.level, false)
			}
			c.change = func(cfg *Config) { small(cfg); cfg.Levels = x.other }
			c.add(4, 3, 2)
			c.nodes[4].mayEnd = true
			n := c.nodes[4].node
			c.until("it says why it waits, or ends", func() bool {
				return c.nodes[4].node == nil || strings.Contains(n.waitingText(), x.want)
			})
			for range 1000 {
				c.round()
			}
			if c.nodes[4].events[EventReady] > 0 || c.nodes[1].node.catalog.broker(4) != nil {
				t.Error("it was taken in")
			}
		})
	}
}

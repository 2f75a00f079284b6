// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/node"
	"chronik/sim/plan"
)

// Some asks change settings of topics that have no effect. When all is over every broker must show what may have become of
// them, and everything else as it was.

// harmless are settings that brokers take and that change nothing.
var harmless = []string{"file.delete.delay.ms", "flush.messages", "segment.jitter.ms"}

// settingWrite is a change of a setting of a topic.
type settingWrite struct {
	topic, name string
	value       string    // "": it gets its default back
	from, ended node.Time // ended: node.Never if it isn't acknowledged
}

// sets notes a change of a setting under way.
func (a *asking) sets(name, value string) {
	w := a.world
	w.settings = append(w.settings, settingWrite{a.spec.Topic, name, value, w.now, node.Never})
	a.wrote = append(a.wrote, len(w.settings)-1)
}

// wish notes that a change of the topic's configuration was asked for.
func (a *asking) wishes() {
	call := &plan.Call{Kind: plan.CallConfigure, Topic: a.spec.Topic}
	a.world.judge.wished(a.world, call, a.broker)
}

// editHarmless changes some of the settings, and leaves the others alone.
func (a *asking) editHarmless() kmsg.Request {
	if a.world.doomed[a.spec.Topic] || a.topic.Auto {
		return nil
	}
	a.wishes()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, a.spec.Topic
	for _, name := range harmless {
		if a.pick(2) == 0 {
			continue
		}
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name = name
		if a.pick(3) == 0 {
			c.Op = kmsg.IncrementalAlterConfigOpDelete
			a.sets(name, "")
		} else {
			c.Value = kmsg.StringPtr(a.someValue())
			a.sets(name, *c.Value)
		}
		r.Configs = append(r.Configs, c)
	}
	req.Resources = append(req.Resources, r)
	return req
}

// someValue is a number that no other ask sets.
func (a *asking) someValue() string { return limitOf(a.topic, int64(1000+a.spec.ID)) }

// replaceHarmless sets all that the topic has, and so some of the settings; the others get their defaults back.
func (a *asking) replaceHarmless() kmsg.Request {
	if a.world.doomed[a.spec.Topic] || a.topic.Auto {
		return nil
	}
	a.wishes()
	req := kmsg.NewPtrAlterConfigsRequest()
	r := kmsg.NewAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, a.spec.Topic
	for _, own := range configsOf(a.topic) {
		c := kmsg.NewAlterConfigsRequestResourceConfig()
		c.Name, c.Value = own.Name, own.Value
		r.Configs = append(r.Configs, c)
	}
	for _, name := range harmless {
		if a.pick(2) == 0 {
			a.sets(name, "")
			continue
		}
		c := kmsg.NewAlterConfigsRequestResourceConfig()
		c.Name, c.Value = name, kmsg.StringPtr(a.someValue())
		a.sets(name, *c.Value)
		r.Configs = append(r.Configs, c)
	}
	req.Resources = append(req.Resources, r)
	return req
}

// settingsAnswered notes that a change is acknowledged.
func (a *asking) settingsAnswered(codes []string) {
	if !slices.Equal(codes, []string{"OK"}) {
		return // nobody knows what came of it
	}
	for _, i := range a.wrote {
		a.world.settings[i].ended = a.world.now
	}
}

// checkSettings asks every broker for the settings of each topic that was changed, when all is over.
func (w *world) checkSettings() {
	var topics []string
	for i := range w.settings {
		if t := w.settings[i].topic; !slices.Contains(topics, t) && len(topics) < 3 {
			topics = append(topics, t)
		}
	}
	for _, topic := range topics {
		for _, b := range w.brokers {
			if b.node != nil && !b.away {
				w.finalAsk("DescribeConfigs/settings", topic, b)
			}
		}
	}
}

// finalAsk asks a broker when all is over, until it answers.
func (w *world) finalAsk(kind plan.AskKind, topic string, b *broker) {
	w.asked++
	c := w.askers[0]
	a := &asking{
		world: w, client: c, topic: w.plan.Topic(topic), broker: b.number, draw: w.seed.Draw(domainAsk, uint64(b.number), uint64(w.asked)),
		spec: &plan.Ask{ID: w.asked, Kind: kind, Topic: topic, Version: 4},
	}
	for limit := w.now + 2*w.patience(); !a.done; {
		if w.now > limit {
			w.fail("liveness", "broker %d doesn't answer %s though all faults have ended", b.number, kind)
		}
		c.asks.queue = append(c.asks.queue, a)
		c.advance()
		w.runUntil(w.now+node.Time(5*second), func() bool { return a.done })
	}
}

// finalSettings compares what a broker shows with what was set.
func (a *asking) finalSettings(resp *kmsg.DescribeConfigsResponse) {
	for i := range resp.Resources {
		r := &resp.Resources[i]
		if r.ErrorCode != 0 {
			a.world.fail("configuration", "broker %d says error %d of topic %s when all is over", a.broker, r.ErrorCode, r.ResourceName)
		}
		for j := range r.Configs {
			if c := &r.Configs[j]; slices.Contains(harmless, c.Name) {
				value := ""
				if c.Source == kmsg.ConfigSourceDynamicTopicConfig && c.Value != nil {
					value = *c.Value
				}
				a.checkSetting(r.ResourceName, c.Name, value)
			}
		}
	}
}

// checkSetting demands that a setting is one that was written last, or may have been: what was acknowledged while the broker
// was asked may not have been there yet.
func (a *asking) checkSetting(topic, name, value string) {
	possible := []settingWrite{{topic: topic, name: name}}
	for _, x := range a.world.settings {
		if x.topic == topic && x.name == name {
			possible = append(possible, x)
		}
	}
	for _, x := range possible {
		if x.value == value && !slices.ContainsFunc(possible, func(y settingWrite) bool {
			return x.ended != node.Never && y.from >= x.ended && y.ended <= a.sentAt && y != x
		}) {
			return
		}
	}
	a.world.fail("configuration", "broker %d shows %s=%q of topic %s when all is over; what it may be is one of %v", a.broker, name, value, topic, possible)
}

// checkOldIDs demands that brokers know a topic by one id, when all is over: what it had before it was deleted is nobody's.
func (w *world) checkOldIDs() {
	if len(w.seenIDs) == 0 || len(w.askers) == 0 {
		return
	}
	for _, b := range w.brokers {
		if b.node != nil && !b.away {
			w.finalAsk("Metadata/old-ids", w.plan.Topics[0].Name, b)
		}
	}
}

// finalIDs is about the ids that topics had, and about all topics of the plan by their names.
func (a *asking) finalIDs(resp *kmsg.MetadataResponse) {
	for i, id := range a.world.seenIDs {
		if t := &resp.Topics[i]; t.ErrorCode == 0 && t.TopicID != id {
			a.world.fail("topic-id", "broker %d is asked for the topic with id %x when all is over, and answers with topic %s, whose id is %x", a.broker, id, textOf(t.Topic), t.TopicID)
		}
	}
	for i := range resp.Topics {
		for j := range resp.Topics {
			x, y := &resp.Topics[i], &resp.Topics[j]
			if x.Topic != nil && y.Topic != nil && *x.Topic == *y.Topic && x.ErrorCode == 0 && (y.ErrorCode != 0 || x.TopicID != y.TopicID) {
				a.world.fail("topic-id", "broker %d knows topic %s by id %x when all is over, and also by id %x (error %d)", a.broker, *x.Topic, x.TopicID, y.TopicID, y.ErrorCode)
			}
		}
	}
}

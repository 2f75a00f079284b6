// SPDX-License-Identifier: Apache-2.0

package node

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// setNumber gives a field of a configuration a number, if it can hold it.
func setNumber(c *Config, name string, n int64) bool {
	f := reflect.ValueOf(c).Elem().FieldByName(name)
	if f.CanUint() {
		if n < 0 {
			return false
		}
		f.SetUint(uint64(n))
		return true
	}
	if f.OverflowInt(n) {
		return false
	}
	f.SetInt(n)
	return true
}

func validConfig() Config {
	return Config{ClusterID: "c", BrokerID: 1, Members: []Member{{ID: 1, Host: "a", Port: 1}}}
}

// Every number of the configuration has bounds, and what is outside of them is refused by name.
func TestConfigRanges(t *testing.T) {
	c := validConfig()
	if err := c.validate(); err != nil {
		t.Fatal(err)
	}
	bounded := make(map[string]bool)
	for _, r := range c.ranges() {
		bounded[r.name] = true
		for _, n := range []int64{r.least - 1, -2, r.most + 1, -1 << 40} {
			c := validConfig()
			if n == 0 || n > r.least && n < r.most || r.negative && n < 0 || !setNumber(&c, r.name, n) {
				continue
			}
			if err := c.validate(); err == nil || !strings.Contains(err.Error(), r.name) {
				t.Errorf("%s = %d: got %v, want a refusal", r.name, n, err)
			}
		}
	}
	for i := range reflect.TypeFor[Config]().NumField() {
		f := reflect.TypeFor[Config]().Field(i)
		free := map[string]bool{"BrokerID": true, "Incarnation": true, "Seed": true}
		if k := f.Type.Kind(); (k >= reflect.Int && k <= reflect.Uint64) && !bounded[f.Name] && !free[f.Name] {
			t.Errorf("%s has no range: give it one in Config.ranges", f.Name)
		}
	}
}

// A node serves with every configuration that validate takes: the smallest and the largest of each number, and
// any of them together.
func TestEveryAcceptedConfigServes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	c := validConfig()
	c.validate()
	ranges := slices.DeleteFunc(c.ranges(), func(r configRange) bool {
		return strings.Contains(r.name, "Tick") // the test's clock has steps of its own
	})
	draw := func(c *Config, r configRange) {
		n := []int64{r.least, r.least + 1, r.most, r.most - 1}[rng.IntN(4)]
		if r.negative || r.minusOne {
			n = []int64{n, -1}[rng.IntN(2)]
		}
		if strings.HasSuffix(r.name, "Partitions") {
			n = min(n, 20) // so that the test takes no hours
		}
		if r.name == "MaxPartitionsPerBroker" {
			n = max(n, 50) // what is made below has to fit
		}
		setNumber(c, r.name, n)
	}
	tries := 300
	if testing.Short() {
		tries = 50
	}
	served := 0
	for i := range tries {
		change := func(c *Config) {
			for j, r := range ranges {
				if i < 2*len(ranges) && j == i/2 || i >= 2*len(ranges) && rng.IntN(3) == 0 {
					draw(c, r)
				}
			}
		}
		c := validConfig()
		change(&c)
		again := c
		if again.validate() != nil {
			continue
		}
		served++
		if !t.Run("", func(t *testing.T) { serveSome(t, c) }) {
			t.Fatalf("with %+v", c)
		}
	}
	if served < tries/2 {
		t.Errorf("only %d of %d configurations were accepted", served, tries)
	}
}

func serveSome(t *testing.T, c Config) {
	o := newOne(t, func(own *Config) {
		log, members := own.Log, own.Members
		*own = c
		own.Log, own.Members, own.AutoCreateTopics = log, members, true
	})
	name := "automatic"
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 12
	req.AllowAutoTopicCreation = true
	req.Topics = []kmsg.MetadataRequestTopic{{Topic: &name}}
	if got := o.do(req).(*kmsg.MetadataResponse).Topics[0].ErrorCode; got != 0 && got != 5 { // it has no leader yet
		t.Errorf("Metadata answers with %d", got)
	}
	if got := o.createWith("t"); got != "NONE" {
		t.Errorf("CreateTopics answers with %q", got)
	}
	o.pass(2 * time.Second)
}

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// on sends a frame on a connection and returns the reply, which may take some time on the node's clock.
func (o *one) on(conn ConnID, frame []byte) Reply {
	o.t.Helper()
	o.step(Input{Requests: []Request{{Conn: conn, Host: "/10.0.0.1", Frame: frame}}})
	for range 1000 {
		if len(o.replies) > 0 {
			r := o.replies[0]
			o.replies = o.replies[1:]
			return r
		}
		o.step(Input{})
	}
	o.t.Fatalf("no reply on connection %d", conn)
	return Reply{}
}

// Before a client has logged in it learns what is spoken, and nothing else.
func TestBeforeLogin(t *testing.T) {
	o := newOne(t, func(c *Config) { c.Listeners = []Listener{{Mechanisms: []string{"SCRAM-SHA-512"}}} })
	if resp := o.ask(kmsg.NewPtrApiVersionsRequest()).(*kmsg.ApiVersionsResponse); len(resp.ApiKeys) == 0 {
		t.Error("ApiVersions has no keys")
	}
	for key := range int16(kmsg.MaxKey + 1) {
		req := kmsg.RequestForKey(key)
		if req == nil || key == kmsg.ApiVersions.Int16() {
			continue
		}
		if a := o.node.api(key); a != nil {
			req.SetVersion(a.max)
		}
		if r := o.on(100+ConnID(key), kafka.AppendRequest(nil, 1, "stranger", req)); !r.Close || len(r.Frame) > 0 {
			t.Errorf("%s was answered", kmsg.NameForKey(key))
		}
	}
}

// Listeners that nobody could mean are refused by name.
func TestConfigListeners(t *testing.T) {
	for want, listeners := range map[string][]Listener{
		"there twice": {{Name: "IN"}, {Name: "OUT"}, {Name: "IN"}},
		"GSSAPI":      {{Name: "IN", Mechanisms: []string{"PLAIN", "GSSAPI"}}},
		"":            {{Name: "IN"}, {Name: "OUT", Mechanisms: []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}}},
	} {
		c := validConfig()
		c.Listeners = listeners
		if err := c.validate(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want %q", listeners, err, want)
		}
	}
}

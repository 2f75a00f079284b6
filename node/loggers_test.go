// SPDX-License-Identifier: Apache-2.0

package node

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// setLevel sets the level of the broker's log.
func (o *one) setLevel(level string) string {
	r := o.ask(editRequest(kmsg.ConfigResourceTypeBrokerLogger, "1", "root="+level)).(*kmsg.IncrementalAlterConfigsResponse).Resources[0]
	return kafka.CodeName(r.ErrorCode)
}

// The level is the world's to heed, and what a client sets holds until the broker ends.
func TestLogLevel(t *testing.T) {
	o := newOne(t, func(c *Config) { c.LogLevel = LogWarn })
	var set []LogLevel
	o.look = func(out *Output) {
		if out.LogLevel != nil {
			set = append(set, *out.LogLevel)
		}
	}
	level := func(want string) {
		t.Helper()
		r := o.describeConfigs(kmsg.ConfigResourceTypeBrokerLogger, "1")
		if len(r.Configs) != 1 || r.Configs[0].Name != "root" || *r.Configs[0].Value != want || r.Configs[0].Source != kmsg.ConfigSourceDynamicBrokerLoggerConfig {
			t.Errorf("%+v, not %s", r, want)
		}
	}
	level("WARN")
	for _, to := range []string{"DEBUG", "ERROR", "INFO"} {
		if got := o.setLevel(to); got != "NONE" {
			t.Error(got)
		}
		level(to)
	}
	for _, c := range []struct{ broker, edit, want string }{
		{"1", "root=TRACE", "INVALID_CONFIG"}, // there is nothing below debug
		{"1", "root=debug", "INVALID_CONFIG"},
		{"1", "kafka.server.KafkaApis=DEBUG", "INVALID_CONFIG"},
		{"1", "root", "INVALID_REQUEST"}, // deleted
		{"1", "root+=DEBUG", "INVALID_CONFIG"},
		{"2", "root=DEBUG", "INVALID_REQUEST"},
		{"", "root=DEBUG", "INVALID_REQUEST"},
	} {
		r := o.ask(editRequest(kmsg.ConfigResourceTypeBrokerLogger, c.broker, c.edit)).(*kmsg.IncrementalAlterConfigsResponse).Resources[0]
		if got := kafka.CodeName(r.ErrorCode); got != c.want || r.ErrorMessage == nil {
			t.Errorf("%s of broker %q: %s, not %s", c.edit, c.broker, got, c.want)
		}
	}
	whole := &kmsg.AlterConfigsRequest{Resources: []kmsg.AlterConfigsRequestResource{{
		ResourceType: kmsg.ConfigResourceTypeBrokerLogger, ResourceName: "1", Configs: []kmsg.AlterConfigsRequestResourceConfig{{Name: "root", Value: kmsg.StringPtr("DEBUG")}},
	}}}
	if r := o.ask(whole).(*kmsg.AlterConfigsResponse).Resources[0]; r.ErrorCode != kerr.InvalidRequest.Code {
		t.Errorf("%+v", r)
	}
	only := editRequest(kmsg.ConfigResourceTypeBrokerLogger, "1", "root=DEBUG")
	only.ValidateOnly = true
	if r := o.ask(only).(*kmsg.IncrementalAlterConfigsResponse).Resources[0]; r.ErrorCode != 0 {
		t.Errorf("%+v", r)
	}
	level("INFO")
	if diff := cmp.Diff([]LogLevel{LogDebug, LogError, LogInfo}, set); diff != "" {
		t.Error(diff)
	}
	o.restart()
	level("WARN")
}

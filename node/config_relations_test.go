// SPDX-License-Identifier: Apache-2.0

package node

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// Configurations of a topic must agree with each other, however they come together: as in Kafka a topic can't have records
// that must not be compacted yet and have to be.
func TestCompactionLagsAgree(t *testing.T) {
	o := newOne(t, nil)
	if e := o.createWith("bad", "min.compaction.lag.ms=2000", "max.compaction.lag.ms=1000"); e != "INVALID_CONFIG" {
		t.Errorf("a topic with both is answered with %s", e)
	}
	if e := o.createWith("equal", "min.compaction.lag.ms=1000", "max.compaction.lag.ms=1000"); e != "NONE" {
		t.Errorf("a topic with equal ones is answered with %s", e)
	}
	if e := o.createWith("t", "min.compaction.lag.ms=2000"); e != "NONE" {
		t.Fatal(e)
	}
	edit := func(want string, edits ...string) {
		t.Helper()
		got := o.ask(editRequest(kmsg.ConfigResourceTypeTopic, "t", edits...)).(*kmsg.IncrementalAlterConfigsResponse).Resources[0]
		if kafka.CodeName(got.ErrorCode) != want {
			t.Errorf("%v: %s", edits, kafka.CodeName(got.ErrorCode))
		}
		if got.ErrorMessage != nil && !strings.Contains(*got.ErrorMessage, "min.compaction.lag.ms is ") {
			t.Error(*got.ErrorMessage)
		}
	}
	edit("INVALID_CONFIG", "max.compaction.lag.ms=1999")
	edit("NONE", "max.compaction.lag.ms=2000")
	edit("INVALID_CONFIG", "min.compaction.lag.ms=2001")
	edit("NONE", "max.compaction.lag.ms", "min.compaction.lag.ms=2001")
	edit("NONE", "max.compaction.lag.ms=1", "min.compaction.lag.ms")
	replace := kmsg.NewPtrAlterConfigsRequest()
	r := kmsg.NewAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, "t"
	for _, c := range [][2]string{{"min.compaction.lag.ms", "9"}, {"max.compaction.lag.ms", "8"}} {
		r.Configs = append(r.Configs, kmsg.AlterConfigsRequestResourceConfig{Name: c[0], Value: &c[1]})
	}
	replace.Resources = append(replace.Resources, r)
	if e := o.ask(replace).(*kmsg.AlterConfigsResponse).Resources[0].ErrorCode; e != kerr.InvalidConfig.Code {
		t.Errorf("both replaced: %s", kafka.CodeName(e))
	}
}

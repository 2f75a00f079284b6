// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// checkRelations finds settings that contradict each other.
func (s *settings) checkRelations() error {
	for _, r := range []struct {
		less, more string
		a, b       int64
		apart      int64 // at least
		units      []unit
		because    string
	}{
		{"max_message_bytes", "max_request_bytes", int64(s.MaxMessageBytes), int64(s.MaxRequestBytes), 0, byteUnits, "a batch comes in a request"},
		{"default_partitions", "max_partitions_per_broker", int64(s.DefaultPartitions), int64(s.MaxPartitions), 0, nil, "otherwise a broker that is alone makes no topic by default"},
		{"max_request_bytes", "inflight_bytes", int64(s.MaxRequestBytes), s.InflightBytes, 0, byteUnits, "a request has to fit what all clients together may have under way"},
		{"group_min_session_ms", "group_max_session_ms", s.GroupMinSessionMs, s.GroupMaxSessionMs, 0, milliUnits, "otherwise no member can join a group"},
		{"group_consumer_heartbeat_ms", "group_consumer_session_ms", s.ConsumerBeatMs, s.ConsumerSessionMs, 1, milliUnits, "members would be taken for dead between two heartbeats"},
	} {
		if r.a > r.b-r.apart {
			return fmt.Errorf("%s (%s) is too much for %s (%s): %s; lower the first or raise the second",
				s.where(r.less), show(r.a, r.units), s.where(r.more), show(r.b, r.units), r.because)
		}
	}
	return s.checkTexts()
}

// checkTexts finds texts that can't be meant.
func (s *settings) checkTexts() error {
	for _, t := range []struct {
		key, text string
		most      int
		spaces    bool
	}{{"cluster_id", s.ClusterID, 200, false}, {"rack", s.Rack, 200, true}, {"machine", s.Machine, 200, true}, {"dir", s.Dir, 4000, true}} {
		odd := strings.IndexFunc(t.text, func(r rune) bool { return r < ' ' || r == 0x7f || r == ' ' && !t.spaces }) >= 0
		if odd || len(t.text) > t.most || t.text != strings.TrimSpace(t.text) {
			return fmt.Errorf("%s is %.60q: use at most %d letters, digits and signs, without spaces at its ends or line breaks", s.where(t.key), t.text, t.most)
		}
	}
	if s.Dir == "" {
		return fmt.Errorf("%s is empty; name the folder for the data", s.where("dir"))
	}
	return nil
}

// warn tells of what works, but hardly as meant.
func (s *settings) warn(w io.Writer, memory int64) {
	if memory > 0 && s.Memory > memory {
		fmt.Fprintf(w, "broker: %s is %s, but there are only %d MiB of memory here; lower it, or the system may kill the broker\n",
			s.where("memory"), show(s.Memory, byteUnits), memory>>20)
	}
	if _, err := os.Stat(s.FirstPasswordFile); s.FirstUser != "" && err != nil {
		fmt.Fprintf(w, "broker: %s isn't there, so first_user is not made; if the cluster has users, take both settings away, and name in super_users who may do everything\n", s.FirstPasswordFile)
	}
	s.warnInClear(w)
	if s.HotBytes > s.Memory/2 || s.CacheBytes > s.Memory/2 {
		fmt.Fprintf(w, "broker: hot_bytes (%s) or cache_bytes (%s) exceeds half of memory (%s): Go's collector will run often; raise memory\n",
			show(s.HotBytes, byteUnits), show(s.CacheBytes, byteUnits), show(s.Memory, byteUnits))
	}
	if n := int64(s.MaxMessageBytes); n > s.SegmentBytes {
		fmt.Fprintf(w, "broker: max_message_bytes (%s) exceeds segment_bytes (%s): such a batch takes a log file of its own; if only its leader's disk has space for one, the records of that partition can't be deleted before others have, only its topic\n", show(n, byteUnits), show(s.SegmentBytes, byteUnits))
	}
	if s.RetentionMs > 0 && s.RetentionMs < minute {
		fmt.Fprintf(w, "broker: %s is %s: records of topics that don't say otherwise are deleted that soon\n", s.where("retention_ms"), show(s.RetentionMs, milliUnits))
	}
}

// memoryHere is how much memory this process may use; 0 if that is unknown.
func memoryHere() int64 {
	if text, err := os.ReadFile("/sys/fs/cgroup/memory.max"); err == nil {
		if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil {
			return n
		}
	}
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 || fields[0] != "MemTotal:" {
		return 0
	}
	n, _ := strconv.ParseInt(fields[1], 10, 64) // 0 if the system says something else
	return n << 10
}

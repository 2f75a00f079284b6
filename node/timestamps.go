// SPDX-License-Identifier: Apache-2.0

package node

import (
	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/kafka"
)

// checkTimestamps refuses a batch whose timestamps lie too far from now (message.timestamp.before.max.ms and
// message.timestamp.after.max.ms, KIP-937). Its records were looked at, so its largest timestamp is theirs; of the
// others the first stands for all. Records without a timestamp (-1) pass.
func (p *partition) checkTimestamps(raw []byte) error {
	t := p.meta.Topic
	b, err := kafka.ParseBatch(raw)
	if err != nil || p.node.usesAppendTime(t) {
		return err
	}
	now := p.node.stampMs()
	before, after := p.node.topicNumber(t, timestampBeforeConfig), p.node.topicNumber(t, timestampAfterConfig)
	for _, ms := range []int64{b.FirstTimestamp, b.MaxTimestamp} {
		if ms >= 0 && (ms < now-before || ms-after > now) {
			return kafka.Errorf(kerr.InvalidTimestamp, "timestamp %d lies outside of %d ms before and %d ms after the broker's time %d; "+
				"send milliseconds since 1970, or set message.timestamp.before.max.ms or message.timestamp.after.max.ms of the topic", ms, before, after, now)
		}
	}
	return nil
}

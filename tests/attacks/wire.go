// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetchRequest is a Fetch of one partition from its start.
func fetchRequest(topic string, maxBytes int32) []byte {
	req := kmsg.NewPtrFetchRequest()
	req.Version = 11
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 1000, 1, maxBytes
	t := kmsg.NewFetchRequestTopic()
	t.Topic = topic
	p := kmsg.NewFetchRequestTopicPartition()
	p.PartitionMaxBytes = maxBytes
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return frame(req)
}

// frame is a request as it stands after its length.
func frame(req kmsg.Request) []byte {
	f := kmsg.NewRequestFormatter(kmsg.FormatterClientID("attack"))
	return f.AppendRequest(nil, req, 1)[4:]
}

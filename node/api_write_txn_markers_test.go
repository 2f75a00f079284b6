// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// markersRequest asks to end a transaction in some partitions of two topics.
func markersRequest(version int16, producer int64, epoch int16, commit bool, partitions ...int32) *kmsg.WriteTxnMarkersRequest {
	req := kmsg.NewPtrWriteTxnMarkersRequest()
	req.Version = version
	m := kmsg.NewWriteTxnMarkersRequestMarker()
	m.ProducerID, m.ProducerEpoch, m.Committed = producer, epoch, commit
	for _, name := range []string{"t", "nowhere"} {
		t := kmsg.NewWriteTxnMarkersRequestMarkerTopic()
		t.Topic, t.Partitions = name, partitions
		m.Topics = append(m.Topics, t)
	}
	req.Markers = append(req.Markers, m)
	return req
}

func (o *one) writeMarkers(req *kmsg.WriteTxnMarkersRequest) (said []string) {
	o.t.Helper()
	for _, m := range o.ask(req).(*kmsg.WriteTxnMarkersResponse).Markers {
		for _, t := range m.Topics {
			for _, p := range t.Partitions {
				said = append(said, fmt.Sprintf("%d %s/%d %s", m.ProducerID, t.Topic, p.Partition, kafka.CodeName(p.ErrorCode)))
			}
		}
	}
	return said
}

func TestWriteTxnMarkers(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	o.transact("t", txnBatch(7, 3, 0, "a"))
	strict := markersRequest(2, 7, 3, false, 0)
	strict.Markers[0].TransactionVersion = 2
	if diff := cmp.Diff([]string{"7 t/0 INVALID_PRODUCER_EPOCH", "7 nowhere/0 UNKNOWN_TOPIC_OR_PARTITION"}, o.writeMarkers(strict)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"-1 t/0 INVALID_REQUEST", "-1 nowhere/0 UNKNOWN_TOPIC_OR_PARTITION"}, o.writeMarkers(markersRequest(1, -1, 0, true, 0))); diff != "" {
		t.Error(diff)
	}
	want := []string{"7 t/0 NONE", "7 t/1 UNKNOWN_TOPIC_OR_PARTITION", "7 nowhere/0 UNKNOWN_TOPIC_OR_PARTITION", "7 nowhere/1 UNKNOWN_TOPIC_OR_PARTITION"}
	for range 2 { // a second one ends nothing
		if diff := cmp.Diff(want, o.writeMarkers(markersRequest(1, 7, 3, false, 0, 1))); diff != "" {
			t.Error(diff)
		}
		if p := o.part("t"); p.highWatermark != 2 || p.lastStable() != 2 || len(p.aborted) != 1 {
			t.Errorf("the log ends at %d, the last stable offset is %d", p.highWatermark, p.lastStable())
		}
	}
	if diff := cmp.Diff("7 t/0 INVALID_PRODUCER_EPOCH", o.writeMarkers(markersRequest(2, 7, 2, false, 0))[0]); diff != "" {
		t.Error(diff)
	}
}

// DescribeProducers tells of open transactions, which is how people find those that hang.
func TestDescribeOpenTransactions(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	o.produce("t", plain("a"))
	o.transact("t", txnBatch(7, 3, 0, "b"))
	said := func() string {
		req := kmsg.NewPtrDescribeProducersRequest()
		req.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: "t", Partitions: []int32{0}}}
		s := ""
		for _, p := range o.ask(req).(*kmsg.DescribeProducersResponse).Topics[0].Partitions[0].ActiveProducers {
			s += fmt.Sprintf("%d: epoch %d, sequence %d, began %d, coordinator %d; ", p.ProducerID, p.ProducerEpoch, p.LastSequence, p.CurrentTxnStartOffset, p.CoordinatorEpoch)
		}
		return s
	}
	if got := said(); got != "7: epoch 3, sequence 0, began 1, coordinator -1; " {
		t.Error(got)
	}
	o.mark("t", txnMarker{producerID: 7, epoch: 3, coordinatorEpoch: 2, number: 9})
	o.mark("t", txnMarker{producerID: 8, epoch: 5, coordinatorEpoch: 2, number: 9})
	if got := said(); got != "7: epoch 3, sequence 0, began -1, coordinator 2; 8: epoch 5, sequence -1, began -1, coordinator 2; " {
		t.Error(got)
	}
}

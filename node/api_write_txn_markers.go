// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// WriteTxnMarkers, versions 1 and 2, ends transactions in the partitions that this broker leads. Brokers tell each other
// so in their own messages (marker.go); this is for people who abort a transaction that hangs, as kafka-transactions.sh
// does.
//
//	v2  of which version of the protocol the transaction is (KIP-1228): with 2 its end begins an epoch, so one of the
//	    current epoch is refused
//
// Kafka writes a marker whatever the partition holds; here one that ends nothing takes no offset.
func (n *Node) handleWriteTxnMarkers(r *request, m kmsg.Request) {
	req := m.(*kmsg.WriteTxnMarkersRequest)
	resp := kmsg.NewPtrWriteTxnMarkersResponse()
	resp.Markers = make([]kmsg.WriteTxnMarkersResponseMarker, len(req.Markers))
	type place struct{ marker, topic int }
	var places []place
	w := waitFor(r, resp, 0)
	n.eachPart(r, len(req.Markers), func(i int) int {
		out := &resp.Markers[i]
		*out = kmsg.NewWriteTxnMarkersResponseMarker()
		out.ProducerID = req.Markers[i].ProducerID
		out.Topics = make([]kmsg.WriteTxnMarkersResponseMarkerTopic, len(req.Markers[i].Topics))
		return len(out.Topics)
	}, func(i, j int) {
		in, out := &req.Markers[i].Topics[j], &resp.Markers[i].Topics[j]
		*out = kmsg.NewWriteTxnMarkersResponseMarkerTopic()
		out.Topic, out.Partitions = in.Topic, make([]kmsg.WriteTxnMarkersResponseMarkerTopicPartition, len(in.Partitions))
		places = append(places, place{i, j})
		w.left += len(in.Partitions)
	}, func() {
		n.eachPart(r, len(places), func(i int) int {
			return len(req.Markers[places[i].marker].Topics[places[i].topic].Partitions)
		}, func(i, k int) {
			at := places[i]
			in, out := &req.Markers[at.marker], &resp.Markers[at.marker].Topics[at.topic].Partitions[k]
			topic := &in.Topics[at.topic]
			*out = kmsg.NewWriteTxnMarkersResponseMarkerTopicPartition()
			out.Partition, out.ErrorCode = topic.Partitions[k], kerr.RequestTimedOut.Code // until it is committed
			n.writeMarker(in, topic.Topic, out.Partition, thenWith(r, func(err error) {
				out.ErrorCode = code(err)
				w.done()
			}))
		}, func() { w.begin(int32(markersPatience.Milliseconds())) })
	})
}

// markersPatience is how long the answer waits for a majority.
const markersPatience = 30 * time.Second

// writeMarker ends a producer's transaction in one partition on behalf of a client.
func (n *Node) writeMarker(in *kmsg.WriteTxnMarkersRequestMarker, topic string, index int32, done func(error)) {
	meta := n.catalog.partition(topic, index)
	if meta == nil {
		done(kafka.Errorf(kerr.UnknownTopicOrPartition, "partition %d of topic %q does not exist", index, topic))
		return
	}
	if in.ProducerID < 0 || in.ProducerEpoch < 0 {
		done(kafka.Errorf(kerr.InvalidRequest, "producer %d in epoch %d", in.ProducerID, in.ProducerEpoch))
		return
	}
	if p := n.partitions[meta.Group]; p != nil && in.TransactionVersion >= 2 && p.transactionOpen(in.ProducerID, in.ProducerEpoch) {
		done(kafka.Errorf(kerr.InvalidProducerEpoch, "the end of a transaction begins an epoch, and producer %d has %d", in.ProducerID, in.ProducerEpoch))
		return
	}
	m := txnMarker{producerID: in.ProducerID, epoch: in.ProducerEpoch, coordinatorEpoch: in.CoordinatorEpoch, commit: in.Committed}
	n.addMarker(meta.Group, m, func(err error) {
		if errors.Is(err, errDiskFull) {
			err = errStorage
		}
		done(err)
	})
}

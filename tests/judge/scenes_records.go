// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/tests/rig"
)

// topic creates one and waits until it takes records.
func (s *session) topic(name string, partitions int32, configs ...string) {
	s.quiet(createTopic(name, partitions, 1, configs...))
	for p := range partitions {
		s.until(listOffsets(name, p, -1), "UNKNOWN", "LEADER", "OFFSET_NOT_AVAILABLE")
	}
}

const day = 24 * 3600 * 1000

func produceScene(s *session) {
	s.topic("p", 2)
	s.topic("p-odd", 1) // for what isn't taken everywhere
	s.topic("p-keyed", 1, "cleanup.policy", "compact")
	s.topic("p-log-time", 1, "message.timestamp.type", "LogAppendTime")
	s.topic("p-small", 1, "max.message.bytes", "200")
	one := records(nil, "a")
	s.row("one record", produce("p", one))
	s.row("three records", produce("p", records(nil, "a", "b", "c")))
	s.row("unknown topic", produce("none", one))
	s.row("unknown partition", to(produce("p", one), 2))
	s.row("negative partition", to(produce("p", one), -1))
	s.row("invalid name", produce("a/b", one))
	s.row("empty name", produce("", one))
	s.row("null records", produce("p", nil))
	s.row("no records", produce("p", []byte{}))
	s.row("no partitions", produce("p"))
	s.row("half a header", produce("p", one[:30]))
	s.row("cut", produce("p", one[:len(one)-1]))
	s.row("a byte too many", produce("p-odd", append(append([]byte{}, one...), 0)))
	s.row("two batches", produce("p", append(append([]byte{}, one...), one...)))
	s.row("checksum", produce("p", flipped(one, len(one)-3)))
	for _, acks := range []int16{1, 2, -2} {
		req := produce("p", one)
		req.Acks = acks
		s.row("acks "+itoa(acks), req)
	}
	for _, ms := range []int32{0, -1} {
		req := produce("p", one)
		req.TimeoutMillis = ms
		s.row("time-out "+itoa(ms), req)
	}
	header := func(name string, change func(b *kmsg.RecordBatch)) {
		s.row(name, produce("p", records(change, "a", "b")))
	}
	header("magic 3", func(b *kmsg.RecordBatch) { b.Magic = 3 })
	header("count of one too many", func(b *kmsg.RecordBatch) { b.NumRecords = 3 })
	header("count of one too few", func(b *kmsg.RecordBatch) { b.NumRecords = 1 })
	header("count 0", func(b *kmsg.RecordBatch) { b.NumRecords = 0 })
	header("count -1", func(b *kmsg.RecordBatch) { b.NumRecords = -1 })
	header("last offset delta too large", func(b *kmsg.RecordBatch) { b.LastOffsetDelta = 5 })
	header("last offset delta too small", func(b *kmsg.RecordBatch) { b.LastOffsetDelta = 0 })
	header("base offset of its own", func(b *kmsg.RecordBatch) { b.FirstOffset = 1000 })
	header("negative base offset", func(b *kmsg.RecordBatch) { b.FirstOffset = -5 })
	header("leader epoch of its own", func(b *kmsg.RecordBatch) { b.PartitionLeaderEpoch = 99 })
	header("control batch", func(b *kmsg.RecordBatch) { b.Attributes = 0x20 })
	header("transactional without a producer", func(b *kmsg.RecordBatch) { b.Attributes = 0x10 })
	header("codec 5", func(b *kmsg.RecordBatch) { b.Attributes = 5 })
	header("codec 7", func(b *kmsg.RecordBatch) { b.Attributes = 7 })
	header("gzip", func(b *kmsg.RecordBatch) { b.Attributes = rig.Gzipped })
	header("gzip, count of one too many", func(b *kmsg.RecordBatch) { b.Attributes, b.NumRecords, b.LastOffsetDelta = rig.Gzipped, 3, 2 })
	header("log append time from a client", func(b *kmsg.RecordBatch) { b.Attributes = 8 })
	header("no timestamp", func(b *kmsg.RecordBatch) { b.FirstTimestamp, b.MaxTimestamp = -1, -1 })
	header("two hours ahead", func(b *kmsg.RecordBatch) { b.FirstTimestamp, b.MaxTimestamp = now()+day/12, now()+day/12 })
	header("ten years ago", func(b *kmsg.RecordBatch) { b.FirstTimestamp, b.MaxTimestamp = now()-3650*day, now()-3650*day })
	header("largest timestamp is wrong", func(b *kmsg.RecordBatch) { b.MaxTimestamp = b.FirstTimestamp + 5000 })
	header("delete horizon", func(b *kmsg.RecordBatch) { b.Attributes = 0x40 })
	gap := rig.AppendRecord(rig.AppendRecord(nil, 0, nil, []byte("a")), 2, nil, []byte("b"))
	s.row("a gap in the offsets", produce("p-odd", rig.Seal(rig.NewBatch(rig.Plain, 2), gap)))
	s.row("garbage with a checksum", produce("p", rig.Seal(rig.NewBatch(rig.Plain, 2), []byte("nothing of any sense"))))
	s.row("garbage as gzip", produce("p", rig.Seal(rig.NewBatch(rig.Gzipped, 2), []byte("nothing of any sense"))))
	s.row("magic 1", produce("p", rig.OldMessage(1)))
	s.row("magic 0", produce("p", rig.OldMessage(0)))
	s.row("to a compacted topic, without a key", produce("p-keyed", rig.Seal(rig.NewBatch(rig.Plain, 1), rig.AppendRecord(nil, 0, nil, []byte("v")))))
	s.row("to a compacted topic, with a key", produce("p-keyed", one))
	s.row("to a topic with LogAppendTime", produce("p-log-time", one))
	s.row("to a topic with LogAppendTime, days ahead", produce("p-log-time", records(func(b *kmsg.RecordBatch) { b.FirstTimestamp, b.MaxTimestamp = now()+5*day, now()+5*day }, "a")))
	s.row("too large for its topic", produce("p-small", records(nil, string(make([]byte, 300)))))
	internal := produce("__consumer_offsets", one)
	s.until(findCoordinator(0, "any"), "COORDINATOR_NOT_AVAILABLE")
	s.row("to the groups' topic", internal)
	req := produce("p-odd", one)
	req.TransactionID = kmsg.StringPtr("tx")
	s.row("a transactional id, plain batch", req)
	s.row("end of it all", listOffsets("p", 0, -1))
	for _, v := range []int16{0, 1, 2, 3} {
		req := produce("p", one)
		req.Version = v
		s.row("version "+itoa(v), req)
	}
}

func idempotenceScene(s *session) {
	s.topic("i", 1)
	s.topic("i-odd", 1) // for what isn't taken everywhere
	s.row("first", produce("i", sequence(7001, 0, 0, "a", "b")))
	s.row("next", produce("i", sequence(7001, 0, 2, "c")))
	s.row("the same again", produce("i", sequence(7001, 0, 2, "c")))
	s.row("the one before again", produce("i", sequence(7001, 0, 0, "a", "b")))
	s.row("a gap", produce("i", sequence(7001, 0, 9, "d")))
	s.row("overlaps", produce("i", sequence(7001, 0, 1, "x", "y")))
	s.row("of another length", produce("i", sequence(7001, 0, 2, "c", "d")))
	for i := range int32(6) {
		s.quiet(produce("i", sequence(7001, 0, 3+i, "e")))
	}
	s.row("the fifth before again", produce("i", sequence(7001, 0, 4, "e")))
	s.row("older than five", produce("i", sequence(7001, 0, 2, "c")))
	s.row("next epoch, not from 0", produce("i", sequence(7001, 1, 5, "f")))
	s.row("next epoch", produce("i", sequence(7001, 1, 0, "f")))
	s.row("old epoch", produce("i", sequence(7001, 0, 9, "g")))
	s.row("epoch skips", produce("i", sequence(7001, 5, 0, "h")))
	s.row("unknown, not from 0", produce("i", sequence(7002, 0, 5, "a")))
	s.row("unknown, not from 0, goes on", produce("i", sequence(7002, 0, 6, "a")))
	s.row("no sequence", produce("i", sequence(7003, 0, -1, "a")))
	s.row("no epoch", produce("i-odd", sequence(7003, -1, 0, "a")))
	s.row("negative id with sequence", produce("i", sequence(-1, 0, 0, "a")))
	s.row("id -2", produce("i", sequence(-2, 0, 0, "a")))
	s.row("the last sequence", produce("i", sequence(7004, 0, 1<<31-1, "a")))
	s.row("around to 0", produce("i", sequence(7004, 0, 0, "b")))
	two := append(sequence(7005, 0, 0, "a"), sequence(7005, 0, 1, "b")...)
	s.row("two batches of a producer", produce("i", two))
	s.row("transactional, no transaction", produce("i", records(func(b *kmsg.RecordBatch) {
		b.ProducerID, b.ProducerEpoch, b.FirstSequence, b.Attributes = 7006, 0, 0, 0x10
	}, "a")))
	s.until(initProducer(-1, -1), "COORDINATOR_LOAD_IN_PROGRESS")
	s.row("new id", initProducer(-1, -1))
	s.row("id without an epoch", initProducer(5, -1))
	s.row("epoch without an id", initProducer(-1, 5))
	s.row("id and epoch", initProducer(5, 5))
	empty := initProducer(-1, -1)
	empty.TransactionalID = kmsg.StringPtr("")
	s.row("empty transactional id", empty)
	s.row("producers", producers("i", 0))
	s.row("producers of an unknown partition", producers("i", 3))
	s.row("producers of an unknown topic", producers("none", 0))
}

func fetchScene(s *session) {
	s.topic("f", 1)
	s.quiet(produce("f", records(nil, "a", "b")))
	s.quiet(produce("f", records(nil, "c")))
	s.row("from the start", fetch("f", 0, 0))
	s.row("inside a batch", fetch("f", 0, 1))
	s.row("at the end", fetch("f", 0, 3))
	s.row("beyond the end", fetch("f", 0, 4))
	s.row("negative offset", fetch("f", 0, -1))
	s.row("unknown topic", fetch("none", 0, 0))
	s.row("unknown partition", fetch("f", 1, 0))
	s.row("negative partition", fetch("f", -1, 0))
	s.row("empty name", fetch("", 0, 0))
	with := func(name string, change func(*kmsg.FetchRequest)) {
		req := fetch("f", 0, 0)
		change(req)
		s.row(name, req)
	}
	with("epoch too new", func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].CurrentLeaderEpoch = 10_000 })
	with("epoch -2", func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].CurrentLeaderEpoch = -2 })
	with("at most 0 bytes", func(r *kmsg.FetchRequest) { r.MaxBytes = 0 })
	with("at most 1 byte of the partition", func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].PartitionMaxBytes = 1 })
	with("at most -1 bytes", func(r *kmsg.FetchRequest) { r.MaxBytes = -1 })
	with("waits for more than there is", func(r *kmsg.FetchRequest) { r.MaxWaitMillis, r.MinBytes = 50, 1<<20 })
	with("negative wait", func(r *kmsg.FetchRequest) { r.MaxWaitMillis, r.MinBytes = -1, 1<<20 })
	with("committed only", func(r *kmsg.FetchRequest) { r.IsolationLevel = 1 })
	with("isolation 2", func(r *kmsg.FetchRequest) { r.IsolationLevel = 2 })
	with("as replica 1", func(r *kmsg.FetchRequest) { r.ReplicaID = 1 })
	with("as replica 99", func(r *kmsg.FetchRequest) { r.ReplicaID = 99 })
	with("as a debugger", func(r *kmsg.FetchRequest) { r.ReplicaID = -2 })
	with("session that is none", func(r *kmsg.FetchRequest) { r.SessionID, r.SessionEpoch = 12345, 1 })
	with("session of epoch 1, id 0", func(r *kmsg.FetchRequest) { r.SessionID, r.SessionEpoch = 0, 1 })
	with("no topics", func(r *kmsg.FetchRequest) { r.Topics = nil })
	with("no partitions", func(r *kmsg.FetchRequest) { r.Topics[0].Partitions = nil })
	with("unknown topic id", func(r *kmsg.FetchRequest) { r.Version, r.Topics[0].TopicID = 13, [16]byte{1, 2, 3} })
	with("topic id 0", func(r *kmsg.FetchRequest) { r.Version = 13 })
	with("version 3", func(r *kmsg.FetchRequest) { r.Version = 3 })
	s.quiet(deleteRecords("f", 0, 2))
	s.row("below the start", fetch("f", 0, 0))
}

func offsetsScene(s *session) {
	s.topic("l", 1)
	s.row("newest timestamp of nothing", listOffsets("l", 0, -3))
	s.row("by time in nothing", listOffsets("l", 0, 1000))
	at := func(ms int64) []byte {
		return records(func(b *kmsg.RecordBatch) { b.FirstTimestamp, b.MaxTimestamp = ms, ms }, "a")
	}
	base := now() - day
	for i := range int64(3) {
		s.quiet(produce("l", at(base+1000*i)))
	}
	for _, c := range []struct {
		name string
		at   int64
	}{
		{"latest", -1},
		{"earliest", -2},
		{"newest timestamp", -3},
		{"earliest local", -4},
		{"newest tiered", -5},
		{"earliest that waits for upload", -6},
		{"timestamp -7", -7},
		{"by time, before all", 0},
		{"by time, of the second", base + 1000},
		{"by time, between", base + 1001},
		{"by time, after all", base + 5000},
		{"by time, the largest number", 1<<63 - 1},
	} {
		req := listOffsets("l", 0, c.at)
		if c.at < -3 {
			req.Version = 9
		}
		if c.at < -5 {
			req.Version = 11
		}
		s.row(c.name, req)
	}
	s.row("unknown topic", listOffsets("none", 0, -1))
	s.row("unknown partition", listOffsets("l", 1, -1))
	s.row("negative partition", listOffsets("l", -1, -1))
	s.row("empty name", listOffsets("", 0, -1))
	with := func(name string, change func(*kmsg.ListOffsetsRequest)) {
		req := listOffsets("l", 0, -1)
		change(req)
		s.row(name, req)
	}
	with("epoch too new", func(r *kmsg.ListOffsetsRequest) { r.Topics[0].Partitions[0].CurrentLeaderEpoch = 10_000 })
	with("committed only", func(r *kmsg.ListOffsetsRequest) { r.IsolationLevel = 1 })
	with("isolation 2", func(r *kmsg.ListOffsetsRequest) { r.IsolationLevel = 2 })
	with("as replica 99", func(r *kmsg.ListOffsetsRequest) { r.ReplicaID = 99 })
	with("as a debugger", func(r *kmsg.ListOffsetsRequest) { r.ReplicaID = -2 })
	with("a partition twice", func(r *kmsg.ListOffsetsRequest) {
		r.Topics[0].Partitions = append(r.Topics[0].Partitions, r.Topics[0].Partitions[0])
	})
	with("no topics", func(r *kmsg.ListOffsetsRequest) { r.Topics = nil })
	s.row("epoch's end, epoch 0 or 1 of no use", epochEnd("l", 0, -1, 10_000))
	s.row("epoch's end, epoch -1", epochEnd("l", 0, -1, -1))
	s.row("epoch's end, current epoch too new", epochEnd("l", 0, 10_000, 0))
	s.row("epoch's end, unknown topic", epochEnd("none", 0, -1, 0))
	s.row("epoch's end, unknown partition", epochEnd("l", 7, -1, 0))
	for _, c := range []struct {
		name   string
		offset int64
	}{{"0", 0}, {"1", 1}, {"1 again", 1}, {"0 after 1", 0}, {"beyond the end", 9}, {"-2", -2}, {"-1, to the end", -1}, {"-1 again", -1}} {
		s.row("delete records to "+c.name, deleteRecords("l", 0, c.offset))
	}
	s.row("earliest after that", listOffsets("l", 0, -2))
	s.row("delete records of an unknown topic", deleteRecords("none", 0, 0))
	s.row("delete records of an unknown partition", deleteRecords("l", 7, 0))
	s.row("delete records of an empty name", deleteRecords("", 0, 0))
	s.topic("l-compacted", 1, "cleanup.policy", "compact")
	s.row("delete records of a compacted topic", deleteRecords("l-compacted", 0, 0))
	s.until(findCoordinator(0, "any"), "COORDINATOR_NOT_AVAILABLE")
	s.row("delete records of the groups' topic", deleteRecords("__consumer_offsets", 0, 0))
	twice := deleteRecords("l", 0, 0)
	twice.Topics[0].Partitions = append(twice.Topics[0].Partitions, twice.Topics[0].Partitions[0])
	s.row("delete records of a partition twice", twice)
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// roundtripRecords is how many records the clients' programs write and read in a round trip.
const roundtripRecords = 300

// roundtrip lets a client write and read a topic, and looks whether the batches really have the
// codec: a client that thinks the broker can't read it sends them uncompressed and says nothing.
func (b *bench) roundtrip(ctx context.Context, c *client, topic, codec string) error {
	if err := b.createTopic(ctx, topic, 3); err != nil {
		return err
	}
	if err := c.roundtrip(ctx, topic, codec); err != nil {
		return err
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.cluster.Bootstrap()...), kgo.ConsumeTopics(topic))
	if err != nil {
		return err
	}
	defer cl.Close()
	for n := 0; n < roundtripRecords; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("reading %d of %d records back: %w", n, roundtripRecords, err)
		}
		for _, r := range fetches.Records() {
			if got := codecs[r.Attrs.CompressionType()]; got != codec {
				return fmt.Errorf("the client was told to compress with %s, and sent %s", codec, got)
			}
			n++
		}
	}
	return nil
}

const groupPartitions = 6

// groupTest is the life of a consumer group; see the package comment. Its steps are features.
type groupTest struct {
	*bench
	client   *client
	protocol string   // "classic" or "consumer" (KIP-848)
	topic    string   // it is the group's name as well
	a, b, c  *process // members
	writer   *process
}

func (g *groupTest) cleanUp() {
	for _, p := range []*process{g.a, g.b, g.c, g.writer} {
		p.kill()
	}
}

func (g *groupTest) member(name string) (*process, error) {
	return g.client.member(name, g.topic, g.topic, g.protocol)
}

// two lets one member have all partitions, and then share them with a second.
func (g *groupTest) two(ctx context.Context) (err error) {
	if err := g.createTopic(ctx, g.topic, groupPartitions); err != nil {
		return err
	}
	if g.a, err = g.member("first member"); err != nil {
		return err
	}
	all := func() bool { return len(g.a.partitions()) == groupPartitions }
	if err := until(ctx, 30*time.Second, "the first member has all partitions", []*process{g.a}, all); err != nil {
		return err
	}
	if g.writer, err = g.client.writer("writer", g.topic, "1"); err != nil {
		return err
	}
	if err := until(ctx, 20*time.Second, "the first member reads", []*process{g.a, g.writer}, func() bool { return len(g.a.got()) > 50 }); err != nil {
		return err
	}
	if g.b, err = g.member("second member"); err != nil {
		return err
	}
	return g.untilShared(ctx, 30*time.Second, "two members share the partitions and read")
}

// untilShared waits until both members read from their share of the partitions.
func (g *groupTest) untilShared(ctx context.Context, limit time.Duration, what string) error {
	a, b := len(g.a.got()), len(g.b.got())
	return until(ctx, limit, what, []*process{g.a, g.b, g.writer}, func() bool {
		both := append(g.a.partitions(), g.b.partitions()...)
		slices.Sort(both)
		return len(g.b.partitions()) > 0 && len(both) == groupPartitions && len(slices.Compact(both)) == groupPartitions &&
			len(g.a.got()) > a+20 && len(g.b.got()) > b+20
	})
}

// killCoordinator kills the group's coordinator, which leads partitions of the topic as well, and
// brings it back.
func (g *groupTest) killCoordinator(ctx context.Context) error {
	id, err := g.coordinator(ctx, g.topic)
	if err != nil {
		return err
	}
	if err := g.cluster.Kill(id); err != nil {
		return err
	}
	time.Sleep(3 * time.Second)
	if err := g.cluster.Restart(ctx, id); err != nil {
		return err
	}
	return g.untilShared(ctx, 45*time.Second, "two members share the partitions and read after the coordinator was killed")
}

// one lets the second member leave; the first gets everything that was acknowledged.
func (g *groupTest) one(ctx context.Context) error {
	if err := g.b.stop(); err != nil {
		return err
	}
	// A member that doesn't know the coordinator when it ends can't take its leave (Java's client doesn't
	// look for it any more then): its session has to end, which takes 45 s by default.
	all := func() bool { return len(g.a.partitions()) == groupPartitions }
	if err := until(ctx, 75*time.Second, "the first member has all partitions again", []*process{g.a, g.writer}, all); err != nil {
		return err
	}
	if err := g.writer.stop(); err != nil {
		return err
	}
	if !endedWell(g.writer.err) {
		return fmt.Errorf("the writer failed (%w): %s", g.writer.err, strings.Join(g.writer.last, "\n"))
	}
	err := until(ctx, 30*time.Second, "every acknowledged record was read", []*process{g.a}, func() bool { return len(g.missing()) == 0 })
	if err != nil {
		missing := g.missing()
		return fmt.Errorf("%d of %d acknowledged records were not read, e.g. %s: %w", len(missing), len(g.writer.written()), missing[0], err)
	}
	committed := func() bool { return g.committed(ctx) }
	if err := until(ctx, 15*time.Second, "everything that was read is committed", []*process{g.a}, committed); err != nil {
		return err
	}
	if err := g.a.stop(); err != nil {
		return err
	}
	return g.shown(ctx)
}

// missing lists acknowledged records that no member has read.
func (g *groupTest) missing() []string {
	seen := make(map[string]bool)
	for _, v := range append(g.a.got(), g.b.got()...) {
		seen[v] = true
	}
	var missing []string
	for _, v := range g.writer.written() {
		if !seen[v] {
			missing = append(missing, v)
		}
	}
	return missing
}

// resume lets a third member go on: it gets what is new, and nothing that was read and committed.
func (g *groupTest) resume(ctx context.Context) (err error) {
	if err := g.one(ctx); err != nil {
		return err
	}
	if g.c, err = g.member("third member"); err != nil {
		return err
	}
	if err := until(ctx, 45*time.Second, "the third member has all partitions", []*process{g.c}, func() bool { return len(g.c.partitions()) == groupPartitions }); err != nil {
		return err
	}
	if g.writer, err = g.client.writer("second writer", g.topic, "2"); err != nil {
		return err
	}
	if err := until(ctx, 20*time.Second, "the third member reads", []*process{g.c, g.writer}, func() bool { return len(g.c.got()) > 20 }); err != nil {
		return err
	}
	for _, v := range g.c.got() {
		if v[0] != '2' {
			return fmt.Errorf("the third member read %s, which was read and committed before", v)
		}
	}
	if err := g.writer.stop(); err != nil {
		return err
	}
	if err := g.c.stop(); err != nil || g.client.afterwards == nil {
		return err
	}
	return g.client.afterwards(ctx, g.topic)
}

// committed reports whether the group's committed offsets are the ends of the partitions.
func (g *groupTest) committed(ctx context.Context) bool {
	cl, err := kgo.NewClient(kgo.SeedBrokers(g.cluster.Bootstrap()...))
	if err != nil {
		return false
	}
	defer cl.Close()
	ends, fetch := kmsg.NewPtrListOffsetsRequest(), kmsg.NewPtrOffsetFetchRequest()
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = g.topic
	for id := range int32(groupPartitions) {
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp = id, -1
		t.Partitions = append(t.Partitions, p)
	}
	ends.Topics, fetch.Group = append(ends.Topics, t), g.topic
	fetch.Groups = []kmsg.OffsetFetchRequestGroup{{Group: g.topic, MemberEpoch: -1}}
	end, err := ends.RequestWith(ctx, cl)
	if err != nil || len(end.Topics) != 1 {
		return false
	}
	got, err := fetch.RequestWith(ctx, cl)
	if err != nil || len(got.Groups) != 1 {
		return false
	}
	var left int64
	for _, p := range end.Topics[0].Partitions {
		left += p.Offset
	}
	for _, t := range got.Groups[0].Topics {
		for _, p := range t.Partitions {
			left -= max(0, p.Offset)
		}
	}
	return left == 0
}

// createTopic creates a topic with three replicas, and waits until every broker can lead clients to
// its partitions: not what is tested here.
func (b *bench) createTopic(ctx context.Context, topic string, partitions int32) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.cluster.Bootstrap()...))
	if err != nil {
		return err
	}
	defer cl.Close()
	req := kmsg.NewPtrCreateTopicsRequest()
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = topic, partitions, 3
	req.Topics, req.TimeoutMillis = append(req.Topics, t), 20000
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return fmt.Errorf("creating topic %s: %w", topic, err)
	}
	if err := kerr.ErrorForCode(resp.Topics[0].ErrorCode); err != nil {
		return fmt.Errorf("creating topic %s: %w", topic, err)
	}
	time.Sleep(500 * time.Millisecond)
	return nil
}

// coordinator returns the broker that coordinates a group.
func (b *bench) coordinator(ctx context.Context, group string) (int, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.cluster.Bootstrap()...))
	if err != nil {
		return 0, err
	}
	defer cl.Close()
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.CoordinatorKey, req.CoordinatorKeys = group, []string{group}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return 0, fmt.Errorf("finding the coordinator: %w", err)
	}
	if len(resp.Coordinators) > 0 {
		return int(resp.Coordinators[0].NodeID), kerr.ErrorForCode(resp.Coordinators[0].ErrorCode)
	}
	return int(resp.NodeID), kerr.ErrorForCode(resp.ErrorCode)
}

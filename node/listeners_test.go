// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// newListening is a cluster of three brokers. Brokers 1 and 2 can be reached by the listener "out", too.
func newListening(t *testing.T) *many {
	c := newMany(t, 3, func(cfg *Config) {
		for i := range cfg.Members {
			m := &cfg.Members[i]
			m.Rack = "r" + fmt.Sprint(m.ID)
			if m.ID == cfg.BrokerID && m.ID < 3 {
				m.Listeners = []Address{{"out", "example.org", 7000 + int32(m.ID)}}
			}
		}
	})
	c.until("broker 1 knows the others' listeners", func() bool { return c.nodes[1].node.reachable(2, "out") })
	return c
}

// brokersBy are the addresses that clients of a listener of broker 1 are told, by Metadata and by DescribeCluster.
func (c *many) brokersBy(listener string) (metadata, described []string) {
	c.t.Helper()
	conn := ConnID(10 + len(listener))
	req := kmsg.NewPtrMetadataRequest()
	req.Version, req.Topics = 12, []kmsg.MetadataRequestTopic{}
	for _, b := range c.askBy(1, conn, listener, req).(*kmsg.MetadataResponse).Brokers {
		metadata = append(metadata, fmt.Sprintf("%d %s:%d", b.NodeID, b.Host, b.Port))
	}
	for _, b := range c.askBy(1, conn, listener, &kmsg.DescribeClusterRequest{}).(*kmsg.DescribeClusterResponse).Brokers {
		described = append(described, fmt.Sprintf("%d %s:%d", b.NodeID, b.Host, b.Port))
	}
	return metadata, described
}

func TestClientsAreToldTheAddressesOfTheirListener(t *testing.T) {
	c := newListening(t)
	for listener, want := range map[string][]string{
		"":        {"1 localhost:9000", "2 localhost:9001", "3 localhost:9002"},
		"out":     {"1 example.org:7001", "2 example.org:7002"},
		"another": nil,
	} {
		metadata, described := c.brokersBy(listener)
		if diff := cmp.Diff(want, metadata); diff != "" {
			t.Errorf("Metadata by %q: %s", listener, diff)
		}
		if diff := cmp.Diff(want, described); diff != "" {
			t.Errorf("DescribeCluster by %q: %s", listener, diff)
		}
	}
}

// Java's client fails for an endpoint of a voter whose listener's name isn't in capitals.
func TestListenersOfVoters(t *testing.T) {
	c := newListening(t)
	req := kmsg.NewPtrDescribeQuorumRequest()
	req.Version = 2
	req.Topics = []kmsg.DescribeQuorumRequestTopic{{Topic: metadataTopic, Partitions: []kmsg.DescribeQuorumRequestTopicPartition{{}}}}
	var names []string
	for _, node := range c.ask(1, req).(*kmsg.DescribeQuorumResponse).Nodes {
		for _, l := range node.Listeners {
			names = append(names, fmt.Sprintf("%d %s", node.NodeID, l.Name))
		}
	}
	if diff := cmp.Diff([]string{"1 PLAINTEXT", "1 OUT", "2 PLAINTEXT", "2 OUT", "3 PLAINTEXT"}, names); diff != "" {
		t.Error(diff)
	}
}

// describedBy is partition 0 of a topic, as Metadata of some version says it.
func (c *many) describedBy(id BrokerID, listener string, version int16, topic string) kmsg.MetadataResponseTopicPartition {
	c.t.Helper()
	req := kmsg.NewPtrMetadataRequest()
	req.Version, req.Topics = version, []kmsg.MetadataRequestTopic{{Topic: &topic}}
	return c.askBy(id, ConnID(20+len(listener)), listener, req).(*kmsg.MetadataResponse).Topics[0].Partitions[0]
}

// A broker that a client can't reach by its listener is offline to it, and leads nothing: what Kafka's MetadataCache says.
func TestALeaderWithoutTheListener(t *testing.T) {
	c := newListening(t)
	c.create("far", 3)
	c.create("near", 2, 3)
	c.until("broker 1 knows the leaders", func() bool {
		return c.describedBy(1, "", 12, "far").Leader == 3 && c.describedBy(1, "", 12, "near").Leader >= 2
	})
	for version, want := range map[int16]*kerr.Error{5: kerr.LeaderNotAvailable, 12: kerr.ListenerNotFound} {
		p := c.describedBy(1, "out", version, "far")
		if p.Leader != -1 || p.ErrorCode != want.Code || !slices.Equal(p.Replicas, []int32{3}) || !slices.Equal(p.OfflineReplicas, []int32{3}) {
			t.Errorf("version %d: %+v, want %s", version, p, want.Message)
		}
	}
	if p := c.describedBy(1, "out", 12, "near"); !slices.Equal(p.OfflineReplicas, []int32{3}) || !slices.Equal(p.Replicas, []int32{2, 3}) {
		t.Errorf("%+v", p)
	}
	if p := c.describedBy(1, "", 12, "far"); p.Leader != 3 || p.ErrorCode != 0 || len(p.OfflineReplicas) != 0 {
		t.Errorf("by the other listener: %+v", p)
	}
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	req.ResponsePartitionLimit = 10
	req.Topics = []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: "far"}}
	if p := c.askBy(1, 23, "out", req).(*kmsg.DescribeTopicPartitionsResponse).Topics[0].Partitions[0]; p.LeaderID != -1 || p.ErrorCode != 0 {
		t.Errorf("DescribeTopicPartitions: %+v", p)
	}
}

func TestCoordinatorsAndLeadersByListener(t *testing.T) {
	c := newListening(t)
	find := func(listener, group string) (said string) {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.Version, req.CoordinatorKeys = 4, []string{group}
		r := c.askBy(1, ConnID(30+len(listener)), listener, req).(*kmsg.FindCoordinatorResponse).Coordinators[0]
		return fmt.Sprintf("%d %s:%d %s", r.NodeID, r.Host, r.Port, kafka.CodeName(r.ErrorCode))
	}
	seen := make(map[string]bool)
	for i := range 40 {
		group, plain := fmt.Sprint("g", i), ""
		c.until("the coordinator is known", func() bool { plain = find("", group); return strings.HasSuffix(plain, "NONE") })
		want := map[byte]string{'1': "1 example.org:7001 NONE", '2': "2 example.org:7002 NONE", '3': "-1 :-1 COORDINATOR_NOT_AVAILABLE"}[plain[0]]
		if got := find("out", group); got != want {
			t.Errorf("by the other listener it is %s: got %s, want %s", plain, got, want)
		}
		seen[want] = true
	}
	if len(seen) < 2 {
		t.Errorf("all coordinators are on one broker: %v", seen)
	}

	c.create("t", 2, 1)
	c.until("broker 1 knows that 2 leads", func() bool { return c.describedBy(1, "", 12, "t").Leader == 2 })
	req := produceRequest("t", -1, plain("a"))
	req.Version = 10
	for listener, port := range map[string]int32{"": 9001, "out": 7002} {
		r := c.askBy(1, ConnID(40+len(listener)), listener, req).(*kmsg.ProduceResponse)
		if len(r.Brokers) != 1 || r.Brokers[0].Port != port || r.Topics[0].Partitions[0].CurrentLeader.LeaderID != 2 {
			t.Errorf("%q: %+v", listener, r)
		}
	}
}

// Nobody is sent to read from a replica that it can't reach.
func TestTheClosestReplicaOfAListener(t *testing.T) {
	c := newListening(t)
	c.create("t", 1, 2, 3)
	c.produce("t", "a")
	c.until("broker 1 leads, and all have it", func() bool {
		return c.leader("t") == 1 && len(c.isr(1, "t")) == 3 && c.nodes[3].node.partitions[c.groupOf("t")].group.applied > 1
	})
	for _, want := range []struct {
		listener, rack string
		preferred      int32
	}{{"", "r2", 2}, {"", "r3", 3}, {"out", "r2", 2}, {"out", "r3", -1}} {
		req := fetchRequest("t", 0)
		req.Rack = want.rack
		p := c.askBy(1, ConnID(50+len(want.listener)), want.listener, req).(*kmsg.FetchResponse).Topics[0].Partitions[0]
		if p.PreferredReadReplica != want.preferred {
			t.Errorf("%+v: sent to %d", want, p.PreferredReadReplica)
		}
	}
}

// A registration of a release that knew no listeners is the broker with its one listener, and one of this release without
// listeners is the same bytes as before.
func TestMembersOfEarlierReleases(t *testing.T) {
	const old = `{"Origin":2,"Session":1,"Seq":1,"Register":{"ID":2,"Host":"b","Port":9092,"Rack":"r","Peer":"b:1","Folder":"f","Incarnation":1}}`
	cmd, err := parseCommand([]byte(old))
	if err != nil {
		t.Fatal(err)
	}
	if h, p, ok := cmd.Register.at(""); !ok || h != "b" || p != 9092 {
		t.Errorf("%s:%d %v", h, p, ok)
	}
	if _, _, ok := cmd.Register.at("out"); ok {
		t.Error("it has a listener that it never told of")
	}
	if text, _ := json.Marshal(&cmd); string(text) != old {
		t.Errorf("written anew: %s", text)
	}
	for listeners, want := range map[string]string{
		`[{"Listener":"b","Host":"h","Port":1},{"Listener":"a","Host":"h","Port":1}]`: "out of order",
		`[{"Listener":"a","Host":"h","Port":1},{"Listener":"a","Host":"h","Port":2}]`: "there twice",
		`[{"Listener":"a b","Host":"h","Port":1}]`:                                    "is no name of a listener",
		`[{"Listener":"","Host":"h","Port":1}]`:                                       "is no name of a listener",
		`[{"Listener":"a","Host":"h","Port":70000}]`:                                  "no address for listener a",
		`[{"Listener":"a","Port":7}]`:                                                 "no address for listener a",
	} {
		text := strings.Replace(old, `"Peer"`, `"Listeners":`+listeners+`,"Peer"`, 1)
		if _, err := parseCommand([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", listeners, err)
		}
	}
}

// Listeners outlive a checkpoint of the catalog, and a start with fewer of them takes effect.
func TestListenersAreKept(t *testing.T) {
	c := newListening(t)
	m := c.nodes[2]
	m.cfg.Members = slices.Clone(m.cfg.Members)
	for i := range m.cfg.Members {
		m.cfg.Members[i].Listeners = nil
	}
	again := newCatalog(c.nodes[1].node)
	if err := again.restore([][]byte{c.nodes[1].node.catalog.state(0)}); err != nil {
		t.Fatal(err)
	}
	if _, port, ok := again.broker(2).at("out"); !ok || port != 7002 {
		t.Errorf("after a checkpoint: %+v", again.broker(2))
	}
	c.kill(2)
	c.restart(2, m.dir, 11)
	c.until("broker 1 hears that the listener is gone", func() bool { return !c.nodes[1].node.reachable(2, "out") })
}

// SPDX-License-Identifier: Apache-2.0

package main

import "github.com/twmb/franz-go/pkg/kmsg"

const ofGroup = kmsg.ConfigResourceTypeGroupConfig

// withSynonyms asks for one configuration and where it is from.
func withSynonyms(kind kmsg.ConfigResourceType, name, key string) *kmsg.DescribeConfigsRequest {
	req := describeConfigs(kind, name, key)
	req.IncludeSynonyms = true
	return req
}

// configured asks what a configuration is once the brokers know.
func (s *session) configured(row string, kind kmsg.ConfigResourceType, name, key, not string) {
	req := withSynonyms(kind, name, key)
	s.until(req, not)
	s.row(row, req)
}

func listResources(kind kmsg.ConfigResourceType) *kmsg.ListConfigResourcesRequest {
	req := kmsg.NewPtrListConfigResourcesRequest()
	req.Version, req.ResourceTypes = 1, []int8{int8(kind)}
	return req
}

// groupConfigsScene is about the configurations of groups (KIP-848).
func groupConfigsScene(s *session) {
	const session, beat, interval = "consumer.session.timeout.ms", "consumer.heartbeat.interval.ms", "consumer.assignment.interval.ms"
	s.row("a session by default", withSynonyms(ofGroup, "c-none", session))
	s.row("a heartbeat by default", withSynonyms(ofGroup, "c-none", beat))
	s.row("an interval by default", withSynonyms(ofGroup, "c-none", interval))
	s.row("an unknown key", describeConfigs(ofGroup, "c-none", "no.such.key"))
	s.row("empty group", describeConfigs(ofGroup, "", session))
	s.row("none are listed", listResources(ofGroup))
	s.row("alter", alter(ofGroup, "c", set(session, "50000")))
	s.configured("altered", ofGroup, "c", session, "Source=DEFAULT_CONFIG IsS")
	s.row("one is listed", listResources(ofGroup))
	for _, v := range []string{"44999", "60001", "0", "-1", "x", "", "50000.5", "99999999999"} {
		s.row("a session of "+v, alter(ofGroup, "c", set(session, v)))
	}
	for _, v := range []string{"4999", "15001", "x", "15000"} {
		s.row("a heartbeat of "+v, alter(ofGroup, "c", set(beat, v)))
	}
	s.row("an interval of 0", alter(ofGroup, "c", set(interval, "0")))
	s.row("an interval of 1000", alter(ofGroup, "c", set(interval, "1000")))
	s.row("an interval of 15001", alter(ofGroup, "c", set(interval, "15001")))
	s.row("of share groups", alter(ofGroup, "c", set("share.session.timeout.ms", "50000")))
	s.row("of streams groups", alter(ofGroup, "c", set("streams.num.standby.replicas", "1")))
	s.row("alter, unknown key", alter(ofGroup, "c", set("no.such.key", "1")))
	s.row("alter, a key twice", alter(ofGroup, "c", set(session, "50000"), set(session, "51000")))
	s.row("alter, null", alter(ofGroup, "c", change{session, 0, nil}))
	s.row("alter, append", alter(ofGroup, "c", change{session, 2, kmsg.StringPtr("1")}))
	s.row("alter, empty group", alter(ofGroup, "", set(session, "50000")))
	s.row("alter, nothing", alter(ofGroup, "c-new"))
	s.row("delete what isn't there", alter(ofGroup, "c-new", change{session, 1, nil}))
	s.row("delete an unknown key", alter(ofGroup, "c-new", change{"no.such.key", 1, nil}))
	s.row("replace", replaceConfigs(ofGroup, "c", session, "55000"))
	s.configured("replaced", ofGroup, "c", session, `Value="50000"`)
	s.configured("replaced by leaving out", ofGroup, "c", beat, `Value="15000"`)
	s.row("delete", alter(ofGroup, "c", change{session, 1, nil}))
	s.configured("deleted", ofGroup, "c", session, `Value="55000"`)
	s.row("none are listed any more", listResources(ofGroup))
}

// brokerConfigsScene is about those that can be changed of a broker (KIP-226).
func brokerConfigsScene(s *session) {
	const threads, policy, retention, login = "background.threads", "log.cleanup.policy", "log.retention.ms", "sasl.kerberos.min.time.before.relogin"
	s.topic("bc", 1)
	s.row("threads by default", withSynonyms(ofBroker, "1", threads))
	s.row("alter threads", alter(ofBroker, "1", set(threads, "9")))
	s.configured("altered threads", ofBroker, "1", threads, `Value="10" ReadOnly`)
	s.row("delete threads", alter(ofBroker, "1", change{threads, 1, kmsg.StringPtr("")}))
	s.row("threads that are no number", alter(ofBroker, "1", set(threads, "x")))
	s.row("no threads", alter(ofBroker, "1", set(threads, "0")))
	s.row("append to a policy", alter(ofBroker, "1", change{policy, 2, kmsg.StringPtr("compact")}))
	s.configured("appended", ofBroker, "1", policy, `Value="delete" ReadOnly`)
	s.configured("a topic's policy", ofTopic, "bc", "cleanup.policy", `Value="delete" ReadOnly`)
	s.row("subtract from a policy", alter(ofBroker, "1", change{policy, 3, kmsg.StringPtr("compact")}))
	s.configured("subtracted", ofBroker, "1", policy, "delete,compact")
	s.row("delete a policy", alter(ofBroker, "1", change{policy, 1, nil}))
	s.row("replace", replaceConfigs(ofBroker, "1", login, "58000"))
	s.configured("replaced", ofBroker, "1", login, `Value="60000" ReadOnly`)
	s.row("replace by nothing", replaceConfigs(ofBroker, "1"))
	s.row("for all", alter(ofBroker, "", set(retention, "500000")))
	s.configured("of all", ofBroker, "", retention, "Configs=[]")
	s.configured("a topic's retention", ofTopic, "bc", "retention.ms", `Value="604800000" ReadOnly`)
	s.row("for one", alter(ofBroker, "1", set(retention, "400000")))
	s.configured("a topic's retention on this one", ofTopic, "bc", "retention.ms", `Value="500000" ReadOnly`)
	s.row("for all, not any more", alter(ofBroker, "", change{retention, 1, nil}))
	s.row("for one, not any more", alter(ofBroker, "1", change{retention, 1, nil}))
	s.configured("a topic's retention as it was", ofTopic, "bc", "retention.ms", "DYNAMIC")
	s.row("throttle", alter(ofBroker, "1", set("leader.replication.throttled.rate", "10000000"), set("follower.replication.throttled.rate", "10000000")))
	s.row("throttle that is no number", alter(ofBroker, "1", set("leader.replication.throttled.rate", "x")))
	s.row("throttle, slow", alter(ofBroker, "1", set("leader.replication.throttled.rate", "1000")))
	s.row("no throttle", alter(ofBroker, "1", change{"leader.replication.throttled.rate", 1, nil}, change{"follower.replication.throttled.rate", 1, nil}))
	s.row("what is read-only", alter(ofBroker, "1", set("broker.id", "2")))
	s.row("what is read-only, for all", alter(ofBroker, "", set("auto.create.topics.enable", "false")))
	s.row("an unknown key", alter(ofBroker, "1", set("no.such.key", "1")))
	s.row("delete an unknown key", alter(ofBroker, "1", change{"no.such.key", 1, nil}))
	s.row("a key twice", alter(ofBroker, "1", set(threads, "9"), set(threads, "8")))
	s.row("brokers are listed", listResources(ofBroker))
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ofRights is for a cluster with logins and rules. What a client may do is part of its answers; the order of lists isn't.
var ofRights = lens{
	also(without(leftOut, "AuthorizedOperations", "ClusterAuthorizedOperations"), "ApiKeys", "SupportedFeatures", "FinalizedFeatures", "FinalizedFeaturesEpoch"),
	inKind,
	also(unordered, "Topics", "Groups", "Resources", "Coordinators", "TransactionStates", "Results", "ConfigResources"),
}

func also(set map[string]bool, names ...string) map[string]bool {
	more := maps.Clone(set)
	for _, name := range names {
		more[name] = true
	}
	return more
}

// loginsScene is about the exchange of the login itself.
func loginsScene(s *session) {
	// again asks by a new connection, and tells all answers.
	again := func(name string, reqs ...kmsg.Request) {
		s.hangUp()
		var said []string
		for _, req := range reqs {
			resp := s.quiet(req)
			if resp == nil {
				said = append(said, "no answer")
				break
			}
			said = append(said, s.lens.render(resp))
		}
		s.answers = append(s.answers, answer{s.scene + ": " + name, strings.Join(said, "; ")})
	}
	old := handshake(mechanism)
	old.Version = 0
	again("ApiVersions", &kmsg.ApiVersionsRequest{Version: 3, ClientSoftwareName: "judge", ClientSoftwareVersion: "1"}, handshake(mechanism))
	again("ApiVersions twice", &kmsg.ApiVersionsRequest{Version: 2}, &kmsg.ApiVersionsRequest{Version: 2}, handshake(mechanism))
	again("ApiVersions after the handshake", handshake(mechanism), &kmsg.ApiVersionsRequest{Version: 2})
	again("handshake", handshake(mechanism))
	again("handshake, version 0", old)
	again("handshake twice", handshake(mechanism), handshake(mechanism))
	again("an unknown mechanism", handshake("GSSAPI"))
	again("a mechanism that isn't set", handshake("PLAIN"))
	again("no mechanism", handshake(""))
	again("after an unknown mechanism", handshake("GSSAPI"), handshake(mechanism))
	again("authenticate at once", authenticate("n,,n=admin,r=abc"))
	again("first message", handshake(mechanism), authenticate("n,,n=admin,r=abc"))
	again("empty message", handshake(mechanism), authenticate(""))
	again("garbage", handshake(mechanism), authenticate("garbage"))
	again("channel binding", handshake(mechanism), authenticate("p=tls-unique,,n=admin,r=abc"))
	again("as somebody else", handshake(mechanism), authenticate("n,a=other,n=admin,r=abc"))
	again("unknown user", handshake(mechanism), authenticate("n,,n=nobody-at-all,r=abc"))
	again("no proof", handshake(mechanism), authenticate("n,,n=admin,r=abc"), authenticate("c=biws,r=abc"))
	again("wrong proof", handshake(mechanism), authenticate("n,,n=admin,r=abc"), authenticate("c=biws,r=abc,p=AAAA"))
	s.as(administrator)
	s.row("who logged in shakes hands", handshake(mechanism))
	s.as(administrator)
	s.row("who logged in authenticates", authenticate("n,,n=admin,r=abc"))
	s.as(administrator)
	s.row("who logged in asks for versions", &kmsg.ApiVersionsRequest{Version: 2})
}

// patternsScene asks for the offsets of a topic by rules of every kind.
func patternsScene(s *session) {
	s.as(administrator)
	for _, name := range []string{"pat", "pat-all", "pat-none"} {
		s.topic(name, 1)
		s.demand(produce(name, records(nil, "v")))
	}
	var turns []turn
	add := func(topic string, rules ...string) {
		name := topic + ": " + strings.Join(rules, ", ")
		turns = append(turns, turn{name, fmt.Sprintf("p%d", len(turns)), listOffsets(topic, 0, -2), rules})
	}
	add("pat", "ALLOW DESCRIBE TOPIC pat")
	add("pat", "ALLOW DESCRIBE TOPIC pa")
	add("pat", "ALLOW DESCRIBE TOPIC pa...")
	add("pat", "ALLOW DESCRIBE TOPIC pat...")
	add("pat", "ALLOW DESCRIBE TOPIC pat-...")
	add("pat", "ALLOW DESCRIBE TOPIC *")
	add("pat", "ALLOW DESCRIBE TOPIC *...")
	add("pat", "ALLOW DESCRIBE GROUP pat")
	add("pat", "ALLOW DESCRIBE TOPIC pat as User:P0")
	add("pat", "ALLOW DESCRIBE TOPIC pat as Group:p8")
	add("pat", "ALLOW DESCRIBE TOPIC pat from 127.0.0.1")
	add("pat", "ALLOW DESCRIBE TOPIC pat from 127.0.0.2")
	add("pat", "ALLOW DESCRIBE TOPIC pat from 127.0.0.0/8")
	for _, op := range []string{"READ", "WRITE", "DELETE", "ALTER", "CREATE", "DESCRIBE_CONFIGS", "ALTER_CONFIGS", "ALL"} {
		add("pat", "ALLOW "+op+" TOPIC pat")
		add("pat", "ALLOW DESCRIBE TOPIC pat", "DENY "+op+" TOPIC pat")
	}
	add("pat", "ALLOW ALL TOPIC pat", "DENY DESCRIBE TOPIC pat")
	add("pat", "ALLOW ALL TOPIC pat", "DENY DESCRIBE TOPIC p...")
	add("pat", "ALLOW ALL TOPIC pat", "DENY DESCRIBE TOPIC *")
	add("pat", "ALLOW ALL TOPIC pat", "DENY DESCRIBE TOPIC pat-...")
	add("pat", "ALLOW ALL TOPIC pat", "DENY DESCRIBE TOPIC pat from 127.0.0.1")
	add("pat", "ALLOW ALL TOPIC pat", "DENY DESCRIBE TOPIC pat from 127.0.0.2")
	add("pat-all", "ALLOW DESCRIBE TOPIC pat-all as User:*")
	add("pat-all")
	add("pat-none", "ALLOW ALL TOPIC pat-none", "DENY ALL TOPIC pat-none as User:*")
	s.prepare(turns)
	for _, t := range turns {
		s.as(t.user)
		s.row(t.name, t.req)
	}
	s.as(administrator)
	s.row("pat-none, by a super user", listOffsets("pat-none", 0, -2))
}

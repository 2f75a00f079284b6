// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// mistake is something that people get wrong in a configuration, and the exact answer. FILE stands for the
// configuration file.
type mistake struct {
	file string
	args []string
	env  []string
	want string
}

// inFile and the others make mistakes of one kind.
func inFile(text, want string) mistake { return mistake{file: text, want: want} }
func inEnv(pair, want string) mistake  { return mistake{env: []string{pair}, want: want} }
func inArgs(want string, args ...string) mistake {
	return mistake{args: args, want: want}
}

const pair = "cluster_id = 'c'\n[[members]]\nid = 1\nkafka = 'a:1'\npeer = 'a:2'\n[[members]]\nid = 2\nkafka = 'b:1'\npeer = 'b:2'\n"

var mistakes = []mistake{
	inFile("default_partitions = -3", `FILE:1: default_partitions: -3: out of range; write 1 to 10000`),
	inFile("default_partitions = 0", `FILE:1: default_partitions: 0: out of range; write 1 to 10000`),
	inFile("default_partitions = 70000", `FILE:1: default_partitions: 70000: out of range; write 1 to 10000`),
	inFile("default_partitions = '3x'", `FILE:1: default_partitions: "3x": this is a count and has no unit "x"; write 1 to 10000`),
	inFile("default_partitions = 1.5", `FILE:1: default_partitions: 1.5 is a number with a fraction; write a whole number, 1 to 10000`),
	inFile("default_partitions = true", `FILE:1: default_partitions: true is a boolean; write a whole number, 1 to 10000`),
	inFile("default_partitions = []", `FILE:1: default_partitions: [] is a list; write a whole number, 1 to 10000`),
	inFile("default_partitions = 99999999999999999999", `FILE:1: default_partitions: 99999999999999999999 is out of range for int64`),
	inFile("default_replicas = 0", `FILE:1: default_replicas: 0: out of range; write 1 to 1000`),
	inFile("default_replicas = -2", `FILE:1: default_replicas: -2: out of range; write 1 to 1000`),
	inFile("default_replicas = 40000", `FILE:1: default_replicas: 40000: out of range; write 1 to 1000`),
	inFile("broker_id = -1", `FILE:1: broker_id: -1: out of range; write 0 to 65535`),
	inFile("broker_id = 65536", `FILE:1: broker_id: 65536: out of range; write 0 to 65535`),
	inFile("broker_id = 'one'", `FILE:1: broker_id: "one": that is no number; write 0 to 65535`),
	inFile("broker_id = 1979-05-27", `FILE:1: broker_id: 1979-05-27 00:00:00 +0000 date-local is a time; write a whole number, 0 to 65535`),
	inFile("segment_bytes = 1", `FILE:1: segment_bytes: 1: out of range; write 64KiB to 1GiB (a plain number counts bytes)`),
	inFile("segment_bytes = '2GiB'", `FILE:1: segment_bytes: "2GiB": out of range; write 64KiB to 1GiB (a plain number counts bytes)`),
	inFile("segment_bytes = '64 Mib'", `FILE:1: segment_bytes: "64 Mib": there is no unit "Mib" here; use TiB, GiB, MiB, KiB, TB, GB, MB, kB, KB, B`),
	inFile("segment_bytes = '64M'", `FILE:1: segment_bytes: "64M": there is no unit "M" here; use TiB, GiB, MiB, KiB, TB, GB, MB, kB, KB, B`),
	inFile("hot_bytes = -1", `FILE:1: hot_bytes: -1: out of range; write 64KiB to 1TiB (a plain number counts bytes)`),
	inFile("hot_bytes = 1", `FILE:1: hot_bytes: 1: out of range; write 64KiB to 1TiB (a plain number counts bytes)`),
	inFile("hot_bytes = '9999999TiB'", `FILE:1: hot_bytes: "9999999TiB": out of range; write 64KiB to 1TiB (a plain number counts bytes)`),
	inFile("cache_bytes = -1", `FILE:1: cache_bytes: -1: out of range; write 4KiB to 1TiB (a plain number counts bytes)`),
	inFile("cache_bytes = ''", `FILE:1: cache_bytes: "": that is no number; write 4KiB to 1TiB, for example 64MiB`),
	inFile("max_message_bytes = -1", `FILE:1: max_message_bytes: -1: out of range; write 1KiB to 512MiB (a plain number counts bytes)`),
	inFile("max_message_bytes = 5000000000", `FILE:1: max_message_bytes: 5000000000: out of range; write 1KiB to 512MiB (a plain number counts bytes)`),
	inFile("max_message_bytes = '200MiB'\nmax_request_bytes = '1MiB'", `FILE:1: max_message_bytes (200MiB) is too much for FILE:2: max_request_bytes (1MiB): a batch comes in a request; lower the first or raise the second`),
	inFile("max_request_bytes = -1", `FILE:1: max_request_bytes: -1: out of range; write 64KiB to 1GiB (a plain number counts bytes)`),
	inFile("max_request_bytes = 5000000000", `FILE:1: max_request_bytes: 5000000000: out of range; write 64KiB to 1GiB (a plain number counts bytes)`),
	inFile("max_request_bytes = '300MiB'\ninflight_bytes = '256MiB'", `FILE:1: max_request_bytes (300MiB) is too much for FILE:2: inflight_bytes (256MiB): a request has to fit what all clients together may have under way; lower the first or raise the second`),
	inFile("max_connections = -1", `FILE:1: max_connections: -1: out of range; write 1 to 1000000`),
	inFile("max_connections = 0", `FILE:1: max_connections: 0: out of range; write 1 to 1000000`),
	inFile("max_connections = '10k'", `FILE:1: max_connections: "10k": this is a count and has no unit "k"; write 1 to 1000000`),
	inFile("inflight_bytes = -1", `FILE:1: inflight_bytes: -1: out of range; write 1MiB to 1TiB (a plain number counts bytes)`),
	inFile("retention_ms = -5", `FILE:1: retention_ms: -5: out of range; write 1ms to 365000d or -1 (a plain number counts ms)`),
	inFile("retention_ms = 0", `FILE:1: retention_ms: 0: out of range; write 1ms to 365000d or -1 (a plain number counts ms)`),
	inFile("retention_ms = '7 days'", `FILE:1: retention_ms: "7 days": there is no unit "days" here; use d, h, min, m, s, ms`),
	inFile("retention_ms = '1.5d'", `FILE:1: retention_ms: "1.5d": write a whole number: 1ms to 365000d or -1, for example 500ms or 7d`),
	inFile("retention_bytes = -7", `FILE:1: retention_bytes: -7: out of range; write 1 to 1024TiB or -1 (a plain number counts bytes)`),
	inFile("retention_bytes = 0", `FILE:1: retention_bytes: 0: out of range; write 1 to 1024TiB or -1 (a plain number counts bytes)`),
	inFile("checkpoint_entries = -1", `FILE:1: checkpoint_entries: -1: out of range; write 1 to 1000000000`),
	inFile("checkpoint_bytes = -1", `FILE:1: checkpoint_bytes: -1: out of range; write 4KiB to 1TiB (a plain number counts bytes)`),
	inFile("retain_entries = -1", `FILE:1: retain_entries: -1: out of range; write 1 to 1000000000`),
	inFile("raft_log_retention = -1", `FILE:1: raft_log_retention: -1: out of range; write 1 to 1000000000`),
	inFile("raft_log_retention = 0", `FILE:1: raft_log_retention: 0: out of range; write 1 to 1000000000`),
	inFile("catch_up_bytes_per_second = 1", `FILE:1: catch_up_bytes_per_second: 1: out of range; write 64KiB to 1TiB or -1 (a plain number counts bytes)`),
	inFile("catch_up_bytes_per_second = 0", `FILE:1: catch_up_bytes_per_second: 0: out of range; write 64KiB to 1TiB or -1 (a plain number counts bytes)`),
	inFile("scrub_bytes_per_second = -100", `FILE:1: scrub_bytes_per_second: -100: out of range; write 1KiB to 1TiB or -1 (a plain number counts bytes)`),
	inFile("group_max_size = -1", `FILE:1: group_max_size: -1: out of range; write 1 to 1000000`),
	inFile("group_partitions = 0", `FILE:1: group_partitions: 0: out of range; write 1 to 10000`),
	inFile("group_initial_delay_ms = -100", `FILE:1: group_initial_delay_ms: -100: out of range; write 0 to 1h (a plain number counts ms)`),
	inFile("offsets_retention_ms = -1", `FILE:1: offsets_retention_ms: -1: out of range; write 1s to 36500d (a plain number counts ms)`),
	inFile("group_consumer_session_ms = -1", `FILE:1: group_consumer_session_ms: -1: out of range; write 1s to 1d (a plain number counts ms)`),
	inFile("group_consumer_heartbeat_ms = '1min'", `FILE:1: group_consumer_heartbeat_ms (1min) is too much for group_consumer_session_ms (45s): members would be taken for dead between two heartbeats; lower the first or raise the second`),
	inFile("group_min_session_ms = '1h'\n", `FILE:1: group_min_session_ms (1h) is too much for group_max_session_ms (30min): otherwise no member can join a group; lower the first or raise the second`),
	inFile("default_partitions = 3000", `FILE:1: default_partitions (3000) is too much for max_partitions_per_broker (2000): otherwise a broker that is alone makes no topic by default; lower the first or raise the second`),
	inFile("group_min_session_ms = '-6s'", `FILE:1: group_min_session_ms: "-6s": out of range; write 1ms to 1d (a plain number counts ms)`),
	inFile("cpus = -1", `FILE:1: cpus: -1: out of range; write 0 to 1024`),
	inFile("join = 'yes'", `FILE:1: join: "yes" is a text; write true or false without quotes`),
	inFile("join = 1", `FILE:1: join: 1 is a number; write true or false`),
	inFile("auto_create_topics = 'false'", `FILE:1: auto_create_topics: "false" is a text; write true or false without quotes`),
	inFile("rack = 5", `FILE:1: rack: 5 is a number; write a text in quotes`),
	inFile("rack = ' r1'", `FILE:1: rack is " r1": use at most 200 letters, digits and signs, without spaces at its ends or line breaks`),
	inFile("cluster_id = 'my cluster'", `FILE:1: cluster_id is "my cluster": use at most 200 letters, digits and signs, without spaces at its ends or line breaks`),
	inFile("dir = ''", `FILE:1: dir is empty; name the folder for the data`),
	inFile("log_format = 'xml'", `FILE:1: log_format is "xml"; use text or json`),
	inFile("log_level = 'verbose'", `FILE:1: log_level is "verbose"; use debug, info, warn or error`),
	inFile("\nlisten = 'host'", `FILE:2: listen: "host" is no host:port: the port is missing`),
	inFile("listen = 'host:0'", `FILE:1: listen: "host:0" has no port from 1 to 65535`),
	inFile("listen = 'host:99999'", `FILE:1: listen: "host:99999" has no port from 1 to 65535`),
	inFile("listen = '0.0.0.0:9092'", `FILE:1: listen: "0.0.0.0:9092" means every address of this machine, which nobody else can connect to; set advertise (for clients) or this member's peer (for brokers) to a name or address that they can use`),
	inFile("listen = ':9092'", `FILE:1: listen: ":9092" means every address of this machine, which nobody else can connect to; set advertise (for clients) or this member's peer (for brokers) to a name or address that they can use`),
	inFile("listen = 'http://a:9092'", `FILE:1: listen: "http://a:9092" is no host:port: leave out http://`),
	inFile("listen = '::1:9092'", `FILE:1: listen: "::1:9092" is no host:port: put an IPv6 address into brackets, [::1]:9092`),
	inFile("listen = 9092", `FILE:1: listen: 9092 is a number; write a text in quotes`),
	inFile("listen = 'a b:1'", `FILE:1: listen: "a b:1": "a b" is no name of a machine`),
	inFile("listen = ''", `FILE:1: listen: "" is no host:port: the port is missing`),
	inFile("listen = 'a:1,b:1'", `FILE:1: listen: "a:1,b:1" is no host:port: give one address`),
	inFile("advertise = '0.0.0.0:1'", `FILE:1: advertise: "0.0.0.0:1" means every address of this machine, which nobody else can connect to; set advertise (for clients) or this member's peer (for brokers) to a name or address that they can use`),
	inFile("metrics = '9644'", `FILE:1: metrics: "9644" is no host:port: the port is missing`),
	inFile("metrics = '127.0.0.1:9092'", `listen and FILE:1: metrics are both 127.0.0.1:9092; every port needs an address of its own`),
	inFile("pprof = 'x'", `FILE:1: pprof: "x" is no host:port: the port is missing`),
	inFile("peer_listen = 'a:1'", `cluster_id is missing: give every broker of a cluster the same one, for example ...`),
	inFile("hot-bytes = 1", `FILE:1: there is no setting "hot-bytes"; did you mean "hot_bytes"?`),
	inFile("Listen = 'a:1'", `FILE:1: there is no setting "Listen"; did you mean "listen"?`),
	inFile("broker.id=1", `FILE:1: there is no setting "broker"; did you mean "broker_id"?`),
	inFile("listen: a:1\n", `FILE:1: this is no TOML: expected '.' or '=', but got ':' instead; write NAME = VALUE, with texts in quotes`),
	inFile("listen = a:1", `FILE:1: this is no TOML: expected value but found "a" instead; write NAME = VALUE, with texts in quotes`),
	inFile("listen = ", `FILE:1: this is no TOML: unexpected EOF; expected value; write NAME = VALUE, with texts in quotes`),
	inFile("listen = 'a:1", `FILE:1: this is no TOML: unexpected EOF; expected "'"; write NAME = VALUE, with texts in quotes`),
	inFile("listen = 'a:1'\nlisten = 'b:1'", `FILE:2: Key 'listen' has already been defined; write it once`),
	inFile("{\"listen\": 1}", `FILE:1: this is no TOML: expected '.' or '=', but got '{' instead; write NAME = VALUE, with texts in quotes`),
	inFile("config = 'x'", `FILE:1: there is no setting "config"; did you mean "join"?`),
	inFile("[broker]\nlisten = 'a:1'", `FILE:1: there is no setting "broker"; did you mean "broker_id"?`),
	inFile("members = 'a:1'", `FILE:1: members is a text; write a table [[members]] with id, kafka and peer for each broker`),
	inFile("members = [1]", `FILE:1: members is a list; write a table [[members]] with id, kafka and peer for each broker`),
	inFile("[members]\nid = 1", `FILE:1: members is a table; write a table [[members]] with id, kafka and peer for each broker`),
	inFile("[[member]]\nid = 1", `FILE:1: there is no setting "member"; did you mean "members"?`),
	inFile("listeners = 'a:1'", `FILE:1: listeners is a text; write a table [[listeners]] with name and listen for each listener`),
	inFile("[[listener]]\nname = 'x'", `FILE:1: there is no setting "listener"; did you mean "listeners"?`),
	inFile("[[listeners]]\nname = 'x'", `FILE:1: [[listeners]] has no listen; write name and listen for each listener (number 1 of [[listeners]])`),
	inFile("[[listeners]]\nlisten = 'a:1'", `FILE:1: [[listeners]] has no name; write name and listen for each listener (number 1 of [[listeners]])`),
	inFile("[[listeners]]\nname = 'a b'\nlisten = 'a:1'", `FILE:2: listeners.name: "a b" is no name of a listener: use 1 to 64 letters, digits, dots, hyphens and underscores (number 1 of [[listeners]])`),
	inFile("[[listeners]]\nname = 1\nlisten = 'a:1'", `FILE:2: listeners.name = 1 is a number; write a text in quotes (number 1 of [[listeners]])`),
	inFile("[[listeners]]\nname = 'x'\nlistens = 'a:1'", `FILE:3: there is no setting "listeners.listens"; did you mean "listen"? (number 1 of [[listeners]])`),
	inFile("[[listeners]]\nname = 'x'\nlisten = 'a:1'\nmax_connections = 0", `FILE:4: listeners.max_connections = 0 is out of range; use 1 to 1000000 (number 1 of [[listeners]])`),
	inFile("[[listeners]]\nname = 'x'\nlisten = 'a:1'\nmax_connection_creation_rate = '5'", `FILE:4: listeners.max_connection_creation_rate = 5 is a text; write a number (number 1 of [[listeners]])`),
	inFile("[[listeners]]\nname = 'x'\nlisten = 'a'", `FILE:3: listeners.listen: "a" is no host:port: the port is missing`),
	inFile("[[listeners]]\nname = 'x'\nlisten = '0.0.0.0:1'", `FILE:3: listeners.listen: "0.0.0.0:1" means every address of this machine, which nobody else can connect to; set this listener's advertise to a name or address that they can use`),
	inFile("[[listeners]]\nname = 'x'\nlisten = '0.0.0.0:1'\nadvertise = 'b'", `FILE:4: listeners.advertise: "b" is no host:port: the port is missing`),
	inFile("[[listeners]]\nname = 'x'\nlisten = '127.0.0.1:9092'", `listen and FILE:3: listeners.listen are both 127.0.0.1:9092; every port needs an address of its own`),
	inFile("[[listeners]]\nname = 'x'\nlisten = 'a:1'\n[[listeners]]\nname = 'x'\nlisten = 'a:2'", `FILE:2: listeners.name and FILE:5: listeners.name are both "x"; give every listener a name of its own`),
	inFile("tls_key_file = 'x'", `FILE:1: tls_key_file is set, but there is no tls_cert_file, so that this port has no TLS: name its certificate there, or leave this out`),
	inFile("tls_client_auth = 'required'", `FILE:1: tls_client_auth is set, but there is no tls_cert_file, so that this port has no TLS: name its certificate there, or leave this out`),
	inFile("tls_cert_file = 'x'", `FILE:1: tls_cert_file is set, but there is no tls_key_file: name the certificate's key there`),
	inFile("tls_cert_file = '/x'\ntls_key_file = '/y'", `FILE:1: tls_cert_file: open /x: no such file or directory`),
	inFile("tls_cert_file = '/etc/hosts'\ntls_key_file = '/etc/hosts'", `FILE:1: tls_cert_file: /etc/hosts and /etc/hosts are no certificate and its key, both in PEM: tls: failed to find any PEM data in certificate input`),
	inFile("tls_cert_file = 'x'\ntls_key_file = 'y'\ntls_client_auth = 'yes'", `FILE:3: tls_client_auth is "yes"; use none, requested or required`),
	inFile("tls_cert_file = 'x'\ntls_key_file = 'y'\ntls_client_auth = 'required'", `FILE:3: tls_client_auth is required, but there is no tls_client_ca_file: name the authorities of clients' certificates there`),
	inFile("tls_cert_file = 'x'\ntls_key_file = 'y'\ntls_client_ca_file = '/z'", `FILE:3: tls_client_ca_file is set, but no client is asked for a certificate: set tls_client_auth to requested or required`),
	inFile("tls_cert_file = 'x'\ntls_key_file = 'y'\ntls_min_version = '1.1'", `FILE:3: tls_min_version is "1.1"; use 1.2 or 1.3`),
	inFile("tls_cert_file = 'x'\ntls_key_file = 'y'\ntls_principal_rules = 'CN'", `FILE:3: tls_principal_rules: "CN" is no rule: write DEFAULT, or RULE:pattern/replacement/ with L or U after it for lower or upper case`),
	inFile("listen = 'a:1'", `FILE:1: listen is a:1, which other machines may reach, and clients don't have to prove there who they are: whoever connects may do everything. Set sasl = "SCRAM-SHA-512", or tls_client_auth = "required" with its files (docs/SECURITY.md), or a loopback address; or set allow_strangers = true, if only those can connect whom you trust`),
	inFile("listen = '0.0.0.0:9092'\nadvertise = '127.0.0.1:9092'", `FILE:1: listen is 0.0.0.0:9092, which other machines may reach, ...`),
	inFile("[[listeners]]\nname = 'x'\nlisten = '10.0.0.5:1'", `FILE:3: listeners.listen is 10.0.0.5:1, which other machines may reach, ...`),
	inFile("allow_strangers = 'yes'", `FILE:1: allow_strangers: "yes" is a text; write true or false without quotes`),
	inFile("peer_tls = 'accept'", `FILE:1: peer_tls is set, but there is no peer_tls_cert_file, so that brokers have no TLS: name this broker's certificate there, or leave this out`),
	inFile("peer_tls = 'off'", `FILE:1: peer_tls is "off"; use required, dial or accept`),
	inFile("peer_tls_cert_file = '/x'", `FILE:1: peer_tls_cert_file is set, but not peer_tls_key_file, without which it is of no use`),
	inFile("peer_tls_cert_file = '/x'\npeer_tls_key_file = '/y'", `FILE:1: peer_tls_cert_file is set, but not peer_tls_ca_file, without which it is of no use`),
	inFile("metrics_tls_client_ca_file = '/x'", `FILE:1: metrics_tls_client_ca_file is set, but not metrics_tls_cert_file, without which it is of no use`),
	inFile("metrics_tls_cert_file = '/x'\nmetrics_tls_key_file = '/y'", `FILE:1: metrics_tls_cert_file: open /x: no such file or directory`),
	inFile("[[listeners]]\nname = 'x'\nlisten = 'a:1'\ntls_cert_file = '/x'", `FILE:4: listeners.tls_cert_file is set, but there is no tls_key_file: name the certificate's key there`),
	inFile("[[members]]\nid = 1", `FILE:1: [[members]] has no kafka; write id, kafka and peer for each broker (number 1 of [[members]])`),
	inFile("[[members]]\nkafka = 'a:1'", `FILE:1: [[members]] has no id; write id, kafka and peer for each broker (number 1 of [[members]])`),
	inFile("[[members]]\nid = '1'\nkafka='a:1'", `FILE:2: members.id = "1": write a whole number, 0 to 65535 (number 1 of [[members]])`),
	inFile("[[members]]\nid = 70000\nkafka='a:1'", `FILE:2: members.id = 70000: write a whole number, 0 to 65535 (number 1 of [[members]])`),
	inFile("[[members]]\nid = 1\nkafka = 9092", `FILE:3: members.kafka = 9092 is a number; write a text in quotes (number 1 of [[members]])`),
	inFile("[[members]]\nid = 1\nkafka = 'a:1'\nhost = 'a'", `FILE:4: there is no setting "members.host"; did you mean "id"? (number 1 of [[members]])`),
	inFile(strings.Replace(pair, "id = 2", "id = 1", 1), `FILE:6: [[members]]: broker 1 is there twice; give every broker an id of its own`),
	inFile(strings.Replace(pair, "b:1", "a:1", 1), `FILE:4: members.kafka and FILE:8: members.kafka are both a:1; every port needs an address of its own`),
	inFile(strings.Replace(pair, "b:2", "a:2", 1), `FILE:5: members.peer and FILE:9: members.peer are both a:2; every port needs an address of its own`),
	inFile(strings.Replace(pair, "b:2", "a:1", 1), `FILE:4: members.kafka and FILE:9: members.peer are both a:1; every port needs an address of its own`),
	inFile(strings.Replace(pair, "peer = 'b:2'", "", 1), `FILE:6: [[members]]: broker 2 has no peer address; write for example peer = "10.0.0.5:9092"`),
	inFile(strings.Replace(pair, "b:2", "b", 1), `FILE:9: members.peer: "b" is no host:port: the port is missing`),
	inFile(strings.Replace(pair, "b:1", "0.0.0.0:1", 1), `FILE:8: members.kafka: "0.0.0.0:1" means every address of this machine, which nobody else can connect to; set advertise (for clients) or this member's peer (for brokers) to a name or address that they can use`),
	inFile(strings.Replace(pair, "cluster_id = 'c'", "", 1), `cluster_id is missing: give every broker of a cluster the same one, for example ...`),
	inFile("broker_id = 1\nrack = 'x'\n"+strings.Replace(pair, "peer = 'a:2'", "peer = 'a:2'\nrack = 'y'", 1), `FILE:2: rack is "x", but broker 1 stands in "y" by FILE:4: [[members]]: write it once, or both alike`),
	inFile("broker_id = 3\n"+pair, `FILE:1: broker_id is 3, but broker 3 is not in members, which lists 1, 2: add it there, or set broker_id to one of them`),
	inEnv("CHRONIK_DEFAULT_PARTITIONS=-3", `CHRONIK_DEFAULT_PARTITIONS is "-3": out of range; write 1 to 10000`),
	inEnv("CHRONIK_HOT_BYTES=", `CHRONIK_HOT_BYTES is "": that is no number; write 64KiB to 1TiB, for example 64MiB`),
	inEnv("CHRONIK_HOT_BYTES=lots", `CHRONIK_HOT_BYTES is "lots": that is no number; write 64KiB to 1TiB, for example 64MiB`),
	inEnv("CHRONIK_JOIN=maybe", `CHRONIK_JOIN is "maybe": write true or false`),
	inEnv("CHRONIK_BROKER_ID=1 2", `CHRONIK_BROKER_ID is "1 2": that is no number; write 0 to 65535`),
	inEnv("CHRONIK_LISTEN=host", `CHRONIK_LISTEN: "host" is no host:port: the port is missing`),
	inEnv("CHRONIK_LOG_LEVEL=x", `CHRONIK_LOG_LEVEL is "x"; use debug, info, warn or error`),
	inArgs(`invalid value "-3" for flag -default-partitions: out of range; write 1 to 10000`, "-default-partitions", "-3"),
	inArgs(`invalid value "1" for flag -hot-bytes: out of range; write 64KiB to 1TiB (a plain number counts bytes)`, "-hot-bytes", "1"),
	inArgs(`invalid boolean value "perhaps" for -join: write true or false`, "-join=perhaps"),
	inArgs(`there is no flag -hot_bytes; did you mean -hot-bytes?`, "-hot_bytes", "1"),
	inArgs(`-join is set, but members lists no other broker: list some of the cluster that this one is to join, and this one`, "-join"),
	inArgs(`-listen: "x" is no host:port: the port is missing`, "-listen", "x"),
	inArgs(`unexpected argument "extra"`, "extra"),
}

// Every refusal names the setting where it was given, its value, and what to write.
func TestMistakes(t *testing.T) {
	for _, m := range mistakes {
		path := filepath.Join(t.TempDir(), "broker.toml")
		if err := os.WriteFile(path, []byte(m.file), 0o644); err != nil {
			t.Fatal(err)
		}
		s, err := loadSettings(append([]string{"-config", path}, m.args...), m.env, io.Discard)
		if err == nil {
			_, err = s.hostConfig()
		}
		got := "accepted"
		if err != nil {
			got = strings.ReplaceAll(err.Error(), path, "FILE")
		}
		if want, _, cut := strings.Cut(m.want, "..."); got != m.want && !(cut && strings.HasPrefix(got, want)) {
			t.Errorf("%q %q %q:\ngot  %s\nwant %s", m.file, m.args, m.env, got, m.want)
		}
	}
	if len(mistakes) < 115 {
		t.Errorf("%d mistakes are tried, there were 115", len(mistakes))
	}
}

// A file that isn't there, isn't readable or isn't a file is said to be so.
func TestNoConfigurationFile(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		"":                    "-config names no file; leave it out for a broker without one",
		dir:                   "is a folder; name the file in it",
		dir + "/nothing.toml": "no such file or directory",
	} {
		if _, err := loadSettings([]string{"-config", path}, nil, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("-config %q: got %v, want an error with %q", path, err, want)
		}
	}
}

// What looks odd and is right is taken.
func TestNoMistakes(t *testing.T) {
	for _, text := range []string{
		"\ufefflisten = 'a:1'\r\nbroker_id = 0\r\n", "", "# nothing\n", "hot_bytes = '64MiB'", "hot_bytes = '64 MiB'",
		"retention_ms = '7d'", "retention_ms = -1", "retention_bytes = '-1'", "max_connections = 1_000", "scrub_bytes_per_second = '1MB'",
		"'hot_bytes' = 1000000", "metrics = ''", "listen = '[::1]:9092'", "group_initial_delay_ms = '3s'", pair,
		"[[listeners]]\nname = 'out'\nlisten = '0.0.0.0:9093'\nadvertise = 'a:9093'\n[[listeners]]\nname = 'in'\nlisten = '127.0.0.1:9094'",
	} {
		path := writeFile(t, "broker.toml", text)
		s, err := loadSettings([]string{"-config", path}, []string{"CHRONIK_HOT_BYTES= 128MiB ", "CHRONIK_ALLOW_STRANGERS=true"}, io.Discard)
		if err == nil {
			_, err = s.hostConfig()
		}
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if s.HotBytes != 128<<20 {
			t.Errorf("hot_bytes is %d, want the variable's", s.HotBytes)
		}
	}
}

// TestMistakesOutsideTheFile is what is wrong with folders, addresses and secrets. Each is answered by start, which names
// the setting and what to do.
func TestMistakesOutsideTheFile(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	short, many := filepath.Join(dir, "short"), filepath.Join(dir, "many")
	for path, text := range map[string]string{file: "", short: "short\n", many: strings.Repeat("0123456789abcdef\n", 5)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(dir, "nowhere"), link); err != nil {
		t.Fatal(err)
	}
	good := filepath.Join(dir, "data")
	for _, m := range []struct {
		args []string
		want string
	}{
		{[]string{"-dir", file}, "as the data folder: mkdir " + file + ": not a directory; it is a file: set dir to a folder"},
		{[]string{"-dir", filepath.Join(file, "in")}, "set dir to a folder that this user may write to"},
		{[]string{"-dir", link}, "where there is nothing: is a disk not mounted?"},
		{[]string{"-dir", "/proc/data"}, "can't use /proc/data as the data folder"},
		{[]string{"-dir", good, "-listen", "203.0.113.7:9092"}, "this machine has no such address: set listen to one of its own"},
		{[]string{"-dir", good, "-listen", "[fe80::1%nothing]:9092"}, "this machine has no such address: set listen to one of its own"},
		{[]string{"-dir", good, "-peer-secret-file", dir}, "can't read the cluster secret"},
		{[]string{"-dir", good, "-peer-secret-file", file}, "it holds 0 cluster secrets; write one in a line"},
		{[]string{"-dir", good, "-peer-secret-file", short}, "the cluster secret has 5 bytes; write at least 16"},
		{[]string{"-dir", good, "-peer-secret-file", many}, "it holds 5 cluster secrets; write one in a line"},
	} {
		var out, errs strings.Builder
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		code := run(ctx, append([]string{"start", "-metrics", "", "-allow-strangers"}, m.args...), &out, &errs)
		cancel()
		if code == exitClean || !strings.Contains(errs.String(), m.want) {
			t.Errorf("%q: exit code %d, want %q in:\n%s", m.args, code, m.want, errs.String())
		}
	}
	for _, path := range []string{short, many, dir} {
		var out, errs strings.Builder
		if code := run(t.Context(), []string{"check", "-peer-secret-file", path}, &out, &errs); code != exitUsage {
			t.Errorf("check takes the secret of %s: exit code %d, %s", path, code, out.String())
		}
	}
}

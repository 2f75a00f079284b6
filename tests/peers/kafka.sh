#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Chronik and Apache Kafka side by side on this machine: three processes each, one after the other in
# every shape, after a warm-up for the sake of the JVM, the same load generator, 256-byte records, acks=all.
# What producers write is read back and counted. Kafka comes from its Maven artifacts and runs with its
# defaults (KRaft, three combined nodes): it acknowledges what is in the page cache of the replicas in
# sync, while Chronik has it on the disks of a majority, after fsync. With FLUSH=1 Kafka, too, syncs every batch.
#
#	tests/peers/kafka.sh            needs Go, Java 17, Maven and Python; about eight minutes
#	tests/peers/kafka.sh transaction   only shapes whose names match; what is counted of those is transactions
#	tests/peers/kafka.sh perf       Kafka's own kafka-producer-perf-test and kafka-consumer-perf-test, for both
#	SECONDS_EACH=20 tests/peers/kafka.sh
#	TLS=1 tests/peers/kafka.sh      with TLS to clients and between brokers, on both sides; needs openssl
set -euo pipefail
cd "$(dirname "$0")/../.."

each=${SECONDS_EACH:-10}
wanted=${1:-.}
dir=$(mktemp -d)
pids=()
finish() {
	trap - EXIT
	kill "${pids[@]}" 2>/dev/null || true
	wait 2>/dev/null || true
	rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT TERM

go build -o "$dir/" ./cmd/broker ./cmd/bench
mvn -q -B -f tests/clients/java/pom.xml dependency:build-classpath -Dmdep.outputFile="$dir/classpath" >&2
java=(java -Xms1g -Xmx1g -cp "$(cat "$dir/classpath")")

tls=() # flags of the load generator
: >"$dir/client.properties"
kafka_protocol=PLAINTEXT
if [[ ${TLS:-} ]]; then
	key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
	openssl req -x509 "${key[@]}" -days 2 -subj /CN=authority -keyout "$dir/ca.key" -out "$dir/ca.crt" 2>/dev/null
	openssl req "${key[@]}" -subj /CN=broker -keyout "$dir/broker.key" -out "$dir/broker.csr" 2>/dev/null
	echo subjectAltName=IP:127.0.0.1,DNS:localhost >"$dir/ext"
	openssl x509 -req -in "$dir/broker.csr" -CA "$dir/ca.crt" -CAkey "$dir/ca.key" -CAcreateserial -days 2 -extfile "$dir/ext" -out "$dir/broker.crt" 2>/dev/null
	cat "$dir/broker.key" "$dir/broker.crt" >"$dir/broker.pem"
	chmod 600 "$dir/broker.key" "$dir/broker.pem"
	export CHRONIK_TLS_CERT_FILE=$dir/broker.crt CHRONIK_TLS_KEY_FILE=$dir/broker.key
	export CHRONIK_PEER_TLS_CERT_FILE=$dir/broker.crt CHRONIK_PEER_TLS_KEY_FILE=$dir/broker.key CHRONIK_PEER_TLS_CA_FILE=$dir/ca.crt
	kafka_protocol=SSL
	trust="ssl.truststore.type=PEM"$'\n'"ssl.truststore.location=$dir/ca.crt"
	printf 'security.protocol=SSL\n%s\n' "$trust" >"$dir/client.properties"
	tls=(--tls-ca "$dir/ca.crt")
fi

start_chronik() {
	"$dir/broker" local -brokers 3 -dir "$dir/chronik" -port 18092 >"$dir/chronik.log" 2>&1 &
	pids+=($!)
	for id in 1 2 3; do
		for _ in {1..100}; do [[ -s $dir/chronik/$id/pid ]] && break || sleep 0.1; done
	done
	chronik_pids=$(cat "$dir"/chronik/{1,2,3}/pid | paste -sd,)
}

start_kafka() {
	local cluster voters=1@127.0.0.1:18291,2@127.0.0.1:18292,3@127.0.0.1:18293
	cluster=$("${java[@]}" kafka.tools.StorageTool random-uuid 2>/dev/null)
	kafka_pids=
	for id in 1 2 3; do
		cat >"$dir/kafka-$id.properties" <<-END
			process.roles=broker,controller
			node.id=$id
			controller.quorum.voters=$voters
			listeners=$kafka_protocol://127.0.0.1:1819$id,CONTROLLER://127.0.0.1:1829$id
			listener.security.protocol.map=$kafka_protocol:$kafka_protocol,CONTROLLER:PLAINTEXT
			inter.broker.listener.name=$kafka_protocol
			controller.listener.names=CONTROLLER
			log.dirs=$dir/kafka/$id
			offsets.topic.replication.factor=3
			min.insync.replicas=2
			${FLUSH:+log.flush.interval.messages=1}
			${TLS:+ssl.keystore.type=PEM}
			${TLS:+ssl.keystore.location=$dir/broker.pem}
			${TLS:+$trust}
		END
		"${java[@]}" kafka.tools.StorageTool format -t "$cluster" -c "$dir/kafka-$id.properties" >>"$dir/kafka.log" 2>&1
	done
	for id in 1 2 3; do
		"${java[@]}" kafka.Kafka "$dir/kafka-$id.properties" >>"$dir/kafka-$id.log" 2>&1 &
		pids+=($!)
		kafka_pids+=${kafka_pids:+,}$!
	done
}

# run SHAPE MODE FLAGS... measures both, one after the other, and prints a line for each.
run() {
	local shape=$1 mode=$2
	shift 2
	[[ $shape =~ $wanted ]] || return 0
	for peer in chronik kafka; do
		local port=18092 servers=$chronik_pids
		[[ $peer == kafka ]] && port=18191 servers=$kafka_pids
		"$dir/bench" "$mode" --brokers "127.0.0.1:$port" "${tls[@]}" --duration "${each}s" --warmup-duration "${WARMUP:-15}s" \
			--server-pids "$servers" --json-output "$dir/result.json" "$@" >"$dir/bench.log" 2>&1 || { cat "$dir/bench.log"; return 1; }
		python3 - "$shape" "$peer" "$dir/result.json" <<-'END'
			import json, sys
			shape, peer, file = sys.argv[1:]
			step = json.load(open(file))[0]
			m = step["measured"][0]
			cpu = sum(s["cpu_ns"] for s in step["servers"]) / 1000 / m["count"]
			memory = sum(s["rss_bytes"] for s in step["servers"]) / 2**20
			ms = lambda q: f"{m['latency_us'][q] / 1000:.1f}" if m["latency_us"]["count"] else "-"
			print(f"{shape:32} {peer:8} {m['per_second']:10,.0f} {ms('p50'):>8} {ms('p99'):>8} {cpu:10.1f} {memory:8.0f}", flush=True)
		END
	done
}

# perf runs Kafka's own tools against both: a short time to warm up, then records of 256 bytes, written and read back.
perf() {
	local shape="perf test" n=${PERF_RECORDS:-1000000}
	[[ $shape =~ $wanted ]] || return 0
	for peer in chronik kafka; do
		local port=18092
		[[ $peer == kafka ]] && port=18191
		local to=(--bootstrap-server "127.0.0.1:$port" --command-config "$dir/client.properties")
		"${java[@]}" org.apache.kafka.tools.TopicCommand "${to[@]}" --create --topic perf --partitions 6 --replication-factor 3 >"$dir/perf.log"
		for records in $((n / 5)) "$n"; do
			"${java[@]}" org.apache.kafka.tools.ProducerPerformance "${to[@]}" --topic perf --num-records "$records" --record-size 256 --throughput -1 >"$dir/perf.log"
		done
		printf '%-32s %-8s %s\n' "$shape, write" "$peer" "$(tail -1 "$dir/perf.log")"
		"${java[@]}" org.apache.kafka.tools.ConsumerPerformance "${to[@]}" --topic perf --num-records "$n" --timeout 60000 --group "perf-$peer" >"$dir/perf.log"
		printf '%-32s %-8s %s\n' "$shape, read" "$peer" "$(tail -1 "$dir/perf.log" | awk -F', ' '{print $5 " records read, " $10 " records/sec (" $9 " MB/sec)"}')"
	done
}

start_chronik
start_kafka
for _ in {1..60}; do
	"$dir/bench" metadata --brokers 127.0.0.1:18191 "${tls[@]}" --duration 1s --concurrency 1 --topic ready >/dev/null 2>&1 && break || sleep 1
done

printf '%-32s %-8s %10s %8s %8s %10s %8s\n' shape broker "per second" "p50 ms" "p99 ms" "CPU us" "RSS MiB"
produce=(produce --partitions 6 --replication-factor 3 --validate)
run "one producer" "${produce[@]}" --topic one --concurrency 1
run "128 callers of one client" "${produce[@]}" --topic shared --concurrency 128
run "128 clients" "${produce[@]}" --topic own --concurrency 128 --clients own
run "8 clients, 200 in flight each" "${produce[@]}" --topic async --concurrency 8 --clients own --async 200
run "one consumer" consume --topic async --concurrency 1
transact=("${produce[@]}" --transactional-id bench --transaction-records 10)
run "1 client, transactions of 10" "${transact[@]}" --topic transact1 --concurrency 1
run "16 clients, transactions of 10" "${transact[@]}" --topic transact16 --concurrency 16
run "128 clients, transactions of 10" "${transact[@]}" --topic transact128 --concurrency 128
perf

# SPDX-License-Identifier: Apache-2.0
"""The rows of kafka-python, 2.0.2 and 3."""

import logging
import os
import signal
import sys
import time

import kafka
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic

BROKERS = os.environ["BOOTSTRAP"].split(",")
MODERN = int(kafka.__version__.split(".")[0]) >= 3
BASE = {"bootstrap_servers": BROKERS}
if "CA" in os.environ:
    BASE.update(
        security_protocol="SASL_SSL",
        ssl_cafile=os.environ["CA"],
        sasl_mechanism="SCRAM-SHA-512",
        sasl_plain_username=os.environ["USERNAME"],
        sasl_plain_password=os.environ["PASSWORD"],
    )
    if sys.argv[1] in ("member", "writer"):
        logging.basicConfig(level=logging.WARNING)
RECORDS = 300
PADDING = "x" * 200
stopping = False


def stop(*_):
    global stopping
    stopping = True


def roundtrip(topic, codec):
    producer = KafkaProducer(bootstrap_servers=BROKERS, acks="all", linger_ms=20, compression_type=None if codec == "none" else codec)
    sent = [producer.send(topic, key=f"k-{i}".encode(), value=f"v-{i}{PADDING}".encode(), headers=[("n", str(i).encode())]) for i in range(RECORDS)]
    for future in sent:
        future.get(30)
    consumer = KafkaConsumer(bootstrap_servers=BROKERS, consumer_timeout_ms=20000, group_id=None)
    consumer.assign([TopicPartition(topic, p) for p in range(3)])
    consumer.seek_to_beginning()
    seen = set()
    for record in consumer:
        n = record.key.decode().removeprefix("k-")
        if record.value.decode() != f"v-{n}{PADDING}" or record.headers[0][1].decode() != n or n in seen:
            raise SystemExit(f"record at {record.partition}/{record.offset} is wrong or there twice: {record.key}")
        seen.add(n)
        if len(seen) == RECORDS:
            break
    if len(seen) < RECORDS:
        raise SystemExit(f"{len(seen)} of {RECORDS} records came")
    earliest = consumer.offsets_for_times({TopicPartition(topic, 0): 0})[TopicPartition(topic, 0)]
    if earliest.offset != 0:
        raise SystemExit(f"the first offset since 1970 is {earliest}")
    consumer.close()
    producer.close()


def retention(admin, topic):
    """The topic's retention.ms, from answers that differ between the versions."""
    described = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    if MODERN:
        return described["topic"][topic]["retention.ms"]["value"]
    for resource in described[0].resources:
        for entry in resource[4]:
            if entry[0] == "retention.ms":
                return entry[1]
    raise SystemExit(f"no retention.ms in {described}")


def expect(what, get, want):
    """Brokers hear of a change one after the other, as Kafka's do, so this tries for a while."""
    until = time.monotonic() + 5
    while (got := get()) != want:
        if time.monotonic() > until:
            raise SystemExit(f"{what}: {got}, want {want}")
        time.sleep(0.02)


def admin(topic):
    client = KafkaAdminClient(bootstrap_servers=BROKERS)
    client.create_topics([NewTopic(topic, 3, 3, topic_configs={"retention.ms": "1234567"})])
    expect("retention", lambda: retention(client, topic), "1234567")
    client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs={"retention.ms": "7654321"})])
    expect("retention", lambda: retention(client, topic), "7654321")
    client.create_partitions({topic: NewPartitions(5)})
    expect("partitions", lambda: len(client.describe_topics([topic])[0]["partitions"]), 5)
    expect("topics", lambda: topic in client.list_topics(), True)
    client.list_groups() if MODERN else client.list_consumer_groups()
    if len(client.describe_cluster()["brokers"]) != 3:
        raise SystemExit("not 3 brokers")
    client.delete_topics([topic])
    expect("topics after deletion", lambda: topic in client.list_topics(), False)
    client.close()


class Listener(kafka.ConsumerRebalanceListener):
    def on_partitions_revoked(self, revoked):
        print("assigned", flush=True)

    def on_partitions_assigned(self, assigned):
        print("assigned", ",".join(str(p.partition) for p in assigned), flush=True)


TXN_RECORDS = 100


def transactions(topic, copied):
    """Commits some records and aborts others, and then copies what was committed."""
    producer = KafkaProducer(bootstrap_servers=BROKERS, transactional_id=topic)
    producer.init_transactions()
    for i in range(10):
        for prefix in "ac":
            producer.begin_transaction()
            for future in [producer.send(topic, value=f"{prefix}-{10 * i + j}".encode()) for j in range(TXN_RECORDS // 10)]:
                future.get(30)
            if prefix == "c":
                producer.commit_transaction()
            else:
                producer.abort_transaction()
    producer.close()
    consumer = KafkaConsumer(
        topic, bootstrap_servers=BROKERS, group_id=copied, enable_auto_commit=False, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    producer = KafkaProducer(bootstrap_servers=BROKERS, transactional_id=copied)
    producer.init_transactions()
    done = 0
    while done < TXN_RECORDS:
        batches = consumer.poll(timeout_ms=1000, max_records=30)
        if not batches:
            continue
        producer.begin_transaction()
        for record in [r for records in batches.values() for r in records]:
            producer.send(copied, value=record.value).get(30)
            done += 1
        offsets = {p: OffsetAndMetadata(consumer.position(p), "", -1) for p in batches}
        producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata() if hasattr(consumer, "consumer_group_metadata") else copied)
        producer.commit_transaction()
    consumer.close()
    producer.close()


def member(topic, group, _):
    consumer = KafkaConsumer(**BASE, group_id=group, auto_offset_reset="earliest", auto_commit_interval_ms=1000)
    consumer.subscribe([topic], listener=Listener())
    while not stopping:
        for records in consumer.poll(timeout_ms=200).values():
            for record in records:
                print("record", record.value.decode(), flush=True)
    logging.disable()  # version 2 calls it an error that closing gives up the fetches under way
    consumer.close()


def writer(topic, prefix):
    producer = KafkaProducer(**BASE, acks="all", retries=1000)

    def failed(err):
        print(err, file=sys.stderr, flush=True)
        os._exit(1)

    i = 0
    while not stopping:
        value = f"{prefix}-{i}"
        producer.send(topic, key=value.encode(), value=value.encode()).add_callback(lambda _, v=value: print("acked", v, flush=True)).add_errback(failed)
        i += 1
        time.sleep(0.005)
    producer.flush(60)
    producer.close()


SECURE_RECORDS = 10


def secure(step, topic, group):
    """Takes one step as a user: create, produce or consume."""
    logging.basicConfig(level=logging.ERROR)  # version 2 says only there why a login failed
    conf = BASE
    if step == "create":
        client = KafkaAdminClient(**conf)
        client.create_topics([NewTopic(topic, 1, 3)])
        client.close()
    elif step == "produce":
        producer = KafkaProducer(**conf, acks="all", max_block_ms=20000)
        for i in range(SECURE_RECORDS):
            producer.send(topic, value=f"s-{i}".encode()).get(30)
        producer.close()
    else:
        consumer = KafkaConsumer(topic, **conf, group_id=group, enable_auto_commit=False, auto_offset_reset="earliest")
        done = 0
        while done < SECURE_RECORDS:
            done += sum(len(records) for records in consumer.poll(timeout_ms=1000).values())
        consumer.commit()
        consumer.close()


signal.signal(signal.SIGTERM, stop)
{"roundtrip": roundtrip, "admin": admin, "txn": transactions, "member": member, "writer": writer, "secure": secure}[sys.argv[1]](*sys.argv[2:])

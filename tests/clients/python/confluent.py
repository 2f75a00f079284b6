# SPDX-License-Identifier: Apache-2.0
"""The row of confluent-kafka: librdkafka as its makers build it."""

import os
import signal
import sys
import time

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

BASE = {"bootstrap.servers": os.environ["BOOTSTRAP"]}
if "CA" in os.environ:
    BASE.update(
        {
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": os.environ["CA"],
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": os.environ["USERNAME"],
            "sasl.password": os.environ["PASSWORD"],
        }
    )
RECORDS = 300
PADDING = "x" * 200
stopping = False


def stop(*_):
    global stopping
    stopping = True


def delivered(err, _):
    if err is not None:
        print(err, file=sys.stderr, flush=True)
        os._exit(1)


def roundtrip(topic, codec):
    producer = Producer({**BASE, "compression.type": codec, "enable.idempotence": True, "linger.ms": 20})
    for i in range(RECORDS):
        producer.produce(topic, key=f"k-{i}", value=f"v-{i}{PADDING}", headers={"n": str(i)}, on_delivery=delivered)
    producer.flush(30)
    consumer = Consumer({**BASE, "group.id": "unused", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, p, 0) for p in range(3)])
    seen = set()
    while len(seen) < RECORDS:
        record = consumer.poll(20)
        if record is None:
            raise SystemExit(f"{len(seen)} of {RECORDS} records came")
        if record.error():
            raise SystemExit(record.error())
        n = record.key().decode().removeprefix("k-")
        if record.value().decode() != f"v-{n}{PADDING}" or record.headers()[0][1].decode() != n or n in seen:
            raise SystemExit(f"record at {record.partition()}/{record.offset()} is wrong or there twice: {record.key()}")
        seen.add(n)
    first = consumer.offsets_for_times([TopicPartition(topic, 0, 0)], timeout=20)[0]
    if first.offset != 0:
        raise SystemExit(f"the first offset since 1970 is {first}")
    consumer.close()


def only(futures):
    """The result of a request for one thing."""
    return next(iter(futures.values())).result(20)


def retention(admin, topic):
    return only(admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]))["retention.ms"].value


def expect(what, get, want):
    """Brokers hear of a change one after the other, as Kafka's do, so this tries for a while."""
    until = time.monotonic() + 5
    while (got := get()) != want:
        if time.monotonic() > until:
            raise SystemExit(f"{what}: {got}, want {want}")
        time.sleep(0.02)


def admin(topic):
    client = AdminClient(BASE)
    only(client.create_topics([NewTopic(topic, 3, 3, config={"retention.ms": "1234567"})]))
    expect("retention", lambda: retention(client, topic), "1234567")
    entry = ConfigEntry("retention.ms", "7654321", incremental_operation=AlterConfigOpType.SET)
    only(client.incremental_alter_configs([ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])]))
    expect("retention", lambda: retention(client, topic), "7654321")
    only(client.create_partitions([NewPartitions(topic, 5)]))
    expect("partitions", lambda: len(client.list_topics(topic, timeout=20).topics[topic].partitions), 5)
    client.list_consumer_groups().result(20)
    expect("brokers", lambda: len(client.describe_cluster().result(20).nodes), 3)
    only(client.delete_topics([topic]))
    expect("topics after deletion", lambda: topic in client.list_topics(timeout=20).topics, False)


TXN_RECORDS = 100


def transactions(topic, copied):
    """Commits some records and aborts others, and then copies what was committed."""
    producer = Producer({**BASE, "transactional.id": topic})
    producer.init_transactions(30)
    for i in range(10):
        for prefix in "ac":
            producer.begin_transaction()
            for j in range(TXN_RECORDS // 10):
                producer.produce(topic, value=f"{prefix}-{10 * i + j}", on_delivery=delivered)
            if prefix == "c":
                producer.commit_transaction(30)
            else:
                producer.flush(30)
                producer.abort_transaction(30)
    consumer = Consumer({**BASE, "group.id": copied, "enable.auto.commit": False, "auto.offset.reset": "earliest", "isolation.level": "read_committed"})
    consumer.subscribe([topic])
    producer = Producer({**BASE, "transactional.id": copied})
    producer.init_transactions(30)
    done = 0
    while done < TXN_RECORDS:
        records = consumer.consume(30, 5)
        if not records:
            continue
        producer.begin_transaction()
        for record in records:
            if record.error():
                raise SystemExit(record.error())
            producer.produce(copied, value=record.value(), on_delivery=delivered)
        producer.send_offsets_to_transaction(consumer.position(consumer.assignment()), consumer.consumer_group_metadata(), 30)
        producer.commit_transaction(30)
        done += len(records)
    consumer.close()


def member(topic, group, protocol):
    mine = set()

    def assigned(consumer, partitions):  # says what is new; that is all in the classic protocol
        mine.update(p.partition for p in partitions)
        print("assigned", ",".join(map(str, mine)), flush=True)

    def revoked(consumer, partitions):
        mine.difference_update(p.partition for p in partitions)
        print("assigned", ",".join(map(str, mine)), flush=True)

    consumer = Consumer({**BASE, "group.id": group, "group.protocol": protocol, "auto.offset.reset": "earliest", "auto.commit.interval.ms": 1000})
    consumer.subscribe([topic], on_assign=assigned, on_revoke=revoked)
    while not stopping:
        record = consumer.poll(0.2)
        if record is not None and record.error():
            print(record.error(), file=sys.stderr, flush=True)
        elif record is not None:
            print("record", record.value().decode(), flush=True)
    consumer.close()


def writer(topic, prefix):
    producer = Producer(BASE)

    def acked(err, record):
        delivered(err, record)
        print("acked", record.value().decode(), flush=True)

    i = 0
    while not stopping:
        producer.produce(topic, key=f"{prefix}-{i}", value=f"{prefix}-{i}", on_delivery=acked)
        producer.poll(0)
        i += 1
        time.sleep(0.005)
    producer.flush(60)


SECURE_RECORDS = 10


def refused(err):
    """librdkafka tries again and again, and says here that a login was refused."""
    if err.code() == KafkaError._AUTHENTICATION:
        delivered(err, None)


def secure(step, topic, group):
    """Takes one step as a user: create, produce or consume."""
    conf = {**BASE, "error_cb": refused}
    if step == "create":
        client = AdminClient(conf)
        only(client.create_topics([NewTopic(topic, 1, 3)]))
    elif step == "produce":
        producer = Producer(conf)
        for i in range(SECURE_RECORDS):
            producer.produce(topic, value=f"s-{i}", on_delivery=delivered)
        if producer.flush(30):
            raise SystemExit("nothing was written")
    else:
        consumer = Consumer({**conf, "group.id": group, "enable.auto.commit": False, "auto.offset.reset": "earliest"})
        consumer.subscribe([topic])
        for _ in range(SECURE_RECORDS):
            record = consumer.poll(30)
            if record is None or record.error():
                raise SystemExit(record and record.error())
        consumer.commit(asynchronous=False)
        consumer.close()


signal.signal(signal.SIGTERM, stop)
{"roundtrip": roundtrip, "admin": admin, "txn": transactions, "member": member, "writer": writer, "secure": secure}[sys.argv[1]](*sys.argv[2:])

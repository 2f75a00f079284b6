# SPDX-License-Identifier: Apache-2.0
"""Copies one topic to another by aiokafka, until it is told to end: BOOTSTRAP IN OUT GROUP EXACTLY."""

import asyncio
import signal
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

bootstrap, source, target, group, exactly = sys.argv[1:]


async def main():
    end = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end.set)
    consumer = AIOKafkaConsumer(source, bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False,
                                isolation_level="read_committed", session_timeout_ms=6000)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=group if exactly == "true" else None, enable_idempotence=True)
    await producer.start()
    await consumer.start()
    try:
        while not end.is_set():
            got = await consumer.getmany(timeout_ms=300, max_records=100)
            if not got:
                continue
            if exactly == "true":
                async with producer.transaction():
                    await send(producer, got)
                    await producer.send_offsets_to_transaction({tp: records[-1].offset + 1 for tp, records in got.items()}, group)
            else:
                await send(producer, got)
                await consumer.commit()
    finally:
        await consumer.stop()
        await producer.stop()


async def send(producer, got):
    sent = [await producer.send(target, r.value, key=r.key) for records in got.values() for r in records]
    await asyncio.gather(*sent)


asyncio.run(main())

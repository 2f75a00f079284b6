# SPDX-License-Identifier: Apache-2.0
"""Copies one topic to another by FastStream, until it is told to end: BOOTSTRAP IN OUT GROUP EXACTLY (always false)."""

import asyncio
import sys

from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker

bootstrap, source, target, group, _ = sys.argv[1:]
broker = KafkaBroker(bootstrap.split(","), enable_idempotence=True)


@broker.subscriber(source, group_id=group, auto_offset_reset="earliest", ack_policy=AckPolicy.REJECT_ON_ERROR, session_timeout_ms=6000)
@broker.publisher(target)
async def copy(body: str) -> str:
    return body


asyncio.run(FastStream(broker).run())

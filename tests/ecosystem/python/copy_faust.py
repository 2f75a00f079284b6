# SPDX-License-Identifier: Apache-2.0
"""Copies one topic to another by Faust, until it is told to end: BOOTSTRAP IN OUT GROUP EXACTLY FOLDER."""

import sys

import faust

bootstrap, source, target, group, exactly, folder = sys.argv[1:]
app = faust.App(group, broker=["kafka://" + b for b in bootstrap.split(",")], value_serializer="raw", key_serializer="raw", topic_disable_leader=True,
                datadir=folder, web_enabled=False, consumer_auto_offset_reset="earliest", broker_session_timeout=6, broker_heartbeat_interval=2,
                processing_guarantee="exactly_once" if exactly == "true" else "at_least_once")
taken, given = app.topic(source, partitions=3), app.topic(target, partitions=3)


@app.agent(taken)
async def copy(stream):
    async for value in stream:
        await given.send(value=value)


sys.argv = [sys.argv[0], "worker", "-l", "warn", "--without-web"]
app.main()

# SPDX-License-Identifier: Apache-2.0
"""Copies one topic to another by Quix Streams, until it is told to end: BOOTSTRAP IN OUT GROUP EXACTLY FOLDER."""

import sys

from quixstreams import Application

bootstrap, source, target, group, exactly, folder = sys.argv[1:]
app = Application(broker_address=bootstrap, consumer_group=group, auto_offset_reset="earliest", auto_create_topics=False, state_dir=folder,
                  processing_guarantee="exactly-once" if exactly == "true" else "at-least-once", commit_interval=0.5)
taken = app.topic(source, value_deserializer="bytes", key_deserializer="bytes")
given = app.topic(target, value_serializer="bytes", key_serializer="bytes")
app.dataframe(taken).to_topic(given)
app.run()

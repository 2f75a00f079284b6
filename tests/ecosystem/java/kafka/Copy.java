// SPDX-License-Identifier: Apache-2.0

import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;

// Copy copies one topic to another by Kafka Streams, until it is told to end: Copy BOOTSTRAP IN OUT GROUP GUARANTEE FOLDER.
class Copy {
  public static void main(String[] args) {
    var config = new Properties();
    config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
    config.put(StreamsConfig.APPLICATION_ID_CONFIG, args[3]);
    config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, args[4]);
    config.put(StreamsConfig.STATE_DIR_CONFIG, args[5]);
    config.put("auto.offset.reset", "earliest");
    config.put("session.timeout.ms", "6000");
    config.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, "100");
    config.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.ByteArraySerde.class);
    config.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.ByteArraySerde.class);
    var builder = new StreamsBuilder();
    builder.stream(args[1]).to(args[2]);
    var streams = new KafkaStreams(builder.build(), config);
    Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
    streams.start();
  }
}

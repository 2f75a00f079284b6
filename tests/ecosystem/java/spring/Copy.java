// SPDX-License-Identifier: Apache-2.0

import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.springframework.kafka.core.DefaultKafkaConsumerFactory;
import org.springframework.kafka.core.DefaultKafkaProducerFactory;
import org.springframework.kafka.core.KafkaTemplate;
import org.springframework.kafka.listener.ConcurrentMessageListenerContainer;
import org.springframework.kafka.listener.ContainerProperties;
import org.springframework.kafka.listener.MessageListener;
import org.springframework.kafka.transaction.KafkaTransactionManager;

// Copy copies one topic to another by a listener container and a template of Spring, until it is told to end:
// Copy BOOTSTRAP IN OUT GROUP EXACTLY, where EXACTLY is true if it is to be by transactions.
class Copy {
  public static void main(String[] args) {
    boolean exactly = Boolean.parseBoolean(args[4]);
    var reading = Map.<String, Object>of("bootstrap.servers", args[0], "group.id", args[3], "auto.offset.reset", "earliest",
        "isolation.level", "read_committed", "session.timeout.ms", "6000");
    var writing = new HashMap<String, Object>(Map.of("bootstrap.servers", args[0], "linger.ms", 5));
    var producers = new DefaultKafkaProducerFactory<>(writing, new StringSerializer(), new StringSerializer());
    if (exactly) {
      producers.setTransactionIdPrefix(args[3] + "-");
    }
    var template = new KafkaTemplate<>(producers);
    var properties = new ContainerProperties(args[1]);
    if (exactly) {
      properties.setKafkaAwareTransactionManager(new KafkaTransactionManager<>(producers));
    }
    properties.setMessageListener((MessageListener<String, String>) r -> template.send(args[2], r.key(), r.value()).join());
    var container = new ConcurrentMessageListenerContainer<>(
        new DefaultKafkaConsumerFactory<>(reading, new StringDeserializer(), new StringDeserializer()), properties);
    container.setConcurrency(2);
    Runtime.getRuntime().addShutdownHook(new Thread(container::stop));
    container.start();
  }
}

// SPDX-License-Identifier: Apache-2.0

import java.time.Duration;
import java.util.*;
import java.util.concurrent.Callable;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.*;

/** The row of Kafka's own Java client. */
class Client {
  static final int RECORDS = 300;
  static final String PADDING = "x".repeat(200);
  static volatile boolean stopping;

  public static void main(String[] args) throws Exception {
    switch (args[0]) {
      case "roundtrip" -> roundtrip(args[1], args[2]);
      case "admin" -> admin(args[1]);
      case "txn" -> transactions(args[1], args[2]);
      case "member" -> member(args[1], args[2], args[3]);
      case "writer" -> writer(args[1], args[2]);
      case "secure" -> secure(args[1], args[2], args[3]);
      default -> throw new IllegalArgumentException(args[0]);
    }
  }

  static Map<String, Object> config(Object... pairs) {
    Map<String, Object> c = new HashMap<>();
    c.put("bootstrap.servers", System.getenv("BOOTSTRAP"));
    if (System.getenv("CA") != null) {
      c.put("security.protocol", "SASL_SSL");
      c.put("ssl.truststore.type", "PEM");
      c.put("ssl.truststore.location", System.getenv("CA"));
      c.put("sasl.mechanism", "SCRAM-SHA-512");
      c.put("sasl.jaas.config", "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"" + System.getenv("USERNAME")
          + "\" password=\"" + System.getenv("PASSWORD") + "\";");
    }
    for (int i = 0; i < pairs.length; i += 2) c.put((String) pairs[i], pairs[i + 1]);
    return c;
  }

  static Producer<String, String> producer(Object... pairs) {
    return new KafkaProducer<>(config(pairs), new StringSerializer(), new StringSerializer());
  }

  static Consumer<String, String> consumer(Object... pairs) {
    return new KafkaConsumer<>(config(pairs), new StringDeserializer(), new StringDeserializer());
  }

  /** Brokers hear of a change one after the other, as Kafka's do, so this tries for a while. */
  static void expect(String what, Callable<Object> get, Object want) throws Exception {
    for (long until = System.currentTimeMillis() + 5000; ; Thread.sleep(20)) {
      Object got = get.call();
      if (got.equals(want)) return;
      if (System.currentTimeMillis() > until) throw new IllegalStateException(what + ": " + got + ", want " + want);
    }
  }

  static void roundtrip(String topic, String codec) throws Exception {
    try (Producer<String, String> p = producer("compression.type", codec, "linger.ms", 20)) {
      List<Future<RecordMetadata>> sent = new ArrayList<>();
      for (int i = 0; i < RECORDS; i++) {
        sent.add(p.send(new ProducerRecord<>(topic, null, "k-" + i, "v-" + i + PADDING,
            List.of(new RecordHeader("n", String.valueOf(i).getBytes())))));
      }
      for (Future<RecordMetadata> f : sent) f.get();
    }
    try (Consumer<String, String> c = consumer()) {
      List<TopicPartition> all = new ArrayList<>();
      for (int i = 0; i < 3; i++) all.add(new TopicPartition(topic, i));
      c.assign(all);
      c.seekToBeginning(all);
      Set<String> seen = new HashSet<>();
      for (long until = System.currentTimeMillis() + 20000; seen.size() < RECORDS; ) {
        if (System.currentTimeMillis() > until) throw new IllegalStateException(seen.size() + " of " + RECORDS + " records came");
        for (ConsumerRecord<String, String> r : c.poll(Duration.ofMillis(200))) {
          String n = r.key().substring(2);
          boolean right = r.value().equals("v-" + n + PADDING) && new String(r.headers().lastHeader("n").value()).equals(n);
          if (!right || !seen.add(n)) throw new IllegalStateException("wrong or there twice: " + r);
        }
      }
      expect("first offset since 1970", () -> c.offsetsForTimes(Map.of(all.get(0), 0L)).get(all.get(0)).offset(), 0L);
    }
  }

  static String retention(Admin admin, ConfigResource topic) throws Exception {
    return admin.describeConfigs(List.of(topic)).all().get().get(topic).get("retention.ms").value();
  }

  static void admin(String name) throws Exception {
    ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, name);
    try (Admin admin = Admin.create(config())) {
      admin.createTopics(List.of(new NewTopic(name, 3, (short) 3).configs(Map.of("retention.ms", "1234567")))).all().get();
      expect("retention", () -> retention(admin, topic), "1234567");
      AlterConfigOp set = new AlterConfigOp(new ConfigEntry("retention.ms", "7654321"), AlterConfigOp.OpType.SET);
      admin.incrementalAlterConfigs(Map.of(topic, List.of(set))).all().get();
      expect("retention", () -> retention(admin, topic), "7654321");
      admin.createPartitions(Map.of(name, NewPartitions.increaseTo(5))).all().get();
      expect("partitions", () -> admin.describeTopics(List.of(name)).allTopicNames().get().get(name).partitions().size(), 5);
      expect("topics", () -> admin.listTopics().names().get().contains(name), true);
      admin.listGroups().all().get();
      expect("brokers", () -> admin.describeCluster().nodes().get().size(), 3);
      expect("log dirs", () -> admin.describeLogDirs(List.of(1)).allDescriptions().get().get(1).size(), 1);
      expect("voters", () -> admin.describeMetadataQuorum().quorumInfo().get().voters().size(), 3);
      admin.describeProducers(List.of(new TopicPartition(name, 0))).all().get();
      admin.listPartitionReassignments().reassignments().get();
      admin.describeFeatures().featureMetadata().get();
      admin.deleteTopics(List.of(name)).all().get();
      expect("topics after deletion", () -> admin.listTopics().names().get().contains(name), false);
    }
  }

  static final int TXN_RECORDS = 100;

  /** Commits some records and aborts others, and then copies what was committed. */
  static void transactions(String topic, String copied) throws Exception {
    try (Producer<String, String> p = producer("transactional.id", topic)) {
      p.initTransactions();
      for (int i = 0; i < 10; i++) {
        for (String prefix : List.of("a", "c")) {
          p.beginTransaction();
          for (int j = 0; j < TXN_RECORDS / 10; j++) p.send(new ProducerRecord<>(topic, prefix + "-" + (10 * i + j)));
          if (prefix.equals("c")) p.commitTransaction();
          else p.abortTransaction();
        }
      }
    }
    try (Consumer<String, String> c = consumer("group.id", copied, "enable.auto.commit", false, "auto.offset.reset", "earliest", "isolation.level", "read_committed");
        Producer<String, String> p = producer("transactional.id", copied)) {
      p.initTransactions();
      c.subscribe(List.of(topic));
      for (int done = 0; done < TXN_RECORDS; ) {
        ConsumerRecords<String, String> records = c.poll(Duration.ofMillis(200));
        if (records.isEmpty()) continue;
        p.beginTransaction();
        for (ConsumerRecord<String, String> r : records) p.send(new ProducerRecord<>(copied, r.value()));
        p.sendOffsetsToTransaction(records.nextOffsets(), c.groupMetadata());
        p.commitTransaction();
        done += records.count();
      }
    }
  }

  static void member(String topic, String group, String protocol) throws Exception {
    try (Consumer<String, String> c = consumer("group.id", group, "group.protocol", protocol, "auto.offset.reset", "earliest", "auto.commit.interval.ms", 1000)) {
      Thread main = Thread.currentThread();
      Runtime.getRuntime().addShutdownHook(new Thread(() -> {
        stopping = true;
        c.wakeup();
        try {
          main.join();
        } catch (InterruptedException e) {
          Thread.currentThread().interrupt();
        }
      }));
      Runnable tell = () -> System.out.println("assigned " + c.assignment().stream().map(p -> "" + p.partition()).collect(Collectors.joining(",")));
      c.subscribe(List.of(topic), new ConsumerRebalanceListener() {
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {}

        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
          tell.run();
        }
      });
      Set<TopicPartition> was = Set.of();
      while (!stopping) {
        for (ConsumerRecord<String, String> r : c.poll(Duration.ofMillis(200))) System.out.println("record " + r.value());
        if (!was.equals(c.assignment())) { // partitions that were only taken away
          was = Set.copyOf(c.assignment());
          tell.run();
        }
      }
    } catch (WakeupException e) {
      // stopped
    }
  }

  static void writer(String topic, String prefix) throws Exception {
    Thread main = Thread.currentThread();
    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      stopping = true;
      try {
        main.join();
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    }));
    try (Producer<String, String> p = producer()) {
      for (int i = 0; !stopping; i++) {
        String value = prefix + "-" + i;
        p.send(new ProducerRecord<>(topic, value, value), (m, err) -> {
          if (err != null) {
            System.err.println(err);
            Runtime.getRuntime().halt(1);
          }
          System.out.println("acked " + value);
        });
        Thread.sleep(5);
      }
    }
  }

  static final int SECURE_RECORDS = 10;

  /** Takes one step as a user: create, produce or consume. */
  static void secure(String step, String topic, String group) throws Exception {
    switch (step) {
      case "create" -> {
        try (Admin admin = Admin.create(config())) {
          admin.createTopics(List.of(new NewTopic(topic, 1, (short) 3))).all().get();
        }
      }
      case "produce" -> {
        try (Producer<String, String> p = producer()) {
          for (int i = 0; i < SECURE_RECORDS; i++) p.send(new ProducerRecord<>(topic, "s-" + i)).get();
        }
      }
      default -> {
        try (Consumer<String, String> c = consumer("group.id", group, "enable.auto.commit", false, "auto.offset.reset", "earliest")) {
          c.subscribe(List.of(topic));
          for (int n = 0; n < SECURE_RECORDS; ) n += c.poll(Duration.ofMillis(200)).count();
          c.commitSync();
        }
      }
    }
  }
}

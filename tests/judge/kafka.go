// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"chronik/tests/rig"
)

const kafkaProperties = `process.roles=broker,controller
node.id=%d
controller.quorum.voters=%s
listeners=%s://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d
controller.listener.names=CONTROLLER
log.dirs=%s
broker.rack=%s
replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector
auto.leader.rebalance.enable=false
initial.broker.registration.timeout.ms=300000
offsets.topic.replication.factor=%d
offsets.topic.num.partitions=2
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
transaction.state.log.num.partitions=2
`

// securedProperties are those of a Kafka whose clients log in. Its controller isn't asked to.
const securedProperties = `listener.security.protocol.map=CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT
inter.broker.listener.name=SASL_PLAINTEXT
sasl.enabled.mechanisms=SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="%[1]s" password="%[2]s";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:%[1]s;User:ANONYMOUS
`

// kafka is a cluster of Kafka's own brokers, each a controller, too.
type kafka struct {
	port      int
	secured   bool
	classpath string
	servers   map[int]*exec.Cmd
}

func (k *kafka) KafkaAddr(id int) string { return fmt.Sprintf("127.0.0.1:%d", k.port+id) }

func (k *kafka) java(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "java", append([]string{"-Xmx512m", "-cp", k.classpath}, args...)...)
}

// classpath is where Java finds Kafka, which Maven fetches if need be.
func classpath(ctx context.Context, dir string) (string, error) {
	file := filepath.Join(dir, "classpath")
	if out, err := exec.CommandContext(ctx, "mvn", "-q", "-B", "-f", "tests/clients/java/pom.xml", "dependency:build-classpath", "-Dmdep.outputFile="+file).CombinedOutput(); err != nil {
		return "", fmt.Errorf("fetching Kafka: %w\n%s", err, out)
	}
	list, err := os.ReadFile(file)
	return string(list), err
}

// startKafka starts a Kafka with its defaults, as far as so many brokers can have them.
func startKafka(ctx context.Context, dir string, port, brokers int, secured bool) (cluster, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	list, err := classpath(ctx, dir)
	if err != nil {
		return nil, err
	}
	k := &kafka{port, secured, list, make(map[int]*exec.Cmd)}
	if err := k.start(ctx, dir, brokers); err != nil {
		k.Close()
		return nil, err
	}
	return k, nil
}

func (k *kafka) start(ctx context.Context, dir string, brokers int) error {
	id := base64.RawURLEncoding.EncodeToString([]byte("the judge's kafka"[:16])) // of the cluster
	var voters []string
	for b := 1; b <= brokers; b++ {
		if err := errors.Join(isFree(k.port+b), isFree(k.port+50+b)); err != nil {
			return err
		}
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", b, k.port+50+b))
	}
	var formats []*exec.Cmd
	config := func(b int) string { return filepath.Join(dir, fmt.Sprintf("%d.properties", b)) }
	for b := 1; b <= brokers; b++ {
		protocol, format := "PLAINTEXT", []string{"kafka.tools.StorageTool", "format", "-t", id, "-c", config(b)}
		if k.secured {
			protocol, format = "SASL_PLAINTEXT", append(format, "--add-scram", fmt.Sprintf("%s=[name=%s,password=%s]", mechanism, administrator, password(administrator)))
		}
		text := fmt.Sprintf(kafkaProperties, b, strings.Join(voters, ","), protocol, k.port+b, k.port+50+b, filepath.Join(dir, fmt.Sprint(b)), racks[b], brokers)
		if k.secured {
			text += fmt.Sprintf(securedProperties, administrator, password(administrator))
		}
		if err := os.WriteFile(config(b), []byte(text), 0o644); err != nil {
			return err
		}
		formats = append(formats, k.java(ctx, format...))
		if err := formats[b-1].Start(); err != nil {
			return err
		}
	}
	for _, format := range formats {
		if err := format.Wait(); err != nil {
			return fmt.Errorf("formatting Kafka's folder: %w", err)
		}
	}
	for b := 1; b <= brokers; b++ { // none waits for the others in vain
		if err := k.launch(ctx, b, config(b)); err != nil {
			return err
		}
	}
	for b := 1; b <= brokers; b++ {
		if err := k.waitFor(ctx, b); err != nil {
			return err
		}
	}
	return rig.Pause(ctx, 2*time.Second)
}

// isFree fails if somebody listens on a port already: the answers would be theirs.
func isFree(port int) error {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return fmt.Errorf("a port for Kafka is taken; say another with -port: %w", err)
	}
	return l.Close()
}

func (k *kafka) launch(ctx context.Context, id int, config string) error {
	server := k.java(ctx, "kafka.Kafka", config)
	rig.Tie(server)
	if err := server.Start(); err != nil {
		return err
	}
	k.servers[id] = server
	return nil
}

// startTime is what a Kafka may need on a busy machine.
const startTime = 5 * time.Minute

func (k *kafka) waitFor(ctx context.Context, id int) error {
	for end := time.Now().Add(startTime); time.Now().Before(end); {
		c, err := net.Dial("tcp", k.KafkaAddr(id))
		if err == nil {
			return c.Close()
		}
		if err := rig.Pause(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("broker %d of Kafka doesn't listen after %v", id, startTime)
}

// Kill ends brokers with SIGKILL.
func (k *kafka) Kill(ids ...int) error {
	for _, id := range ids {
		if err := k.servers[id].Process.Kill(); err != nil {
			return err
		}
		_ = k.servers[id].Wait() // it says that it was killed
		delete(k.servers, id)
	}
	return nil
}

// Close ends all of them.
func (k *kafka) Close() {
	for id := range k.servers {
		_ = k.Kill(id)
	}
}

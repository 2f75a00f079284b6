// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
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
node.id=1
controller.quorum.voters=1@127.0.0.1:%[2]d
listeners=PLAINTEXT://127.0.0.1:%[1]d,CONTROLLER://127.0.0.1:%[2]d
controller.listener.names=CONTROLLER
log.dirs=%[3]s
offsets.topic.replication.factor=1
offsets.topic.num.partitions=2
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
`

// askKafka starts a Kafka of one broker, with its defaults as far as one broker can have them, and asks it.
func askKafka(ctx context.Context, dir string, port int) ([]answer, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	list := filepath.Join(dir, "classpath")
	if out, err := exec.CommandContext(ctx, "mvn", "-q", "-B", "-f", "tests/clients/java/pom.xml", "dependency:build-classpath", "-Dmdep.outputFile="+list).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("fetching Kafka: %w\n%s", err, out)
	}
	classpath, err := os.ReadFile(list)
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "server.properties")
	text := fmt.Sprintf(kafkaProperties, port, port+1, filepath.Join(dir, "log"))
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	java := func(args ...string) *exec.Cmd {
		return exec.CommandContext(ctx, "java", append([]string{"-Xmx768m", "-cp", string(classpath)}, args...)...)
	}
	id, err := java("kafka.tools.StorageTool", "random-uuid").Output()
	if err != nil {
		return nil, err
	}
	if out, err := java("kafka.tools.StorageTool", "format", "-t", strings.TrimSpace(string(id)), "-c", config).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("formatting Kafka's folder: %w\n%s", err, out)
	}
	server := java("kafka.Kafka", config)
	rig.Tie(server)
	if err := server.Start(); err != nil {
		return nil, err
	}
	defer func() {
		server.Process.Kill()
		server.Wait()
	}()
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	for ctx.Err() == nil {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			_ = rig.Pause(ctx, 2*time.Second)
			return ask(addr)
		}
		_ = rig.Pause(ctx, 200*time.Millisecond)
	}
	return nil, ctx.Err()
}

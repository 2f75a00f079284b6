// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// java is how Kafka's classes are run: a heap of 1 GiB, as its scripts have it.
func java(c *comparison, args ...string) ([]string, error) {
	path, err := os.ReadFile(filepath.Join(c.folder, "classpath"))
	return append([]string{"-Xms1g", "-Xmx1g", "-cp", strings.TrimSpace(string(path))}, args...), err
}

// buildKafka gets Kafka's Maven artifacts.
func buildKafka(ctx context.Context, c *comparison) error {
	file := filepath.Join(c.folder, "classpath")
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	return command(ctx, c.source, "mvn", "-q", "-B", "-f", "tests/clients/java/pom.xml", "dependency:build-classpath", "-Dmdep.outputFile="+file)
}

// startKafka starts three combined nodes (KRaft) with Kafka's defaults and some more settings.
func startKafka(ctx context.Context, of *comparison, dir string, lines []string) (*cluster, error) {
	c := of.cluster()
	args, err := java(of, "kafka.tools.StorageTool", "random-uuid")
	if err != nil {
		return c, err
	}
	id, err := exec.CommandContext(ctx, "java", args...).Output()
	if err != nil {
		return c, err
	}
	for n := 1; n <= 3; n++ {
		voters := fmt.Sprintf("1@127.0.0.1:%d,2@127.0.0.1:%d,3@127.0.0.1:%d", of.innerPort(1), of.innerPort(2), of.innerPort(3))
		text := append([]string{
			"process.roles=broker,controller", fmt.Sprintf("node.id=%d", n), "controller.quorum.voters=" + voters,
			fmt.Sprintf("listeners=PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d", of.clientPort(n), of.innerPort(n)),
			"controller.listener.names=CONTROLLER", fmt.Sprintf("log.dirs=%s/%d", dir, n),
			"offsets.topic.replication.factor=3", "min.insync.replicas=2",
		}, lines...)
		config := filepath.Join(dir, fmt.Sprintf("%d.properties", n))
		if err := os.WriteFile(config, []byte(strings.Join(text, "\n")+"\n"), 0o644); err != nil {
			return c, err
		}
		if args, err = java(of, "kafka.tools.StorageTool", "format", "-t", strings.TrimSpace(string(id)), "-c", config); err != nil {
			return c, err
		}
		if err := command(ctx, dir, "java", args...); err != nil {
			return c, err
		}
	}
	for n := 1; n <= 3; n++ {
		if args, err = java(of, "kafka.Kafka", filepath.Join(dir, fmt.Sprintf("%d.properties", n))); err != nil {
			return c, err
		}
		if err := c.launch(ctx, "java", args...); err != nil {
			return c, err
		}
	}
	if err := c.reachable(ctx); err != nil {
		return c, err
	}
	_, err = retry(ctx, 60*time.Second, func() (struct{}, error) { // ports are open before brokers are ready
		return struct{}{}, command(ctx, ".", of.self, "metadata", "--brokers", fmt.Sprintf("127.0.0.1:%d", of.clientPort(1)),
			"--duration", "1s", "--concurrency", "1", "--topic", "ready", "--replication-factor", "3")
	})
	return c, err
}

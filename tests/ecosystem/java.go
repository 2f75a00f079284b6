// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"chronik/tests/rig"
)

// java resolves what a folder of java names, compiles its programs, and returns the class path and the version of an artifact.
func (b *bench) java(ctx context.Context, name, artifact string) (classpath, version string, err error) {
	source, dir := filepath.Join(b.here, "java", name), filepath.Join(b.cache, "java-"+name)
	pom := filepath.Join(source, "pom.xml")
	text, err := os.ReadFile(pom)
	if err != nil {
		return "", "", err
	}
	list, classes := filepath.Join(dir, "classpath"), filepath.Join(dir, "classes")
	if err := rig.Install(dir, string(text), func(string) error {
		_, err := rig.Call(exec.CommandContext(ctx, "mvn", "-q", "-B", "-f", pom, "dependency:build-classpath", "-Dmdep.outputFile="+list))
		return err
	}); err != nil {
		return "", "", err
	}
	found, err := os.ReadFile(list)
	if err != nil {
		return "", "", err
	}
	classpath = strings.TrimSpace(string(found))
	if _, err := rig.Call(exec.CommandContext(ctx, "javac", "-cp", classpath, "-d", classes, filepath.Join(source, "Copy.java"))); err != nil {
		return "", "", err
	}
	_, after, _ := strings.Cut(classpath, "/"+artifact+"-")
	version, _, _ = strings.Cut(after, ".jar")
	return classpath + ":" + classes, version, nil
}

// jvm is a program of a class path.
func jvm(classpath string, args ...string) *exec.Cmd {
	return exec.Command("java", append([]string{"-Xmx300m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", classpath}, args...)...)
}

func kafkaStreams(ctx context.Context, b *bench) (*installed, error) {
	classpath, version, err := b.java(ctx, "kafka", "kafka-streams")
	if err != nil {
		return nil, err
	}
	c := copier{name: "streams", cmd: func(in, out, group string, exactly bool) (*exec.Cmd, error) {
		guarantee := "at_least_once"
		if exactly {
			guarantee = "exactly_once_v2"
		}
		return jvm(classpath, "Copy", b.bootstrap, in, out, group, guarantee, filepath.Join(b.dir, group)), nil
	}}
	return &installed{version, append(b.copying(c), b.exact(c))}, nil
}

func springKafka(ctx context.Context, b *bench) (*installed, error) {
	classpath, version, err := b.java(ctx, "spring", "spring-kafka")
	if err != nil {
		return nil, err
	}
	c := copier{name: "spring", cmd: func(in, out, group string, exactly bool) (*exec.Cmd, error) {
		return jvm(classpath, "Copy", b.bootstrap, in, out, group, fmt.Sprint(exactly)), nil
	}}
	return &installed{version, append(b.copying(c), b.exact(c))}, nil
}

// mirrorMaker mirrors a topic to one with a prefix, within the cluster.
func mirrorMaker(ctx context.Context, b *bench) (*installed, error) {
	classpath, version, err := b.java(ctx, "kafka", "connect-mirror")
	if err != nil {
		return nil, err
	}
	c := copier{name: "mirror", output: func(in, _ string) string { return in + "-from." + in }, cmd: func(in, _, group string, _ bool) (*exec.Cmd, error) {
		file := filepath.Join(b.dir, group+".properties")
		return jvm(classpath, "org.apache.kafka.connect.mirror.MirrorMaker", file), os.WriteFile(file, []byte(mirrorConfig(b.bootstrap, in)), 0o644)
	}}
	return &installed{version, b.copying(c)}, nil
}

func mirrorConfig(bootstrap, topic string) string {
	from, to := topic+"-from", topic+"-to"                                                       // its internal topics have these names
	replace := strings.NewReplacer("TOPIC", topic, "FROM", from, "TO", to, "BROKERS", bootstrap) // TOPIC has TO in it
	return replace.Replace(`clusters = FROM, TO
FROM.bootstrap.servers = BROKERS
TO.bootstrap.servers = BROKERS
FROM->TO.enabled = true
FROM->TO.topics = TOPIC
FROM->TO.refresh.topics.interval.seconds = 5
replication.factor = 1
offset-syncs.topic.replication.factor = 1
heartbeats.topic.replication.factor = 1
checkpoints.topic.replication.factor = 1
config.storage.replication.factor = 1
offset.storage.replication.factor = 1
status.storage.replication.factor = 1
offset.flush.interval.ms = 500
`)
}

// kafkaConnect reads lines of a file into a topic, and writes a topic's records as lines of a file, by a worker that keeps its state in topics.
func kafkaConnect(ctx context.Context, b *bench) (*installed, error) {
	classpath, version, err := b.java(ctx, "kafka", "connect-runtime")
	if err != nil {
		return nil, err
	}
	return &installed{version, []check{
		{records, func(ctx context.Context) error { return b.connect(ctx, classpath, false) }},
		{resume, func(ctx context.Context) error { return b.connect(ctx, classpath, true) }},
		{exactlyOnce, func(ctx context.Context) error { return b.connectExactly(ctx, classpath) }},
	}}, nil
}

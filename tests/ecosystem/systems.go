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

// system is one row.
type system struct {
	name  string
	setup func(ctx context.Context, b *bench) (*installed, error) // its error says why it can't be had
}

// installed is a system that can be asked.
type installed struct {
	version string
	checks  []check
}

func systems() []system {
	return []system{
		{"Kafka Streams", kafkaStreams},
		{"Kafka Connect", kafkaConnect},
		{"MirrorMaker 2", mirrorMaker},
		{"Spring Kafka", springKafka},
		{"aiokafka", pythonCopier("aiokafka", true)},
		{"FastStream", pythonCopier("faststream", false)},
		{"Faust", pythonCopier("faust", false)}, // its exactly-once repeats records, against Kafka as well
		{"Quix Streams", pythonCopier("quixstreams", true)},
		{"kcl", kcl},
		{"kaf", kaf},
		{"kafkactl", kafkactl},
		{"topicctl", topicctl},
		{"kafka_exporter", kafkaExporter},
		{"kminion", kminion},
	}
}

// piece is how many values are written at once.
const piece = 300

// check is one cell of the table.
type check struct {
	column string
	do     func(ctx context.Context) error
}

// pythonCopier is a program of the folder python, in an environment with what a list of requirements names first.
func pythonCopier(name string, exactly bool) func(context.Context, *bench) (*installed, error) {
	return func(ctx context.Context, b *bench) (*installed, error) {
		list := filepath.Join(b.here, "python", name+".txt")
		text, err := os.ReadFile(list)
		if err != nil {
			return nil, err
		}
		dir := filepath.Join(b.cache, name)
		if err := rig.Install(dir, string(text), func(dir string) error {
			if _, err := rig.Call(exec.CommandContext(ctx, "python3", "-m", "venv", dir)); err != nil {
				return err
			}
			_, err := rig.Call(exec.CommandContext(ctx, filepath.Join(dir, "bin", "pip"), "install", "-q", "-r", list))
			return err
		}); err != nil {
			return nil, err
		}
		c := copier{name: name, cmd: func(in, out, group string, exactly bool) (*exec.Cmd, error) {
			args := []string{filepath.Join(b.here, "python", "copy_"+name+".py"), b.bootstrap, in, out, group, fmt.Sprint(exactly)}
			if name == "faust" || name == "quixstreams" {
				args = append(args, filepath.Join(b.dir, group))
			}
			return exec.Command(filepath.Join(dir, "bin", "python"), args...), nil
		}}
		first, _, _ := strings.Cut(string(text), "\n")
		_, version, _ := strings.Cut(first, "==")
		checks := b.copying(c)
		if exactly {
			checks = append(checks, b.exact(c))
		}
		return &installed{version, checks}, nil
	}
}

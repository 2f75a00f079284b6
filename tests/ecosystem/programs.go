// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"chronik/tests/rig"
)

// program finds one that the registries haven't, and its version.
func (b *bench) program(name string) (path, version string, err error) {
	if path, err = exec.LookPath(filepath.Join(b.programs, name)); err != nil || b.programs == "" {
		if path, err = exec.LookPath(name); err != nil {
			return "", "", fmt.Errorf("the registries haven't got it; put it into the folder of -programs: %w", err)
		}
	}
	if path, err = filepath.Abs(path); err != nil {
		return "", "", err
	}
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return path, "?", nil // it isn't of Go
	}
	return path, info.Main.Version, nil
}

// commands is how a program is asked for what all of its kind can do. In each, TOPIC, GROUP and FILE are replaced; nil: it can't.
type commands struct {
	produce, consume, create, remove, lag []string
	env                                   []string
	created                               int // partitions of what create creates
}

// tool makes the checks of a program for the command line.
func tool(name string, how func(b *bench) (commands, error)) func(context.Context, *bench) (*installed, error) {
	return func(_ context.Context, b *bench) (*installed, error) {
		path, version, err := b.program(name)
		if err != nil {
			return nil, err
		}
		c, err := how(b)
		if err != nil {
			return nil, err
		}
		call := func(ctx context.Context, topic string, stdin []string, args []string) (string, error) {
			replace := strings.NewReplacer("TOPIC", topic, "GROUP", topic+"-group")
			cmd := exec.CommandContext(ctx, path)
			for _, a := range args {
				cmd.Args = append(cmd.Args, replace.Replace(a))
			}
			cmd.Env = append(os.Environ(), c.env...)
			cmd.Stdin = strings.NewReader(strings.Join(append(stdin[:len(stdin):len(stdin)], ""), "\n"))
			return rig.Call(cmd)
		}
		var checks []check
		if c.produce != nil {
			checks = append(checks, check{records, func(ctx context.Context) error { return b.toolRecords(ctx, name, c, call) }})
		}
		checks = append(checks, check{admin, func(ctx context.Context) error { return b.toolAdmin(ctx, name, c, call) }})
		checks = append(checks, check{figures, func(ctx context.Context) error {
			topic, want, err := b.lagging(ctx, name)
			if err != nil {
				return err
			}
			said, err := call(ctx, topic, nil, c.lag)
			if err != nil {
				return err
			}
			return b.shows(said, want)
		}})
		return &installed{version, checks}, nil
	}
}

// caller runs a program with words on its standard input.
type caller func(ctx context.Context, topic string, stdin, args []string) (string, error)

// toolRecords has a program write what the judge reads, and read it again.
func (b *bench) toolRecords(ctx context.Context, name string, c commands, call caller) error {
	topic, err := b.topic(ctx, name)
	if err != nil {
		return err
	}
	want := values(topic, piece)
	if _, err := call(ctx, topic, want, c.produce); err != nil {
		return err
	}
	if err := b.expect(ctx, topic, want); err != nil {
		return err
	}
	said, err := call(ctx, topic, nil, c.consume)
	if err != nil {
		return err
	}
	return b.same("what it read", want, regexp.MustCompile(`(?m)^`+topic+`-\d+`).FindAllString(said, -1))
}

// toolAdmin has a program create a topic, and delete it if it can.
func (b *bench) toolAdmin(ctx context.Context, name string, c commands, call caller) error {
	topic := b.name(name)
	if strings.Contains(strings.Join(c.create, " "), ".yaml") {
		if err := b.topicctlFiles(topic); err != nil {
			return err
		}
	}
	if _, err := call(ctx, topic, nil, c.create); err != nil {
		return err
	}
	made, err := rig.Describe(ctx, b.brokers, topic)
	if err != nil {
		return err
	}
	if err := b.same("partitions", []string{fmt.Sprint(c.created)}, []string{fmt.Sprint(len(made))}); err != nil || c.remove == nil {
		return err
	}
	if _, err := call(ctx, topic, nil, c.remove); err != nil {
		return err
	}
	return until(ctx, func() error {
		if left, err := rig.Describe(ctx, b.brokers, topic); err == nil && len(left) > 0 {
			return fmt.Errorf("topic %s is still there", topic)
		}
		return nil
	})
}

// shows looks for numbers among the words of a text.
func (b *bench) shows(said string, want []string) error {
	var got []string
	for _, w := range want {
		if regexp.MustCompile(`\b` + w + `\b`).MatchString(said) {
			got = append(got, w)
		}
	}
	if err := b.same("the numbers that it shows", want, got); err != nil {
		return fmt.Errorf("%w; it said:\n%s", err, said)
	}
	return nil
}

func kcl(ctx context.Context, b *bench) (*installed, error) {
	all := []string{"--no-config-file", "-B", b.bootstrap}
	return tool("kcl", func(b *bench) (commands, error) {
		return commands{
			produce: append(all[:3:3], "produce", "TOPIC"),
			consume: append(all[:3:3], "consume", "-o", "start", "-n", fmt.Sprint(piece), "TOPIC"),
			create:  append(all[:3:3], "topic", "create", "-p", "5", "-r", "1", "TOPIC"), created: 5,
			remove: append(all[:3:3], "topic", "delete", "TOPIC"),
			lag:    append(all[:3:3], "group", "describe", "GROUP"),
		}, nil
	})(ctx, b)
}

func kaf(ctx context.Context, b *bench) (*installed, error) {
	file := filepath.Join(b.dir, "kaf.yaml")
	all := []string{"--config", file, "-b", b.bootstrap}
	return tool("kaf", func(b *bench) (commands, error) {
		return commands{
			produce: append(all[:4:4], "produce", "TOPIC"),
			consume: append(all[:4:4], "consume", "--output", "raw", "TOPIC"),
			create:  append(all[:4:4], "topic", "create", "-p", "5", "-r", "1", "TOPIC"), created: 5,
			remove: append(all[:4:4], "topic", "delete", "TOPIC"),
			lag:    append(all[:4:4], "group", "describe", "GROUP"),
		}, os.WriteFile(file, []byte("clusters: []\n"), 0o644)
	})(ctx, b)
}

func kafkactl(ctx context.Context, b *bench) (*installed, error) {
	file := filepath.Join(b.dir, "kafkactl.yaml")
	return tool("kafkactl", func(b *bench) (commands, error) {
		text := "contexts:\n  default:\n    brokers:\n"
		for _, addr := range b.brokers {
			text += "      - " + addr + "\n"
		}
		text += "current-context: default\n"
		return commands{
			produce: []string{"-C", file, "produce", "TOPIC"},
			consume: []string{"-C", file, "consume", "TOPIC", "--from-beginning", "--exit"},
			create:  []string{"-C", file, "create", "topic", "TOPIC", "-p", "5", "-r", "1"}, created: 5,
			remove: []string{"-C", file, "delete", "topic", "TOPIC"},
			lag:    []string{"-C", file, "describe", "consumer-group", "GROUP"},
		}, os.WriteFile(file, []byte(text), 0o644)
	})(ctx, b)
}

func topicctl(ctx context.Context, b *bench) (*installed, error) {
	return tool("topicctl", func(b *bench) (commands, error) {
		return commands{
			create:  []string{"apply", "--skip-confirm", "--no-spinner", "--cluster-config", filepath.Join(b.dir, "cluster.yaml"), filepath.Join(b.dir, "TOPIC.yaml")},
			created: 5,
			lag:     []string{"get", "lags", "TOPIC", "GROUP", "--full", "--no-spinner", "--broker-addr", b.brokers[0]},
		}, nil
	})(ctx, b)
}

// topicctlFiles writes what topicctl wants to know of a cluster and a topic.
func (b *bench) topicctlFiles(topic string) error {
	cluster := fmt.Sprintf("meta:\n  name: test\n  environment: test\n  region: test\n  description: a test\nspec:\n  bootstrapAddrs: [%q]\n", b.brokers[0])
	if err := os.WriteFile(filepath.Join(b.dir, "cluster.yaml"), []byte(cluster), 0o644); err != nil {
		return err
	}
	text := fmt.Sprintf("meta:\n  name: %s\n  cluster: test\n  environment: test\n  region: test\n  description: a test\n"+
		"spec:\n  partitions: 5\n  replicationFactor: 1\n  retentionMinutes: 100\n  placement:\n    strategy: any\n", topic)
	return os.WriteFile(filepath.Join(b.dir, topic+".yaml"), []byte(text), 0o644)
}

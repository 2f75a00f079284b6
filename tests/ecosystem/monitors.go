// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"chronik/tests/rig"
)

// Of a topic with one partition a group has read some, and some not.
const (
	written   = 431
	committed = 178
)

// lagging makes such a topic, and a group named after it, and says which numbers a tool should show.
func (b *bench) lagging(ctx context.Context, name string) (topic string, numbers []string, err error) {
	topic = b.name(name)
	if err := rig.CreateTopic(ctx, b.brokers, topic, 1, 1); err != nil {
		return "", nil, err
	}
	if err := b.write(ctx, topic, values(topic, written)); err != nil {
		return "", nil, err
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.brokers...), kgo.MaxVersions(kversion.V3_9_0())) // later ones commit by the topic's id
	if err != nil {
		return "", nil, err
	}
	defer cl.Close()
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group = topic + "-group"
	t, p := kmsg.NewOffsetCommitRequestTopic(), kmsg.NewOffsetCommitRequestTopicPartition()
	p.Offset, t.Topic = committed, topic
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
	}
	return topic, []string{fmt.Sprint(committed), fmt.Sprint(written - committed)}, err
}

// metrics waits until a page shows a metric of a topic with a value.
func (b *bench) metrics(ctx context.Context, p *process, url, topic string, want map[string]int) error {
	return p.explain(until(ctx, func() error {
		resp, err := http.Get(url)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		page, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		var expected, got []string
		for name, value := range want {
			expected = append(expected, fmt.Sprint(name, " ", value))
			for _, m := range regexp.MustCompile(`(?m)^`+name+`\{(.*)\} (\S+)$`).FindAllStringSubmatch(string(page), -1) {
				if strings.Contains(m[1], `"`+topic+`"`) {
					got = append(got, name+" "+m[2])
				}
			}
		}
		return b.same("metrics", expected, got)
	}))
}

func kafkaExporter(_ context.Context, b *bench) (*installed, error) {
	path, version, err := b.program("kafka_exporter")
	if err != nil {
		return nil, err
	}
	return &installed{version, []check{{figures, func(ctx context.Context) error {
		topic, _, err := b.lagging(ctx, "exporter")
		if err != nil {
			return err
		}
		port, err := freePort()
		if err != nil {
			return err
		}
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		cmd := exec.Command(path, "--web.listen-address="+addr)
		for _, a := range b.brokers {
			cmd.Args = append(cmd.Args, "--kafka.server="+a)
		}
		p, err := b.start("exporter", cmd)
		if err != nil {
			return err
		}
		defer p.kill()
		return b.metrics(ctx, p, "http://"+addr+"/metrics", topic, map[string]int{
			"kafka_topic_partition_current_offset": written, "kafka_consumergroup_current_offset": committed, "kafka_consumergroup_lag": written - committed,
		})
	}}}}, nil
}

func kminion(_ context.Context, b *bench) (*installed, error) {
	path, version, err := b.program("kminion")
	if err != nil {
		return nil, err
	}
	return &installed{version, []check{{figures, func(ctx context.Context) error {
		topic, _, err := b.lagging(ctx, "kminion")
		if err != nil {
			return err
		}
		port, err := freePort()
		if err != nil {
			return err
		}
		file := filepath.Join(b.dir, "kminion.yaml")
		text := fmt.Sprintf("kafka:\n  brokers: [%s]\nminion:\n  consumerGroups:\n    enabled: true\n    scrapeMode: adminApi\n    granularity: partition\n"+
			"  topics:\n    granularity: partition\nexporter:\n  host: 127.0.0.1\n  port: %d\n", b.bootstrap, port)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return err
		}
		cmd := exec.Command(path)
		cmd.Env = append(os.Environ(), "CONFIG_FILEPATH="+file)
		p, err := b.start("kminion", cmd)
		if err != nil {
			return err
		}
		defer p.kill()
		return b.metrics(ctx, p, fmt.Sprintf("http://127.0.0.1:%d/metrics", port), topic, map[string]int{
			"kminion_kafka_topic_partition_high_water_mark": written, "kminion_kafka_consumer_group_topic_partition_lag": written - committed,
		})
	}}}}, nil
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"chronik/tests/rig"
)

// worker is a Connect worker, its state in topics named after it.
type worker struct {
	bench     *bench
	classpath string
	name, url string
	process   *process
}

// begin starts a worker, of which connectors go on where they were, and waits until it answers.
func (w *worker) begin(ctx context.Context) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	w.url = fmt.Sprintf("http://127.0.0.1:%d/connectors", port)
	file := filepath.Join(w.bench.dir, w.name+".properties")
	text := fmt.Sprintf(`bootstrap.servers=%s
group.id=%[2]s
config.storage.topic=%[2]s-configs
offset.storage.topic=%[2]s-offsets
status.storage.topic=%[2]s-status
config.storage.replication.factor=1
offset.storage.replication.factor=1
status.storage.replication.factor=1
offset.storage.partitions=2
status.storage.partitions=2
offset.flush.interval.ms=500
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=org.apache.kafka.connect.storage.StringConverter
listeners=http://127.0.0.1:%d
plugin.discovery=only_scan
exactly.once.source.support=enabled
session.timeout.ms=6000
heartbeat.interval.ms=2000
`, w.bench.bootstrap, w.name, port)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return err
	}
	if w.process, err = w.bench.start("connect", jvm(w.classpath, "org.apache.kafka.connect.cli.ConnectDistributed", file)); err != nil {
		return err
	}
	return w.process.explain(until(ctx, func() error { return ask(ctx, http.MethodGet, w.url, nil) }))
}

// ask sends a request to a system's own API.
func ask(ctx context.Context, method, url string, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if said, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode >= 300 {
		return fmt.Errorf("%s: %s: %s (%w)", url, resp.Status, said, err)
	}
	return nil
}

// put makes a connector.
func (w *worker) put(ctx context.Context, name string, config map[string]string) error {
	config["tasks.max"] = "1"
	return w.process.explain(until(ctx, func() error { return ask(ctx, http.MethodPut, w.url+"/"+name+"/config", config) }))
}

// addLines adds values to a file.
func addLines(file string, values []string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(strings.Join(values, "\n") + "\n")
	return err
}

// connect has a file go into a topic, and the topic into another file; if again, the worker is stopped and started, and the file gets longer.
func (b *bench) connect(ctx context.Context, classpath string, again bool) error {
	topic, err := b.topic(ctx, "connect")
	if err != nil {
		return err
	}
	w := &worker{bench: b, classpath: classpath, name: topic + "-worker"}
	from, to := filepath.Join(b.dir, topic+".from"), filepath.Join(b.dir, topic+".to")
	all := values(topic, piece)
	if err := addLines(from, all); err != nil {
		return err
	}
	if err := w.begin(ctx); err != nil {
		return err
	}
	defer func() { w.process.kill() }()
	if err := w.put(ctx, topic+"-source", map[string]string{"connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector", "file": from, "topic": topic}); err != nil {
		return err
	}
	if err := w.put(ctx, topic+"-sink", map[string]string{"connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector", "file": to, "topics": topic}); err != nil {
		return err
	}
	if err := b.bothHave(ctx, w, topic, to, all); err != nil || !again {
		return err
	}
	if err := w.process.stop(); err != nil {
		return err
	}
	more := values(topic+"-again", piece)
	if err := addLines(from, more); err != nil {
		return err
	}
	if err := w.begin(ctx); err != nil {
		return err
	}
	return b.bothHave(ctx, w, topic, to, append(all, more...))
}

// bothHave compares a topic and a file with what was written.
func (b *bench) bothHave(ctx context.Context, w *worker, topic, file string, want []string) error {
	if err := b.expect(ctx, topic, want); err != nil {
		return w.process.explain(err)
	}
	return w.process.explain(until(ctx, func() error {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		return b.same(file, want, strings.Split(strings.TrimSpace(string(text)), "\n"))
	}))
}

// connectExactly kills a worker twice while a source writes by transactions.
func (b *bench) connectExactly(ctx context.Context, classpath string) error {
	topic, err := b.topic(ctx, "connect")
	if err != nil {
		return err
	}
	w := &worker{bench: b, classpath: classpath, name: topic + "-worker"}
	from := filepath.Join(b.dir, topic+".from")
	var all []string
	for i := range 3 {
		if err := w.begin(ctx); err != nil {
			return err
		}
		err := b.connectRound(ctx, w, topic, from, i, &all)
		if err == nil && i == 2 {
			err = w.process.explain(b.expect(ctx, topic, all))
		}
		w.process.kill()
		if err != nil {
			return fmt.Errorf("start %d: %w", i+1, err)
		}
	}
	return nil
}

func (b *bench) connectRound(ctx context.Context, w *worker, topic, from string, i int, all *[]string) error {
	before := len(*all)
	if i == 0 {
		if err := addLines(from, []string{topic}); err != nil {
			return err
		}
		*all = append(*all, topic)
		if err := w.put(ctx, topic+"-source", map[string]string{
			"connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector", "file": from, "topic": topic,
			"exactly.once.support": "requested", "transaction.boundary": "poll",
		}); err != nil {
			return err
		}
	}
	for part := range 20 {
		more := values(fmt.Sprintf("%s-%d-%d", topic, i, part), smallPiece)
		if err := addLines(from, more); err != nil {
			return err
		}
		*all = append(*all, more...)
		if part == 0 {
			if err := b.begun(ctx, topic, before); err != nil {
				return w.process.explain(err)
			}
		}
		if err := rig.Pause(ctx, checkPause); err != nil {
			return err
		}
	}
	return nil
}

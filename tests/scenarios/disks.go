// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/tests/rig"
)

// Scenarios in which the disks of all brokers are full.

// smallDisks gives each broker a file system of 64 MiB of its own, on a loop device. Only root may do that.
func smallDisks(dir string) (undo func(), err error) {
	var mounted []string
	undo = func() {
		for _, folder := range mounted {
			exec.Command("umount", "-l", folder).Run()
		}
	}
	for id := 1; id <= replicas; id++ {
		folder := filepath.Join(dir, fmt.Sprint(id))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return undo, err
		}
		image := filepath.Join(dir, fmt.Sprintf("disk-%d", id))
		script := `truncate -s 64M "$1" && mkfs.ext4 -q -F -m 0 "$1" && mount -o loop "$1" "$2"`
		if out, err := exec.Command("sh", "-c", script, "sh", image, folder).CombinedOutput(); err != nil {
			undo()
			return nil, fmt.Errorf("%w: %s", errCantMount, strings.TrimSpace(string(out)))
		}
		mounted = append(mounted, folder)
	}
	return undo, nil
}

// roomAgain is how soon after an administrator made room records must be taken again.
const roomAgain = 20 * time.Second

// allDisksFull fills all disks, and makes room in each of the ways that there are.
func allDisksFull(ctx context.Context, w *world) error {
	boot := w.Bootstrap()
	ways := []struct {
		name string
		do   func() error
	}{
		{"DeleteRecords", func() error {
			ends, err := rig.Offsets(ctx, boot, topic, w.partitions, -1)
			if err != nil {
				return err
			}
			return rig.DeleteBelow(ctx, boot, topic, ends)
		}},
		{"DeleteTopics", func() error {
			if err := rig.DeleteTopic(ctx, boot, topic); err != nil {
				return err
			}
			return w.createAgain(ctx)
		}},
		{"a restart of all brokers, then retention.bytes", func() error {
			for id := 1; id <= replicas; id++ {
				if _, err := w.Stop(id); err != nil {
					return err
				}
			}
			if err := w.RestartAll(ctx, []int{1, 2, 3}); err != nil {
				return err
			}
			return rig.SetConfig(ctx, boot, topic, "retention.bytes", "65536")
		}},
	}
	for _, way := range ways {
		n, err := w.fillDisks(ctx)
		if err != nil {
			return err
		}
		begin := time.Now()
		if err := way.do(); err != nil {
			return fmt.Errorf("%s while all disks are full: %w", way.name, err)
		}
		done := time.Since(begin)
		if err := w.takesRecords(ctx, roomAgain); err != nil {
			return fmt.Errorf("after %s: %w", way.name, err)
		}
		w.note("full after %d records; %s took %v, and records were taken again after %v", n, way.name, ms(done), ms(time.Since(begin)))
	}
	return nil
}

// createAgain creates the topic as soon as there is room for it; until then it is refused.
func (w *world) createAgain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, roomAgain)
	defer cancel()
	for {
		err := rig.CreateTopic(ctx, w.Bootstrap(), topic, w.partitions, replicas)
		if !errors.Is(err, kerr.KafkaStorageError) || rig.Pause(ctx, 100*time.Millisecond) != nil {
			return err
		}
	}
}

// fillDisks writes until records are refused, which must be done in Kafka's word for it.
func (w *world) fillDisks(ctx context.Context) (records int, err error) {
	cl, err := w.writer()
	if err != nil {
		return 0, err
	}
	defer cl.Close()
	value := make([]byte, 64<<10)
	for ; records < 10_000; records++ {
		r := &kgo.Record{Partition: int32(records % w.partitions), Value: value}
		err := cl.ProduceSync(ctx, r).FirstErr()
		if errors.Is(err, kerr.KafkaStorageError) {
			return records, nil
		}
		if err != nil {
			return records, fmt.Errorf("a record for a full disk is refused with: %w", err)
		}
	}
	return records, errors.New("the disks don't get full")
}

// takesRecords waits until each partition takes a record.
func (w *world) takesRecords(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for p := range w.partitions {
		for {
			cl, err := w.writer()
			if err != nil {
				return err
			}
			err = cl.ProduceSync(ctx, &kgo.Record{Partition: int32(p), Value: []byte("room again")}).FirstErr()
			cl.Close()
			if err == nil {
				break
			}
			if rig.Pause(ctx, 100*time.Millisecond) != nil {
				return fmt.Errorf("partition %d takes no records within %v: %w", p, limit, err)
			}
		}
	}
	return nil
}

// writer is a producer that soon tells why a record isn't taken.
func (w *world) writer() (*kgo.Client, error) {
	return kgo.NewClient(kgo.SeedBrokers(w.Bootstrap()...), kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RecordRetries(5), kgo.MetadataMinAge(100*time.Millisecond), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(1))
}

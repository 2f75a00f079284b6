// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/cmd/broker/backup"
)

// keptRecord is a record as far as a consumer can tell.
type keptRecord struct {
	Offset, Timestamp   int64
	Key, Value, Headers string
}

func clientOf(t *testing.T, address string, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append(options, kgo.SeedBrokers(address), kgo.MetadataMinAge(10*time.Millisecond), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

const endOf = "the end of the partition" // a value

// contents reads what is committed in all topics, and says at which offset the next record came, by partition.
func contents(t *testing.T, address string) (found map[string][]keptRecord, ends map[string]int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	a := kadm.NewClient(clientOf(t, address))
	topics, err := a.ListTopics(ctx)
	if err != nil {
		t.Fatal(err)
	}
	found, ends = make(map[string][]keptRecord), make(map[string]int64)
	producer, partitions := clientOf(t, address), 0
	for _, p := range topics.TopicsList() {
		for _, n := range p.Partitions {
			partitions++
			if err := producer.ProduceSync(ctx, &kgo.Record{Topic: p.Topic, Partition: n, Key: []byte("end"), Value: []byte(endOf)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	c := clientOf(t, address, kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeTopics(topics.Names()...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	for len(ends) < partitions {
		c.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			name := fmt.Sprintf("%s/%d", r.Topic, r.Partition)
			if string(r.Value) == endOf {
				ends[name] = r.Offset
				return
			}
			found[name] = append(found[name], keptRecord{r.Offset, r.Timestamp.UnixMilli(), string(r.Key), string(r.Value), fmt.Sprint(r.Headers)})
		})
		if ctx.Err() != nil {
			t.Fatalf("%d of %d partitions were read to their ends", len(ends), partitions)
		}
	}
	return found, ends
}

// writers write until they are stopped, and note what was acknowledged.
type writers struct {
	sync.Mutex
	acked []kgo.Record
	stop  context.CancelFunc
	done  sync.WaitGroup
}

func (w *writers) note(records []*kgo.Record) {
	w.Lock()
	defer w.Unlock()
	for _, r := range records {
		w.acked = append(w.acked, *r)
	}
}

func (w *writers) sofar() int {
	w.Lock()
	defer w.Unlock()
	return len(w.acked)
}

// makeTopics makes topics of several kinds.
func makeTopics(t *testing.T, a *kadm.Client, replicas int16) {
	t.Helper()
	for topic, configs := range map[string][]string{
		"orders": {"retention.ms=604800001", "max.message.bytes=900000"}, "small": {"max.message.bytes=2000"}, "bank": {"message.timestamp.type=LogAppendTime"},
		"state": {"cleanup.policy=compact"}, "empty": nil,
	} {
		set := make(map[string]*string)
		for _, c := range configs {
			name, value, _ := strings.Cut(c, "=")
			set[name] = &value
		}
		if _, err := a.CreateTopic(t.Context(), 3, replicas, set, topic); err != nil {
			t.Fatal(err)
		}
	}
}

// load makes topics and begins to write: plain records, transactions of which every third is aborted, few keys in a compacted
// topic, and the offsets of a group.
func load(t *testing.T, address string, replicas int16) *writers {
	t.Helper()
	a := kadm.NewClient(clientOf(t, address))
	makeTopics(t, a, replicas)
	ctx, stop := context.WithCancel(t.Context())
	w := &writers{stop: stop}
	plain := clientOf(t, address, kgo.ProducerBatchCompression(kgo.Lz4Compression()))
	w.begin(ctx, func(n int) error {
		rs := []*kgo.Record{
			{Topic: "orders", Partition: int32(n % 3), Key: fmt.Append(nil, n), Value: []byte(strings.Repeat("order ", n%50)), Headers: []kgo.RecordHeader{{Key: "n", Value: fmt.Append(nil, n)}}},
			{Topic: "small", Partition: int32(n % 3), Value: []byte(strings.Repeat("small ", n%200)), Timestamp: time.UnixMilli(1e12 - int64(n%1000))},
			{Topic: "state", Partition: int32(n % 3), Key: fmt.Append(nil, n%7), Value: fmt.Append(nil, "state ", n)},
		}
		err := plain.ProduceSync(ctx, rs...).FirstErr()
		if err == nil {
			w.note(rs)
		}
		return err
	})
	txn, whole := clientOf(t, address, kgo.TransactionalID("bank")), context.WithoutCancel(ctx) // it leaves no transaction open
	w.begin(ctx, func(n int) error {
		if err := txn.BeginTransaction(); err != nil {
			return err
		}
		rs := []*kgo.Record{{Topic: "bank", Partition: int32(n % 3), Value: fmt.Append(nil, "take ", n)}, {Topic: "bank", Partition: int32((n + 1) % 3), Value: fmt.Append(nil, "give ", n)}}
		if err := txn.ProduceSync(whole, rs...).FirstErr(); err != nil {
			return err
		}
		commit := kgo.TransactionEndTry(n%3 != 0)
		err := txn.EndTransaction(whole, commit)
		if err == nil && commit == kgo.TryCommit {
			w.note(rs)
		}
		return err
	})
	commit := func(int) error {
		ends, err := a.ListEndOffsets(ctx, "orders")
		if err != nil {
			return err
		}
		return a.CommitAllOffsets(ctx, "billing", ends.Offsets())
	}
	if err := commit(0); err != nil {
		t.Fatal(err)
	}
	w.begin(ctx, commit)
	t.Cleanup(w.end)
	return w
}

func (w *writers) begin(ctx context.Context, do func(n int) error) {
	w.done.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			if do(n) != nil && ctx.Err() == nil {
				time.Sleep(10 * time.Millisecond)
			}
		}
	})
}

func (w *writers) end() { w.stop(); w.done.Wait() }

// command runs a command of the program, which must end with a code.
func command(t *testing.T, code int, args ...string) string {
	t.Helper()
	var out strings.Builder
	if got := run(t.Context(), args, &out, &out); got != code {
		t.Fatalf("broker %s: exit code %d, want %d\n%s", strings.Join(args, " "), got, code, out.String())
	}
	return out.String()
}

// newestManifest reads what the newest backup in a folder says.
func newestManifest(t *testing.T, dir string) *backup.Manifest {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "backups", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests: %v", err)
	}
	text, err := os.ReadFile(files[len(files)-1])
	if err != nil {
		t.Fatal(err)
	}
	var in struct{ Backup *backup.Manifest }
	if err := json.Unmarshal(text, &in); err != nil {
		t.Fatal(err)
	}
	return in.Backup
}

// within keeps the records that a backup is about.
func within(m *backup.Manifest, all map[string][]keptRecord) map[string][]keptRecord {
	kept := make(map[string][]keptRecord)
	for _, topic := range m.Topics {
		for _, p := range topic.Partitions {
			name := fmt.Sprintf("%s/%d", topic.Name, p.Partition)
			for _, r := range all[name] {
				if r.Offset >= p.Start && r.Offset < p.End {
					kept[name] = append(kept[name], r)
				}
			}
		}
	}
	return kept
}

// sameCluster holds a restored cluster against what was read before the loss, and what the backup says.
func sameCluster(t *testing.T, m *backup.Manifest, before map[string][]keptRecord, address string) {
	t.Helper()
	after, ends := contents(t, address)
	if diff := cmp.Diff(within(m, before), after); diff != "" {
		t.Errorf("records (-before the loss +restored):\n%.5000s", diff)
	}
	a := kadm.NewClient(clientOf(t, address))
	for _, topic := range m.Topics {
		for _, p := range topic.Partitions {
			if name := fmt.Sprintf("%s/%d", topic.Name, p.Partition); ends[name] != p.End {
				t.Errorf("%s goes on at offset %d, and the backup ends at %d", name, ends[name], p.End)
			}
		}
	}
	for _, g := range m.Groups {
		offsets, err := a.FetchOffsets(t.Context(), g.Name)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range g.Offsets {
			if got, _ := offsets.Lookup(o.Topic, o.Partition); got.At != o.Offset {
				t.Errorf("group %s is at offset %d of %s/%d, and was at %d", g.Name, got.At, o.Topic, o.Partition, o.Offset)
			}
		}
	}
}

// Three brokers are backed up twice under load, lose all their data, and are restored: all that was acknowledged before the second
// backup began is there, at its offset, and groups are where they were.
func TestBackupLossAndRestore(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	port, to := freePorts(t, 3), t.TempDir()
	at := net127(port)
	cluster := begin(t, "local", "-brokers", "3", "-dir", t.TempDir(), "-port", fmt.Sprint(port))
	cluster.waitFor(t, "ready: 3 brokers")
	w := load(t, at, 3)
	for w.sofar() < 300 {
		time.Sleep(10 * time.Millisecond)
	}
	trim := make(kadm.Offsets)
	trim.AddOffset("orders", 0, 7, -1)
	if _, err := kadm.NewClient(clientOf(t, at)).DeleteRecords(t.Context(), trim); err != nil {
		t.Fatal(err)
	}
	command(t, 0, "backup", "-bootstrap", at, "-to", to)
	first := newestManifest(t, to)
	command(t, 0, "backup", "-bootstrap", at, "-to", to, "-topics", "bank")
	for n := w.sofar(); w.sofar() < n+300; {
		time.Sleep(10 * time.Millisecond)
	}
	acked := w.sofar()
	t.Log(command(t, 0, "backup", "-bootstrap", at, "-to", to))
	w.end()
	before, _ := contents(t, at)
	if code := cluster.end(); code != 0 {
		t.Fatalf("the cluster stopped with exit code %d", code)
	}
	m := newestManifest(t, to)
	holdsChunks(t, first, m)
	t.Log(command(t, 0, "backup", "verify", "-from", to))

	cluster = begin(t, "local", "-brokers", "3", "-dir", t.TempDir(), "-port", fmt.Sprint(port))
	cluster.waitFor(t, "ready: 3 brokers")
	t.Log(command(t, 0, "restore", "-bootstrap", at, "-from", to))
	if said := command(t, 1, "restore", "-bootstrap", at, "-from", to); !strings.Contains(said, "the cluster has topics of the backup already: bank, empty, orders, small, state") {
		t.Errorf("a second time: %s", said)
	}
	t.Log(command(t, 0, "restore", "-bootstrap", at, "-from", to, "-continue"))
	sameCluster(t, m, before, at)
	holdsAcked(t, w.acked[:acked], within(m, before))
	described := command(t, 0, "admin", "-bootstrap", at, "topics", "describe", "orders", "state", "bank")
	for _, want := range []string{"retention.ms=604800001", "max.message.bytes=900000", "cleanup.policy=compact", "message.timestamp.type=LogAppendTime"} {
		if !strings.Contains(described, want) {
			t.Errorf("no %s in\n%s", want, described)
		}
	}
	if strings.Contains(described, "=-1") || strings.Contains(described, "cleanup.policy=delete") {
		t.Errorf("settings of the restore have stayed:\n%s", described)
	}
	cluster.end()
}

// holdsAcked demands that what was acknowledged before a backup began is in it.
func holdsAcked(t *testing.T, acked []kgo.Record, all map[string][]keptRecord) {
	t.Helper()
	for _, r := range acked {
		name := fmt.Sprintf("%s/%d", r.Topic, r.Partition)
		if r.Topic == "state" || name == "orders/0" && r.Offset < 7 {
			continue // compacted or deleted
		}
		found := false
		for _, k := range all[name] {
			found = found || k.Offset == r.Offset && k.Value == string(r.Value)
		}
		if !found {
			t.Fatalf("%s of %s at offset %d was acknowledged before the backup began, and isn't in it", r.Value, name, r.Offset)
		}
	}
}

// holdsChunks demands that a backup goes on where the one before ended, and keeps what that has.
func holdsChunks(t *testing.T, first, second *backup.Manifest) {
	t.Helper()
	for i, topic := range first.Topics {
		for k, p := range topic.Partitions {
			again := second.Topics[i].Partitions[k]
			if len(again.Chunks) < len(p.Chunks) || len(p.Chunks) > 0 && cmp.Diff(p.Chunks, again.Chunks[:len(p.Chunks)]) != "" {
				t.Errorf("%s/%d: the second backup doesn't begin with the chunks of the first", topic.Name, p.Partition)
			}
		}
	}
}

// Through an S3 API; and what is damaged there is found.
func TestBackupToS3(t *testing.T) {
	objects := s3mem.New()
	server := httptest.NewServer(gofakes3.New(objects).Server())
	defer server.Close()
	if err := objects.CreateBucket("safe"); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "k")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "s")
	port := freePorts(t, 1)
	at, s3 := net127(port), []string{"-s3-endpoint", server.URL, "-s3-region", "us-east-1"}
	serve := func() *running {
		file := writeFile(t, "broker.toml", fmt.Sprintf("dir = %q\nlisten = %q\nmetrics = ''\nauthorize = true\nsuper_users = 'User:ANONYMOUS'\nlog_level = 'error'", t.TempDir(), at))
		b := begin(t, "start", "-config", file)
		b.waitFor(t, "ready: broker 1")
		return b
	}
	broker := serve()
	w := load(t, at, 1)
	a := kadm.NewClient(clientOf(t, at))
	if _, err := a.CreateACLs(t.Context(), kadm.NewACLs().Topics("ord").ResourcePatternType(kadm.ACLPatternPrefixed).Allow("User:ann").Operations(kadm.OpRead)); err != nil {
		t.Fatal(err)
	}
	ann := "ann"
	if _, err := a.AlterClientQuotas(t.Context(), []kadm.AlterClientQuotaEntry{{Entity: kadm.ClientQuotaEntity{{Type: "user", Name: &ann}}, Ops: []kadm.AlterClientQuotaOp{{Key: "producer_byte_rate", Value: 5e6}}}}); err != nil {
		t.Fatal(err)
	}
	for w.sofar() < 300 {
		time.Sleep(10 * time.Millisecond)
	}
	w.end()
	before, _ := contents(t, at)
	command(t, 0, append([]string{"backup", "-bootstrap", at, "-to", "s3://safe/a/b"}, s3...)...)
	broker.end()
	if said := command(t, 0, append([]string{"backup", "verify", "-from", "s3://safe/a/b"}, s3...)...); !strings.Contains(said, "is whole: 5 topics, 15 partitions") {
		t.Errorf("verify: %s", said)
	}
	broker = serve()
	command(t, 0, append([]string{"restore", "-bootstrap", at, "-from", "s3://safe/a/b"}, s3...)...)
	after, _ := contents(t, at)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("(-before +restored)\n%.3000s", diff)
	}
	tryAdmin(t, []string{"-bootstrap", at}, []adminCase{
		{"acls", 0, []string{"allow User:ann * read topic prefixed ord"}},
		{"quotas", 0, []string{"user=ann producer_byte_rate 5000000"}},
		{"groups lag billing", 0, []string{"orders 2"}},
	})
	broker.end()
}

// What is damaged or missing in a backup is named.
func TestDamagedBackups(t *testing.T) {
	port := freePorts(t, 1)
	at, to := net127(port), t.TempDir()
	broker := begin(t, "start", "-config", writeFile(t, "broker.toml", fmt.Sprintf("dir = %q\nlisten = %q\nmetrics = ''\nlog_level = 'error'", t.TempDir(), at)))
	broker.waitFor(t, "ready: broker 1")
	w := load(t, at, 1)
	for w.sofar() < 30 {
		time.Sleep(10 * time.Millisecond)
	}
	w.end()
	command(t, 0, "backup", "-bootstrap", at, "-to", to, "-topics", "orders")
	broker.end()
	command(t, 0, "backup", "verify", "-from", to)
	command(t, 1, "backup", "verify", "-from", t.TempDir())
	var files []string
	filepath.WalkDir(to, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if len(files) != 4 {
		t.Fatalf("a manifest and three chunks are in %v", files)
	}
	for _, file := range files {
		whole, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		flipped := append([]byte{}, whole...)
		flipped[len(flipped)/2] ^= 1
		for what, damage := range map[string]func() error{
			"flipped": func() error { return os.WriteFile(file, flipped, 0o600) },
			"cut":     func() error { return os.WriteFile(file, whole[:len(whole)-1], 0o600) },
			"gone":    func() error { return os.Remove(file) },
		} {
			if err := damage(); err != nil {
				t.Fatal(err)
			}
			said := command(t, 1, "backup", "verify", "-from", to)
			if !strings.Contains(said, "damaged") && !strings.Contains(said, "no such file") && !strings.Contains(said, "no backup is in") {
				t.Errorf("%s, %s: %s", file, what, said)
			}
			if err := os.WriteFile(file, whole, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	command(t, 0, "backup", "verify", "-from", to)
}

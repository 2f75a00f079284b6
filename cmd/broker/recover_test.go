// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// acked is what a producer was told, by partition and offset.
type acked struct {
	sync.Mutex
	at   [3]map[int64]string
	many int
}

// load writes records to the topic t until ctx ends.
func (a *acked) load(ctx context.Context, c *kgo.Client) {
	for i := 0; ctx.Err() == nil; i++ {
		c.Produce(ctx, &kgo.Record{Topic: "t", Partition: int32(i % 3), Value: fmt.Append(nil, "value ", i)}, func(r *kgo.Record, err error) {
			if err != nil {
				return
			}
			a.Lock()
			defer a.Unlock()
			if a.at[r.Partition] == nil {
				a.at[r.Partition] = make(map[int64]string)
			}
			a.at[r.Partition][r.Offset] = string(r.Value)
			a.many++
		})
		time.Sleep(time.Millisecond)
	}
}

func (a *acked) count() int {
	a.Lock()
	defer a.Unlock()
	return a.many
}

// pidOf reads which process uses a data folder.
func pidOf(t *testing.T, dir string) (pid int) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(string(text), &pid); err != nil {
		t.Fatal(err)
	}
	return pid
}

// must carries out a command and returns what it says.
func must(t *testing.T, code int, words string, args ...any) string {
	t.Helper()
	command := strings.Fields(fmt.Sprintf(words, args...))
	got, out, errs := ran(command...)
	if got != code {
		t.Fatalf("%s: exit code %d\n%s%s", command, got, out, errs)
	}
	return out + errs
}

func mustSay(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in:\n%s", part, text)
		}
	}
}

// loadAndKill writes to a cluster until all its brokers are killed, and returns what was acknowledged.
func loadAndKill(t *testing.T, dir string, port int) *acked {
	t.Helper()
	cluster := begin(t, "local", "-brokers", "3", "-dir", dir, "-port", fmt.Sprint(port))
	cluster.waitFor(t, "ready: 3 brokers")
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	c := clientOf(t, net127(port))
	if _, err := kadm.NewClient(c).CreateTopic(ctx, 3, 3, nil, "t"); err != nil {
		t.Fatal(err)
	}
	a := new(acked)
	go a.load(ctx, c)
	for a.count() < 300 {
		if ctx.Err() != nil {
			t.Fatal("nothing was acknowledged")
		}
		time.Sleep(10 * time.Millisecond)
	}
	for _, id := range []string{"1", "2", "3"} {
		syscall.Kill(pidOf(t, filepath.Join(dir, id)), syscall.SIGKILL)
	}
	cluster.end()
	return a
}

// survived holds what can be read against what was acknowledged: all of it below the ends that the plan named.
func survived(t *testing.T, a *acked, port int, plan string) {
	t.Helper()
	a.Lock()
	defer a.Unlock()
	found, _ := contents(t, net127(port))
	ends := regexp.MustCompile(`(?m)^t +(\d) .* broker 1 +offsets 0 to (\d+) `).FindAllStringSubmatch(plan, -1)
	if len(ends) != 3 {
		t.Fatalf("the plan names %d partitions of t:\n%s", len(ends), plan)
	}
	for _, e := range ends {
		var last int64
		var partition int
		fmt.Sscan(e[1], &partition)
		fmt.Sscan(e[2], &last)
		records := found["t/"+e[1]]
		if int64(len(records)) != last+1 {
			t.Errorf("partition %d has %d records, and the plan says offsets 0 to %d", partition, len(records), last)
			continue
		}
		for offset, value := range a.at[partition] {
			if offset <= last && records[offset].Value != value {
				t.Errorf("partition %d, offset %d: %q was acknowledged, %q is there", partition, offset, value, records[offset].Value)
			}
		}
	}
}

// TestRecover kills three brokers under load and loses the folders of two. The third goes on as the plan says, and the two come
// back with empty folders. These are the commands of docs/OPERATIONS.md.
func TestRecover(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir, port := t.TempDir(), freePorts(t, 3)
	one, two, three, plan := filepath.Join(dir, "1"), filepath.Join(dir, "2"), filepath.Join(dir, "3"), filepath.Join(dir, "plan.json")
	a := loadAndKill(t, dir, port)
	mustSay(t, must(t, exitFailed, "recover plan -dir %s -dir %s -dir %s -out %s", one, two, three, plan), "nothing has to be mended")

	lost := filepath.Join(dir, "lost")
	if err := os.Rename(two, lost); err != nil {
		t.Fatal(err)
	}
	said := must(t, exitClean, "recover plan -dir %s -out %s -cluster-id anew", one, plan)
	mustSay(t, said, "lost: brokers 2, 3.", "The catalog goes on from the copy of broker 1", "Nothing has been changed")
	code := regexp.MustCompile(`-confirm (\w+)`).FindStringSubmatch(said)[1]
	must(t, exitUsage, "recover apply -plan %s -dir %s -confirm yes", plan, one)
	mustSay(t, must(t, exitFailed, "recover apply -plan %s -dir %s -confirm %s", plan, three, code), "not about this data folder")
	begun := filepath.Join(one, "mending") // as if it had been killed before it changed anything else
	if text, err := os.ReadFile(plan); err != nil || os.WriteFile(begun, text, 0o600) != nil {
		t.Fatal(err)
	}
	again := fmt.Sprintf("Run again: broker recover apply -plan %s -dir %s -confirm %s", begun, one, code)
	mustSay(t, must(t, exitFailed, "start -config %s", filepath.Join(one, "broker.toml")), again)
	mustSay(t, must(t, exitFailed, "recover plan -dir %s -out %s", one, plan+"2"), again)
	mustSay(t, must(t, exitClean, "recover apply -plan %s -dir %s -confirm %s", begun, one, code), "is now of cluster anew")
	mustSay(t, must(t, exitClean, "recover apply -plan %s -dir %s -confirm %s", plan, one, code), "is of cluster anew already")
	must(t, exitClean, "log verify -dir %s", one)

	mustSay(t, must(t, exitFailed, "start -config %s", filepath.Join(one, "broker.toml")), `belongs to cluster "anew"`)
	for _, d := range []string{one, lost, three} {
		renameCluster(t, filepath.Join(d, "broker.toml"), "anew")
	}
	first := begin(t, "start", "-config", filepath.Join(one, "broker.toml"))
	first.waitFor(t, "ready: broker 1")
	mustSay(t, must(t, exitFailed, "start -config %s", filepath.Join(lost, "broker.toml")), `the configuration says "anew"`)
	survived(t, a, port, said)

	for _, d := range []string{lost, three} {
		for _, name := range []string{"log", "meta.json"} {
			if err := os.RemoveAll(filepath.Join(d, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	second := begin(t, "start", "-join", "-config", filepath.Join(lost, "broker.toml"))
	second.waitFor(t, "ready: broker 2")
	third := begin(t, "start", "-join", "-config", filepath.Join(three, "broker.toml"))
	third.waitFor(t, "ready: broker 3")
	must(t, exitClean, "admin -bootstrap %s wait", net127(port))
	if code := first.end(); code != exitClean {
		t.Errorf("exit code %d", code)
	}
	survivedAll(t, port+1, said)
	if codes := []int{second.end(), third.end()}; codes[0]+codes[1] != 0 {
		t.Errorf("exit codes %v", codes)
	}
}

// survivedAll finds in each partition at least what the plan said, without the broker from which it came.
func survivedAll(t *testing.T, port int, plan string) {
	t.Helper()
	found, _ := contents(t, net127(port))
	for _, e := range regexp.MustCompile(`(?m)^t +(\d) .* broker 1 +offsets 0 to (\d+) `).FindAllStringSubmatch(plan, -1) {
		var last int
		fmt.Sscan(e[2], &last)
		if len(found["t/"+e[1]]) < last+1 {
			t.Errorf("partition %s has %d records without broker 1, and the plan says offsets 0 to %d", e[1], len(found["t/"+e[1]]), last)
		}
	}
}

func renameCluster(t *testing.T, file, id string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text = regexp.MustCompile(`(?m)^cluster_id = .*$`).ReplaceAll(text, []byte(`cluster_id = "`+id+`"`))
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

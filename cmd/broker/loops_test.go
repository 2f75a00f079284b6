// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const loopsFile = `
cluster_id = "c"
broker_id = 3
loops = 3
dir = "d"
memory = "300MiB"
listen = "127.0.0.1:9100"
peer_listen = "127.0.0.1:9200"
metrics = "127.0.0.1:9300"
[[listeners]]
name = "OUT"
listen = "127.0.0.1:9400"
[[members]]
id = 1
kafka = "127.0.0.1:9000"
peer = "127.0.0.1:9001"
[[members]]
id = 3
kafka = "127.0.0.1:9100"
peer = "127.0.0.1:9200"
rack = "r"
`

// loopsOf reads a configuration file with some changes, and returns what follows for the brokers of the process.
func loopsOf(t *testing.T, changes ...string) (all []string, err error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "broker.toml")
	if err := os.WriteFile(file, []byte(strings.NewReplacer(changes...).Replace(loopsFile)), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := loadSettings([]string{"-config", file}, nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	cfgs, err := s.hostConfigs()
	for i := range cfgs {
		c := &cfgs[i]
		var members []string
		for _, m := range c.Node.Members {
			members = append(members, fmt.Sprintf("%d %s:%d %s %q %q", m.ID, m.Host, m.Port, m.Peer, m.Rack, m.Machine))
		}
		dir, _ := filepath.Rel(filepath.Dir(file), c.Dir)
		all = append(all, fmt.Sprintf("%d %s %v %s %s %s [%s] %s %d", c.Node.BrokerID, dir, c.Join, c.Listen, c.PeerListen, c.Metrics, portsOf(c), strings.Join(members, ", "), c.Node.HotBytes>>10))
	}
	return all, err
}

func TestLoopsFollowFromTheFirst(t *testing.T) {
	all, err := loopsOf(t)
	if err != nil {
		t.Fatal(err)
	}
	const first = `1 127.0.0.1:9000 127.0.0.1:9001 "" "", 3 127.0.0.1:9100 127.0.0.1:9200 "r" "machine of broker 3"`
	want := []string{
		`3 d false 127.0.0.1:9100 127.0.0.1:9200 127.0.0.1:9300 [127.0.0.1:9100, 127.0.0.1:9400 (OUT)] ` + first + ` 12800`,
		`4 d/loops/4 true 127.0.0.1:9101 127.0.0.1:9201  [127.0.0.1:9101, 127.0.0.1:9401 (OUT)] ` + first + `, 4 127.0.0.1:9101 127.0.0.1:9201 "r" "machine of broker 3" 12800`,
		`5 d/loops/5 true 127.0.0.1:9102 127.0.0.1:9202  [127.0.0.1:9102, 127.0.0.1:9402 (OUT)] ` + first + `, 5 127.0.0.1:9102 127.0.0.1:9202 "r" "machine of broker 3" 12800`,
	}
	if !slices.Equal(all, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(all, "\n"), strings.Join(want, "\n"))
	}
	for _, row := range []struct{ from, to, want string }{
		{"id = 1\n", "id = 4\n", "broker 4 is of this process, but members lists it"},
		{"127.0.0.1:9300", "127.0.0.1:9101", "the brokers 3 and 4 would both listen on 127.0.0.1:9101"},
		{"127.0.0.1:9200", "127.0.0.1:65534", `the port 2 after that of "127.0.0.1:65534" is not one from 1 to 65535`},
	} {
		if _, err := loopsOf(t, row.from, row.to); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%q for %q: %v", row.to, row.from, err)
		}
	}
}

// Three processes of two brokers each are a cluster of six, of which no partition has two replicas in one process.
func TestLoops(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir, port := t.TempDir(), freePorts(t, 6)
	cluster := begin(t, "local", "-brokers", "3", "-loops", "2", "-dir", dir, "-port", fmt.Sprint(port))
	cluster.waitFor(t, "ready: 6 brokers")
	client, err := kgo.NewClient(kgo.SeedBrokers(net127(port)))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	if _, err := adm.CreateTopic(t.Context(), 6, 3, nil, "t"); err != nil {
		t.Fatal(err)
	}
	if _, err := adm.CreateTopic(t.Context(), 1, 4, nil, "u"); err == nil || !strings.Contains(err.Error(), "INVALID_REPLICATION_FACTOR") {
		t.Errorf("four replicas in three processes: %v", err)
	}
	topics, err := adm.ListTopics(t.Context(), "t")
	if err != nil {
		t.Fatal(err)
	}
	leads := make(map[int32]int)
	for _, p := range topics["t"].Partitions {
		var processes []int32
		for _, b := range p.Replicas {
			processes = append(processes, (b-1)/2)
		}
		slices.Sort(processes)
		if !slices.Equal(processes, []int32{0, 1, 2}) {
			t.Errorf("partition %d is on the brokers %v", p.Partition, p.Replicas)
		}
		leads[p.Replicas[0]]++
	}
	if len(leads) != 6 {
		t.Errorf("the brokers %v are to lead", leads)
	}
	for page, parts := range map[string][]string{
		"healthz": {"# broker 3\nready: broker 3", "# broker 4\nready: broker 4"},
		"metrics": {`chronik_ready{broker_id="3"} 1`, `chronik_ready{broker_id="4"} 1`, "\ngo_goroutines "},
	} {
		text := get(t, fmt.Sprintf("http://%s/%s", net127(port+2002), page))
		for _, part := range parts {
			if !strings.Contains(text, part) {
				t.Errorf("%q is not in %s:\n%.2000s", part, page, text)
			}
		}
	}
	var status strings.Builder
	if code := run(t.Context(), []string{"admin", "-bootstrap", net127(port), "status"}, &status, &status); code != exitClean || !strings.Contains(status.String(), "machine of broker 3") {
		t.Errorf("status, %d:\n%s", code, &status)
	}
	removeTheLast(t, port)
	if code := cluster.end(); code != exitClean {
		t.Errorf("the cluster stopped with exit code %d", code)
	}
}

// removeTheLast takes broker 6 out of the cluster, and looks whether broker 5 of its process goes on.
func removeTheLast(t *testing.T, port int) {
	t.Helper()
	for _, command := range []string{"drain 6", "remove 6"} { // the replicas go to broker 5, the only one that can have them
		var out strings.Builder
		if code := run(t.Context(), append([]string{"admin", "-bootstrap", net127(port)}, strings.Fields(command)...), &out, &out); code != exitClean {
			t.Fatalf("%s: exit code %d, %s", command, code, out.String())
		}
	}
	const left = "1 of the 2 brokers of this process don't run"
	page := ""
	for range 100 {
		if _, page = ask(t, fmt.Sprintf("http://%s/healthz", net127(port+2004))); strings.Contains(page, left) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if !strings.Contains(page, "ready: broker 5 of cluster") || !strings.Contains(page, left) {
		t.Errorf("after broker 6 was removed its process says:\n%s", page)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	status, text := ask(t, url)
	if status != http.StatusOK {
		t.Errorf("%s: status %d", url, status)
	}
	return text
}

func ask(t *testing.T, url string) (status int, text string) {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

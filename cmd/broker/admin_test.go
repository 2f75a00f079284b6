// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// adminCase is a command, its exit code, and parts of what it says.
type adminCase struct {
	words string
	code  int
	want  []string
}

func tryAdmin(t *testing.T, before []string, cases []adminCase) {
	t.Helper()
	for _, c := range cases {
		var out strings.Builder
		code := run(t.Context(), slices.Concat([]string{"admin"}, before, strings.Fields(c.words)), &out, &out)
		if code != c.code {
			t.Errorf("admin %s: exit code %d, want %d", c.words, code, c.code)
		}
		said := strings.Join(strings.Fields(out.String()), " ")
		for _, want := range c.want {
			if !strings.Contains(said, want) {
				t.Errorf("admin %s: no %q in:\n%s", c.words, want, out.String())
			}
		}
		if strings.Contains(c.words, "-json") && !json.Valid([]byte(out.String())) {
			t.Errorf("admin %s: not JSON:\n%s", c.words, out.String())
		}
	}
}

// fill makes topics with records, a group that has read some of them, and a transaction that is open.
func fill(t *testing.T, bootstrap string) {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID("till"))
	must(err)
	t.Cleanup(client.Close)
	a := kadm.NewClient(client)
	policy := "604800001"
	_, err = a.CreateTopic(ctx, 2, 3, map[string]*string{"retention.ms": &policy}, "orders")
	must(err)
	must(client.BeginTransaction())
	for i := range 10 {
		must(client.ProduceSync(ctx, &kgo.Record{Topic: "orders", Partition: int32(i % 2), Value: []byte("x"), Timestamp: time.UnixMilli(int64(1e12 + i))}).FirstErr())
	}
	must(client.EndTransaction(ctx, kgo.TryCommit)) // five records and a marker in each partition
	var offsets kadm.Offsets = make(map[string]map[int32]kadm.Offset)
	offsets.AddOffset("orders", 0, 2, -1)
	offsets.AddOffset("orders", 1, 6, -1)
	must(a.CommitAllOffsets(ctx, "billing", offsets))
	user := "ann"
	_, err = a.AlterClientQuotas(ctx, []kadm.AlterClientQuotaEntry{
		{Entity: kadm.ClientQuotaEntity{{Type: "user", Name: &user}}, Ops: []kadm.AlterClientQuotaOp{{Key: "producer_byte_rate", Value: 1048576}}},
		{Entity: kadm.ClientQuotaEntity{{Type: "client-id"}}, Ops: []kadm.AlterClientQuotaOp{{Key: "request_percentage", Value: 12.5}}},
	})
	must(err)
	must(client.BeginTransaction())
	must(client.ProduceSync(ctx, &kgo.Record{Topic: "orders", Partition: 1, Value: []byte("y")}).FirstErr())
}

// changesOfTopics are made one after the other.
var changesOfTopics = []adminCase{
	{"topics create -partitions 2 -replicas 3 -config retention.ms=1000 -config cleanup.policy=compact bills", 0, []string{"created topic bills: 2 partitions with 3 replicas"}},
	{"topics describe bills", 0, []string{"cleanup.policy=compact", "retention.ms=1000"}},
	{"topics create bills", 1, []string{"topic bills: "}},
	{"topics create plain", 0, []string{"created topic plain: 1 partitions with 3 replicas"}},
	{"topics create -partitions 0 none", 2, []string{"numbers above 0"}},
	{"topics delete bills", 0, []string{"bills 2 3", "nothing was deleted; add -yes"}},
	{"topics delete -yes bills plain", 0, []string{"deleted 2 topics"}},
	{"topics describe bills", 1, []string{"UNKNOWN_TOPIC_OR_PARTITION"}},
}

// Every command that looks at a cluster, and the reset of a group, on three brokers.
func TestAdminCommands(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	port := freePorts(t, 3)
	cluster := begin(t, "local", "-brokers", "3", "-dir", t.TempDir(), "-port", fmt.Sprint(port))
	cluster.waitFor(t, "ready: 3 brokers")
	fill(t, net127(port))
	tryAdmin(t, []string{"-bootstrap", net127(port)}, []adminCase{
		{"wait", 0, []string{"are in sync"}},
		{"status", 0, []string{"leads the catalog", "broker address rack replicas leads", "1 " + net127(port), "moves under way: 0"}},
		{"status -json", 0, []string{`"connected": true`, `"without_leader": null`}},
		{"topics", 0, []string{"topic partitions replicas records state", "orders 2 3 13 in sync"}},
		{"topics -json -internal", 0, []string{`"name": "__transaction_state"`, `"internal": true`}},
		{"topics describe orders", 0, []string{"topic orders, id ", "retention.ms=604800001", "partition leader epoch replicas in-sync start end"}},
		{"topics describe orders -json", 0, []string{`"retention.ms": "604800001"`, `"end": 6`, `"end": 7`}},
		{"topics describe nothing", 1, []string{"topic nothing: UNKNOWN_TOPIC_OR_PARTITION"}},
		{"groups", 0, []string{"group state type coordinator", "billing Empty"}},
		{"groups -json", 0, []string{`"name": "billing"`}},
		{"groups lag billing", 0, []string{"group billing: Empty, lag 5", "orders 0 2 0 6 4", "orders 1 6 0 7 1"}},
		{"groups lag -json billing", 0, []string{`"lag": 5`}},
		{"groups lag nobody", 1, []string{`there is no group "nobody"`}},
		{"groups reset -to earliest billing", 0, []string{"orders 0 2 0 6", "orders 1 6 0 7", "nothing was changed; add -yes to set these 2 offsets"}},
		{"groups lag billing", 0, []string{"lag 5"}},
		{"groups reset billing -to latest -topic orders:1 -yes", 0, []string{"orders 1 6 7 0", "set 1 offsets"}},
		{"groups lag billing", 0, []string{"orders 0 2 0 6 4", "orders 1 7 0 7 0"}},
		{"groups reset billing -to -1 -yes", 0, []string{"orders 0 2 1 5", "orders 1 7 6 1"}},
		{"groups reset billing -to 99 -yes", 0, []string{"orders 0 1 6 0", "orders 1 6 7 0"}},
		{"groups reset billing -to 2001-09-09T01:46:40.004Z", 0, []string{"orders 0 6 2 4", "orders 1 7 2 5"}},
		{"groups reset newcomer -to 3 -topic orders:0 -yes", 0, []string{"orders 0 none 3 3"}},
		{"groups lag newcomer", 0, []string{"orders 0 3 0 6 3"}},
		{"groups reset billing -to +1 -topic orders:7", 1, []string{"topic orders has 2 partitions, and not all of [7]"}},
		{"groups reset billing -to yesterday", 2, []string{`-to "yesterday": use earliest, latest`}},
		{"quotas", 0, []string{"user=ann producer_byte_rate 1048576", "client-id=(default) request_percentage 12.5"}},
		{"quotas -json", 0, []string{`"producer_byte_rate": 1048576`}},
		{"transactions", 0, []string{"transactional-id state producer coordinator", "till Ongoing"}},
		{"transactions -json", 0, []string{`"id": "till"`}},
		{"transactions describe till", 0, []string{"transactional id till: Ongoing; producer", "open since", "in orders/1"}},
		{"transactions describe -json till", 0, []string{`"orders/1"`}},
		{"acls", 1, []string{"there is no authorizer: every client may do everything"}},
		{"user list", 0, []string{"there are no users"}},
		{"status -watch 1ms", 2, []string{"use 100ms or more"}},
		{"status now", 2, []string{"wrong number of words"}},
	})
	tryAdmin(t, []string{"-bootstrap", net127(port)}, changesOfTopics)
	watching := begin(t, "admin", "-bootstrap", net127(port), "status", "-watch", "100ms")
	for range 2 {
		watching.waitFor(t, ", every 100ms")
		watching.waitFor(t, "leads the catalog")
	}
	if code := watching.end(); code != 0 {
		t.Errorf("watch: exit code %d", code)
	}
	if code := cluster.end(); code != 0 {
		t.Errorf("the cluster stopped with exit code %d", code)
	}
}

// Rules are there only where they are heeded.
func TestAdminListsRules(t *testing.T) {
	port := freePorts(t, 1)
	file := writeFile(t, "broker.toml", fmt.Sprintf("dir = %q\nlisten = %q\nmetrics = ''\nauthorize = true\nsuper_users = 'User:ANONYMOUS'\nlog_level = 'error'", t.TempDir(), net127(port)))
	broker := begin(t, "start", "-config", file)
	broker.waitFor(t, "ready: broker 1")
	client, err := kgo.NewClient(kgo.SeedBrokers(net127(port)))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	b := kadm.NewACLs().Topics("ord").ResourcePatternType(kadm.ACLPatternPrefixed).Allow("User:ann").Operations(kadm.OpRead)
	if _, err := kadm.NewClient(client).CreateACLs(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	tryAdmin(t, []string{"-bootstrap", net127(port)}, []adminCase{
		{"acls", 0, []string{"permission principal host operation resource pattern name allow User:ann * read topic prefixed ord"}},
		{"acls -json", 0, []string{`"principal": "User:ann"`}},
		{"acls add User:bob Read,describe-configs topic orders", 0, []string{"added: allow User:bob read topic orders from host *", "added: allow User:bob describe_configs topic orders from host *"}},
		{"acls add -deny -prefixed User:bob write topic secret -host 10.0.0.7", 0, []string{"added: deny User:bob write topic secret... from host 10.0.0.7"}},
		{"acls add User:prometheus describe cluster", 0, []string{"added: allow User:prometheus describe cluster kafka-cluster from host *"}},
		{"acls delete User:bob read topic orders", 0, []string{"deleted: allow User:bob read topic orders from host *"}},
		{"acls delete User:bob read topic orders", 1, []string{"there is no such rule", "1 of 1 rules were not there"}},
		{"acls", 0, []string{"allow User:bob * describe_configs topic literal orders", "deny User:bob 10.0.0.7 write topic prefixed secret", "allow User:prometheus * describe cluster literal kafka-cluster"}},
		{"acls add bob read topic orders", 2, []string{`"bob" is no principal`}},
		{"acls add User:bob any topic orders", 2, []string{`there is no operation "any"`}},
		{"acls add User:bob read any orders", 2, []string{`there is no resource "any"`}},
		{"acls add User:bob read topic", 2, []string{"which topic?"}},
		{"acls add User:bob", 2, []string{"write: acls add [-deny]"}},
		{"quotas set user=ann,client-id= producer_byte_rate=1048576 consumer_byte_rate=5", 0, []string{"set the quotas of user=ann,client-id="}},
		{"quotas set user=ann,client-id= consumer_byte_rate=", 0, []string{"set the quotas"}},
		{"quotas", 0, []string{"user=ann,client-id=(default) producer_byte_rate 1048576"}},
		{"quotas set user=ann speed=1", 1, []string{"speed"}},
		{"quotas set ann producer_byte_rate=1", 2, []string{`of whom is "ann"?`}},
		{"quotas set user=ann producer_byte_rate=fast", 2, []string{"is no quota"}},
	})
	broker.end()
}

func TestComplete(t *testing.T) {
	for _, c := range []struct{ typed, want string }{
		{"st", "start"},
		{"admin gr", "groups"},
		{"admin -bootstrap localhost:9092 gr", "groups"},
		{"admin -bootstrap gr", ""},
		{"admin -boot", "-bootstrap"},
		{"admin groups ", "lag reset"},
		{"admin groups reset -", "-to -topic -yes"},
		{"admin status -", "-json -watch"},
		{"log ", "verify dump"},
		{"completion z", "zsh"},
		{"check -conf", "-config"},
		{"admin nothing x", ""},
		{"backup ", "list verify prune"},
		{"backup prune -k", "-keep"},
		{"backup verify -f", "-from"},
		{"restore -re", "-replicas"},
	} {
		if got := strings.Join(complete(strings.Split(c.typed, " ")), " "); got != c.want {
			t.Errorf("broker %s: %q, want %q", c.typed, got, c.want)
		}
	}
}

// What each shell is given makes it complete words; those that aren't installed are passed over.
func TestShellsComplete(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", filepath.Join(bin, "broker"), ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for shell, script := range map[string]string{
		"bash": `source <(broker completion bash); COMP_WORDS=(broker admin -bootstrap x:1 transa) COMP_CWORD=4; _broker; echo "${COMPREPLY[@]}"`,
		"zsh":  `compdef() { :; }; compadd() { print -- ${(P)2}; }; source <(broker completion zsh); words=(broker admin -bootstrap x:1 transa) CURRENT=5; _broker`,
		"fish": `broker completion fish | source; complete -C 'broker admin -bootstrap x:1 transa'`,
	} {
		if _, err := exec.LookPath(shell); err != nil {
			t.Logf("%s isn't installed", shell)
			continue
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		cmd := exec.CommandContext(ctx, shell, "-c", script)
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		cancel()
		if got := strings.TrimSpace(string(out)); err != nil || got != "transactions" {
			t.Errorf("%s: %v, %q", shell, err, got)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/host/console"
	"chronik/node"
)

// threeBrokers runs a cluster in this process whose Kafka clients and admin ports ask for logins: of admin with a password, and of
// tokens. It returns what the brokers log, too.
func threeBrokers(t *testing.T, change func(*Config)) (hosts [3]*Host, lines [3]*safeLog) {
	t.Helper()
	file := t.TempDir() + "/tokens"
	writeTokens(t, file, "User:watcher "+watcherToken+"\nUser:chief "+chiefToken+"\nUser:nobody "+nobodyToken+"\n")
	var members []node.Member
	var addrs [3][2]string
	for i := range hosts {
		addrs[i] = [2]string{freeAddr(t), freeAddr(t)}
		name, port, _ := net.SplitHostPort(addrs[i][0])
		var number int32
		fmt.Sscan(port, &number)
		members = append(members, node.Member{ID: node.BrokerID(i + 1), Host: name, Port: number, Peer: addrs[i][1]})
	}
	for i := range hosts {
		lines[i] = new(safeLog)
		cfg := Config{
			Dir: t.TempDir(), Listen: addrs[i][0], PeerListen: addrs[i][1], PeerSecret: "a secret of the cluster", Metrics: "127.0.0.1:0",
			MetricsLogin: LoginForChanges, MetricsTokenFile: file, Log: slog.New(slog.NewTextHandler(lines[i], nil)), Limits: Limits{StopTime: time.Second},
		}
		cfg.Node = node.Config{
			ClusterID: "c", BrokerID: members[i].ID, Members: members, Authorize: true, SuperUsers: []string{"User:admin", "User:chief"},
			FirstUser: node.NewFirstUser("admin", "top:secret", [17]byte{1}), Listeners: []node.Listener{{Mechanisms: []string{"SCRAM-SHA-512"}}},
		}
		cfg.Node.Log.SegmentBytes = 4 << 20
		if change != nil {
			change(&cfg)
		}
		if err := Format(cfg.Dir, Meta{ClusterID: "c", BrokerID: members[i].ID}); err != nil {
			t.Fatal(err)
		}
		h, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		hosts[i] = h
		run(t, h)
	}
	for _, h := range hosts {
		v := &visitor{t: t, h: h}
		waitFor(t, "the brokers", func() bool { s, _, _ := v.ask("GET", "/console/api/access", chiefToken); return s == 200 })
	}
	return hosts, lines
}

// call asks the console for something, and fails the test unless the status is as wanted.
func (v *visitor) call(want int, as, path, body string) (answer map[string]any) {
	v.t.Helper()
	status, text := v.send(as, path, body)
	if status != want {
		v.t.Fatalf("%s as %q is %d, want %d: %.500s", path, as, status, want, text)
	}
	if want < 400 {
		if err := json.Unmarshal(text, &answer); err != nil {
			v.t.Fatalf("%s: %v in %.200s", path, err, text)
		}
	}
	return answer
}

func (v *visitor) send(as, path, body string) (status int, text []byte) {
	v.t.Helper()
	method, in := "GET", io.Reader(nil)
	if body != "" {
		method, in = "POST", strings.NewReader(body)
	}
	req, _ := http.NewRequest(method, "http://"+v.h.httpAddr.String()+"/console/api/"+path, in)
	req.Header.Set("Content-Type", "application/json")
	switch user, password, basic := strings.Cut(as, "/"); {
	case basic:
		req.SetBasicAuth(user, password)
	case as != "":
		req.Header.Set("Authorization", "Bearer "+as)
	}
	resp, err := v.http.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ = io.ReadAll(resp.Body)
	return resp.StatusCode, text
}

func (l *safeLog) all() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// dig follows names and positions into an answer.
func dig(v any, path ...any) any {
	for _, step := range path {
		switch at := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[at]
		case int:
			l, _ := v.([]any)
			if at >= len(l) {
				return nil
			}
			v = l[at]
		}
	}
	return v
}

// A person does and sees at every broker's console what the rules allow, of partitions and groups wherever they are led, and the
// brokers log it by the person's name.
func TestConsoleActsForWhoHasLoggedIn(t *testing.T) {
	hosts, lines := threeBrokers(t, nil)
	const chief = "admin/top:secret"
	first := &visitor{t: t, h: hosts[0]}
	for _, h := range hosts {
		v := &visitor{t: t, h: h}
		waitFor(t, "the user", func() bool { s, _, _ := v.ask("GET", "/console/", chief); return s == 200 })
	}
	for _, name := range []string{"open", "shut"} {
		first.call(200, chief, "topics", `{"name":"`+name+`","partitions":6,"replicas":3,"configs":{"retention.ms":"123456789"}}`)
	}
	first.call(409, chief, "topics", `{"name":"open","partitions":6,"replicas":3}`)
	for _, h := range hosts {
		v := &visitor{t: t, h: h}
		waitFor(t, "all leaders", func() bool {
			c := v.call(200, chief, "cluster", "")
			return dig(c, "partitions") == 12.0 && dig(c, "leaderless") == 0.0 && dig(c, "underReplicated") == 0.0
		})
		for i := range hosts {
			c := v.call(200, chief, "cluster", "")
			if b := dig(c, "brokers", i); dig(b, "error") != nil || dig(b, "self", "broker") != float64(i+1) || dig(b, "replicas") != 12.0 {
				t.Errorf("broker %d is told of by %d as %v", i+1, h.folder.meta.BrokerID, b)
			}
		}
	}
	if c := first.call(200, chief, "configs?type=topic&name=open", ""); !strings.Contains(fmt.Sprint(c), "123456789") {
		t.Errorf("the setting isn't there: %v", c)
	}
	grantRead(t, hosts[0])
	last := &visitor{t: t, h: hosts[2]}
	waitFor(t, "the rule", func() bool { return len(dig(last.call(200, watcherToken, "topics", ""), "topics").([]any)) == 1 })
	if page := last.call(200, watcherToken, "topic?name=open", ""); dig(page, "offsetsError") != "" || dig(page, "partitions", 5, "end") != 0.0 {
		t.Errorf("what may be read isn't told: %v", page)
	}
	last.call(403, watcherToken, "topic?name=shut", "")
	last.call(403, watcherToken, "configs", `{"type":"topic","name":"open","set":{"retention.ms":"1"}}`)
	last.call(403, watcherToken, "topics", `{"name":"more","partitions":1,"replicas":1}`)
	if a := last.call(200, watcherToken, "access", ""); !strings.Contains(fmt.Sprint(dig(a, "users", "error")), "Cluster authorization failed") {
		t.Errorf("who may not describe the cluster is told of %v", a)
	}
	if c := last.call(200, watcherToken, "cluster", ""); dig(c, "topics") != 1.0 || !strings.Contains(fmt.Sprint(dig(c, "brokers", 0, "error")), "may not describe") {
		t.Errorf("who may not describe the cluster is told of %v", c)
	}
	all := lines[0].all() + lines[1].all() + lines[2].all()
	for _, line := range []string{`principal=User:admin client_id=console`, `principal=User:watcher client_id=console`} {
		if !strings.Contains(all, line) {
			t.Errorf("the log hasn't %q:\n%s", line, all)
		}
	}
}

// grantRead lets User:watcher read topic "open", by a client of the console.
func grantRead(t *testing.T, h *Host) {
	t.Helper()
	sock, err := h.Dial(t.Context(), console.Person{Principal: "User:admin", Host: "127.0.0.1"}, selfSeed)
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close()
	rule := frame(bytes.Join([][]byte{
		{0, 30, 0, 1, 0, 0, 0, 9, 0xff, 0xff}, {0, 0, 0, 1, 2, 0, 4}, []byte("open"), {3, 0, 12}, []byte("User:watcher"), {0, 1, '*'}, {3, 3}, // READ
	}, nil))
	go sock.Write(rule)
	mustRead(t, sock)
}

// produce writes a record as somebody at a console could.
func produce(t *testing.T, h *Host, topic string, codec kgo.CompressionCodec) {
	t.Helper()
	who := console.Person{Principal: "User:admin", Host: "127.0.0.1"}
	client, err := kgo.NewClient(kgo.SeedBrokers(selfSeed), kgo.ProducerBatchCompression(codec), kgo.DefaultProduceTopic(topic),
		kgo.Dialer(func(ctx context.Context, _, addr string) (net.Conn, error) { return h.Dial(ctx, who, addr) }))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	r := &kgo.Record{Key: []byte("k"), Value: []byte(strings.Repeat(`{"hello":"world"}`, 1000)), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte{0, 255}}}}
	if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// Records are read whatever they are compressed with, by offset, by time, or the newest of all partitions.
func TestConsoleReadsRecords(t *testing.T) {
	hosts, _ := threeBrokers(t, nil)
	const chief = chiefToken // a password would be hashed for each request
	v := &visitor{t: t, h: hosts[2]}
	v.call(200, chief, "topics", `{"name":"t","partitions":1,"replicas":3}`)
	waitFor(t, "a leader", func() bool { return dig(v.call(200, chief, "cluster", ""), "leaderless") == 0.0 })
	codecs := []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()}
	names := []string{"none", "gzip", "snappy", "lz4", "zstd"}
	for _, codec := range codecs {
		produce(t, hosts[0], "t", codec)
	}
	read := func(query string) []any {
		t.Helper()
		return dig(v.call(200, chief, "records?topic=t&"+query, ""), "records").([]any)
	}
	for i, name := range names {
		got := dig(read(fmt.Sprintf("partition=0&from=offset&value=%d&limit=1", i)), 0)
		value, _ := base64.StdEncoding.DecodeString(dig(got, "value", "data").(string))
		if dig(got, "codec") != name || dig(got, "offset") != float64(i) || dig(got, "value", "size") != 17000.0 || len(value) != 4096 || !strings.HasPrefix(string(value), `{"hello":"world"}{`) ||
			dig(got, "headers", 0, "name") != "h" || dig(got, "headers", 0, "value", "data") != "AP8=" || dig(got, "key", "data") != "aw==" {
			t.Errorf("%s: the record is %.300v", name, got)
		}
	}
	if whole := dig(read("partition=0&from=offset&value=0&limit=1&whole=1"), 0, "value", "data").(string); len(whole) < 17000 {
		t.Errorf("the whole record has %d letters", len(whole))
	}
	times := func(list []any) (offsets []any) {
		for _, r := range list {
			offsets = append(offsets, dig(r, "offset"))
		}
		return offsets
	}
	third := int64(dig(read("from=offset&value=3&limit=1"), 0, "time").(float64))
	for query, want := range map[string][]any{
		"from=newest&limit=2": {4.0, 3.0}, "from=oldest&limit=2": {0.0, 1.0}, "from=offset&value=9": nil,
		fmt.Sprintf("from=time&value=%d&limit=1", third):                         {3.0},
		fmt.Sprintf("from=time&value=%d", time.Now().Add(time.Hour).UnixMilli()): nil,
	} {
		if got := times(read(query)); !slices.Equal(got, want) {
			t.Errorf("%s: offsets %v, want %v", query, got, want)
		}
	}
	v.call(400, chief, "records?topic=t&from=somewhere", "")
	v.call(400, chief, "records?topic=t&limit=x", "")
	v.call(404, chief, "records?topic=t&partition=7", "")
	v.call(404, chief, "records?topic=none", "")
}

// What a group has is set to what the preview said, and to nothing else.
func TestConsoleResetsOffsets(t *testing.T) {
	hosts, _ := threeBrokers(t, nil)
	const chief = chiefToken // a password would be hashed for each request
	v := &visitor{t: t, h: hosts[1]}
	v.call(200, chief, "topics", `{"name":"t","partitions":1,"replicas":3}`)
	waitFor(t, "a leader", func() bool { return dig(v.call(200, chief, "cluster", ""), "leaderless") == 0.0 })
	produce(t, hosts[0], "t", kgo.NoCompression())
	const want = `{"group":"g","topic":"t","to":"latest"}`
	waitFor(t, "a coordinator, which is made when it is first asked for", func() bool { status, _ := v.send(chief, "offsets/preview", want); return status == 200 })
	preview := v.call(200, chief, "offsets/preview", want)
	if dig(preview, "offsets", 0, "offset") != 1.0 || dig(preview, "offsets", 0, "current") != -1.0 {
		t.Fatalf("the preview is %v", preview)
	}
	set := func(want int, current, offset int) {
		t.Helper()
		v.call(want, chief, "offsets", fmt.Sprintf(`{"group":"g","offsets":[{"topic":"t","partition":0,"current":%d,"offset":%d}]}`, current, offset))
	}
	set(200, -1, 1)
	if g := v.call(200, chief, "group?name=g", ""); dig(g, "lags", 0, "offset") != 1.0 || dig(g, "lags", 0, "lag") != 0.0 {
		t.Errorf("the group is %v", g)
	}
	set(409, -1, 0) // it isn't what it was in the preview
	set(200, 1, 0)
	if g := v.call(200, chief, "groups", ""); dig(g, "groups", 0, "lag") != 1.0 {
		t.Errorf("the groups are %v", g)
	}
	v.call(400, chief, "offsets", `{"group":"g","offsets":[]}`)
	v.call(400, chief, "offsets/preview", `{"group":"g","topic":"t","to":"somewhere"}`)
	v.call(400, chief, "offsets/preview", `{"group":"g","topic":"t","to":"latest","also":1}`)
	for _, page := range []string{"raft", "storage", "transactions"} {
		if text := fmt.Sprint(v.call(200, chief, page, "")); strings.Contains(text, "top:secret") || strings.Contains(text, "secret of the cluster") {
			t.Errorf("%s tells a secret", page)
		}
	}
}

// Nobody gets in without a login where clients have one, where others than this machine come in, or by the name of another site.
func TestConsoleIsClosed(t *testing.T) {
	t.Parallel()
	locked := &visitor{t: t, h: openLocked(t, LoginForNothing, nil)}
	waitFor(t, "the broker", func() bool { s, _, _ := locked.ask("GET", "/healthz", ""); return s == 200 })
	for _, path := range []string{"/console/", "/console/api/cluster"} {
		if status, text, _ := locked.ask("GET", path, chiefToken); status != 403 || !strings.Contains(text, "Set metrics_login") {
			t.Errorf("%s is answered %d %q", path, status, text)
		}
	}
	asks := &visitor{t: t, h: openLocked(t, LoginForChanges, nil)}
	waitFor(t, "the broker", func() bool { s, _, _ := asks.ask("GET", "/healthz", ""); return s == 200 })
	for path, want := range map[string]int{"/console/": 401, "/console/api/cluster": 401, "/console/api/records?topic=t": 401, "/metrics": 200} {
		if status, _, _ := asks.ask("GET", path, ""); status != want {
			t.Errorf("%s is answered %d, want %d", path, status, want)
		}
	}
	open := openBroker(t, 1)
	run(t, open)
	for _, c := range []struct {
		method, host, header, kind string
		want                       int
	}{
		{"GET", "", "", "", 200},
		{"GET", "localhost:1", "", "", 200},
		{"GET", "[::1]:1", "", "", 200},
		{"GET", "evil.example:80", "", "", 403}, // whose name leads to this machine
		{"GET", "127.0.0.1.evil.example", "", "", 403},
		{"POST", "", "", "application/json", 400},
		{"POST", "", "Sec-Fetch-Site: same-origin", "application/json; charset=utf-8", 400},
		{"POST", "", "Sec-Fetch-Site: cross-site", "application/json", 403},
		{"POST", "", "Sec-Fetch-Site: same-site", "application/json", 403},
		{"POST", "", "Origin: http://evil.example", "application/json", 403},
		{"POST", "", "", "text/plain", 415}, // as a form sends
	} {
		path := map[string]string{"GET": "/console/", "POST": "/console/api/topics"}[c.method]
		req, _ := http.NewRequest(c.method, "http://"+open.httpAddr.String()+path, strings.NewReader("[]"))
		if c.host != "" {
			req.Host = c.host
		}
		if name, value, ok := strings.Cut(c.header, ": "); ok {
			req.Header.Set(name, value)
		}
		req.Header.Set("Content-Type", c.kind)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if policy := resp.Header.Get("Content-Security-Policy"); resp.StatusCode != c.want || c.want == 200 && !strings.HasPrefix(policy, "default-src 'none'; script-src 'self';") {
			t.Errorf("%v is answered %d, with %q", c, resp.StatusCode, policy)
		}
	}
	for header, want := range map[string]int{"cross-site": 403, "same-origin": 200} { // the pages that were there before
		req, _ := http.NewRequest("POST", "http://"+open.httpAddr.String()+"/steps", nil)
		req.Header.Set("Sec-Fetch-Site", header)
		if resp, err := http.DefaultClient.Do(req); err != nil || resp.StatusCode != want {
			t.Errorf("POST /steps, %s: %v, %v", header, resp, err)
		}
	}
}

// Whether the console is open is said of settings, too, that a test can't listen with.
func TestClosedConsole(t *testing.T) {
	for _, c := range []struct {
		addr   string
		login  AdminLogin
		change func(*Config)
		closed bool
	}{
		{"127.0.0.1:1", LoginForNothing, func(*Config) {}, false},
		{"[::1]:1", LoginForNothing, func(*Config) {}, false},
		{"0.0.0.0:1", LoginForNothing, func(*Config) {}, true},
		{"10.0.0.1:1", LoginForNothing, func(*Config) {}, true},
		{"10.0.0.1:1", LoginForChanges, func(*Config) {}, false},
		{"127.0.0.1:1", LoginForNothing, func(c *Config) { c.Node.Authorize = true }, true},
		{"127.0.0.1:1", LoginForNothing, func(c *Config) { c.Node.Listeners = []node.Listener{{Name: "x", Mechanisms: []string{"PLAIN"}}} }, true},
		{"127.0.0.1:1", LoginForNothing, func(c *Config) { c.TLS = &TLS{Clients: ClientCertsRequired} }, true},
		{"127.0.0.1:1", LoginForNothing, func(c *Config) { c.TLS = &TLS{} }, false},
	} {
		h := &Host{cfg: Config{MetricsLogin: c.login}}
		c.change(&h.cfg)
		h.httpAddr, _ = net.ResolveTCPAddr("tcp", c.addr)
		if why := h.closedConsole(); (why != "") != c.closed {
			t.Errorf("%s, login %d, %+v: %q", c.addr, c.login, h.cfg, why)
		}
	}
}

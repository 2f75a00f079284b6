// SPDX-License-Identifier: Apache-2.0

package alerts

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

const brokers = 3

// runCluster runs three real brokers, and one with TLS, until the test ends and returns all series that they export.
func runCluster(t *testing.T) []labels.Labels {
	t.Helper()
	dir, port := t.TempDir(), freePorts(t)
	program := filepath.Join(dir, "broker")
	if out, err := exec.Command("go", "build", "-C", "../..", "-o", program, "./cmd/broker").CombinedOutput(); err != nil {
		t.Fatalf("building the broker: %v\n%s", err, out)
	}
	run(t, fmt.Sprintf("ready: %d brokers", brokers), program, "local", "-brokers", fmt.Sprint(brokers), "-dir", filepath.Join(dir, "cluster"), "-port", fmt.Sprint(port))
	all := runWithTLS(t, dir, program, port+brokers)
	for i := range brokers {
		provokeError(t, port+i)
		all = append(all, scrape(t, port+2000+i)...)
	}
	return all
}

// run runs a program until the test ends. It returns when that writes a line.
func run(t *testing.T, ready, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Stderr = io.Discard
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Signal(syscall.SIGTERM); cmd.Wait() })
	waitForLine(t, out, ready)
}

// runWithTLS runs a broker alone, whose clients speak TLS, and returns its series.
func runWithTLS(t *testing.T, dir, program string, port int) []labels.Labels {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(crand.Reader, &cert, &cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	config := file("broker.toml", fmt.Appendf(nil, `cluster_id = "alone"
broker_id = 1
dir = %q
listen = "127.0.0.1:%d"
metrics = "127.0.0.1:%d"
tls_cert_file = %q
tls_key_file = %q
members = [{ id = 1, kafka = "127.0.0.1:%d", peer = "127.0.0.1:%d" }]
`, filepath.Join(dir, "alone"), port, port+2000, file("crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		file("key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})), port, port+1000))
	if out, err := exec.Command(program, "format", "-config", config).CombinedOutput(); err != nil {
		t.Fatalf("format: %v: %s", err, out)
	}
	run(t, "ready:", program, "start", "-config", config)
	return scrape(t, port+2000)
}

// freePorts returns the first of the ports that a local cluster needs, and one more broker.
func freePorts(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 20000 + rand.IntN(9000)
		free := true
		for _, base := range []int{port, port + 1000, port + 2000} {
			for i := range brokers + 1 {
				l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", base+i))
				if err != nil {
					free = false
					continue
				}
				l.Close()
			}
		}
		if free {
			return port
		}
	}
	t.Fatal("found no free ports")
	return 0
}

func waitForLine(t *testing.T, from io.Reader, start string) {
	t.Helper()
	found := make(chan bool, 1)
	go func() {
		for lines := bufio.NewScanner(from); lines.Scan(); {
			if strings.HasPrefix(lines.Text(), start) {
				found <- true
			}
		}
		found <- false
	}()
	select {
	case ok := <-found:
		if !ok {
			t.Fatalf("the cluster ended without a line %q", start)
		}
	case <-time.After(time.Minute):
		t.Fatalf("no line %q within a minute", start)
	}
}

// provokeError asks for the offsets of a topic that does not exist (ListOffsets v1), so that there
// is an error to count.
func provokeError(t *testing.T, port int) {
	t.Helper()
	sock, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close()
	sock.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(sock, "\x00\x00\x00\x26"+ // length
		"\x00\x02\x00\x01\x00\x00\x00\x08\xff\xff"+ // key, version, correlation id, no client id
		"\xff\xff\xff\xff\x00\x00\x00\x01\x00\x02no"+ // no replica, one topic
		"\x00\x00\x00\x01\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff") // one partition, 0, latest
	if _, err := io.ReadFull(sock, make([]byte, 8)); err != nil {
		t.Fatalf("ListOffsets: %v", err)
	}
}

// scrape returns the series at one metrics port, without job and instance.
func scrape(t *testing.T, port int) (all []labels.Labels) {
	t.Helper()
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", port))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, "#") {
			continue
		}
		series, err := promql.ParseMetric(line[:strings.LastIndexByte(line, ' ')])
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, series)
	}
	return all
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

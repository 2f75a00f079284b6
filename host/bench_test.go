// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"
)

// BenchmarkRequests measures the way of a request through the host and back, with a node that
// answers at once: sockets, mailbox, loop. CPU is that of both ends; only it is steady on a machine
// that does other work.
func BenchmarkRequests(b *testing.B) {
	for _, c := range []struct{ conns, inflight int }{{1, 1}, {128, 1}, {128, 5}, {8, 50}} {
		b.Run(fmt.Sprintf("conns=%d/inflight=%d", c.conns, c.inflight), func(b *testing.B) {
			benchRequests(b, c.conns, c.inflight)
		})
	}
}

func benchRequests(b *testing.B, conns, inflight int) {
	s := serve(b, Limits{}, echo)
	before := cpu(b)
	b.ResetTimer()
	var wg sync.WaitGroup
	for range conns {
		sock, err := net.Dial("tcp", s.ports[0].listener.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		defer sock.Close()
		wg.Go(func() {
			request := frame(make([]byte, 300))
			var window []byte
			for range inflight {
				window = append(window, request...)
			}
			answers := make([]byte, len(window))
			for n := 0; n < b.N/conns; n += inflight {
				sock.Write(window)
				if _, err := io.ReadFull(sock, answers); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/op")
}

// cpu is the time that this process has used, in nanoseconds.
func cpu(b *testing.B) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

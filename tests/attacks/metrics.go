// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"chronik/tests/rig"
)

// metricsAttacks are aimed at the port for metrics.
var metricsAttacks = []attack{
	{name: "metrics: slow headers", brokers: 3, prepare: now(slowHeaders)},
	{name: "metrics: endless bodies", brokers: 3, prepare: now(endlessBodies)},
	{name: "metrics: a crowd that asks", brokers: 3, prepare: now(askingCrowd)},
}

func slowHeaders(ctx context.Context, t *target) error {
	return each(ctx, 500, withConn(t, t.Metrics[0], func(ctx context.Context, c net.Conn) {
		for _, b := range []byte("GET /metrics HTTP/1.1\r\nHost: x\r\nX: " + fmt.Sprint(make([]byte, 1000))) {
			if _, err := c.Write([]byte{b}); err != nil || rig.Pause(ctx, time.Second) != nil {
				return
			}
		}
	}))
}

// endlessBodies posts bodies that don't end, with a length and in chunks.
func endlessBodies(ctx context.Context, t *target) error {
	piece := make([]byte, 64<<10)
	return each(ctx, 40, withConn(t, t.Metrics[0], func(ctx context.Context, c net.Conn) {
		for _, head := range []string{"Content-Length: 1099511627776\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n"} {
			c.Write([]byte("POST /groups HTTP/1.1\r\nHost: x\r\n" + head))
			for range 64 {
				if _, err := c.Write(piece); err != nil {
					return
				}
			}
		}
	}))
}

func askingCrowd(ctx context.Context, t *target) error {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	return each(ctx, 50, func(ctx context.Context) {
		for _, page := range []string{"/metrics", "/groups", "/healthz"} {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+t.Metrics[0]+page, nil)
			if err != nil {
				return
			}
			if resp, err := client.Do(req); err == nil {
				resp.Body.Close()
				t.done.Add(1)
			}
		}
	})
}

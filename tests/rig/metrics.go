// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Metric returns the sum of a metric's series at a broker, of those whose labels contain all the
// given words, such as `peer="2"`.
func (c *Cluster) Metric(ctx context.Context, id int, name string, labels ...string) (sum float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.o.metricsAddr(id)+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	found := false
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		series, value, _ := strings.Cut(lines.Text(), " ")
		if series != name && !strings.HasPrefix(series, name+"{") || !containsAll(series, labels) {
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, fmt.Errorf("metric %s: %w", series, err)
		}
		sum, found = sum+v, true
	}
	if !found {
		return 0, fmt.Errorf("broker %d has no metric %s %v", id, name, labels)
	}
	return sum, nil
}

func containsAll(s string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(s, w) {
			return false
		}
	}
	return true
}

// MetricOfAll returns the sum of a metric over the brokers that run.
func (c *Cluster) MetricOfAll(ctx context.Context, name string, labels ...string) (sum float64, err error) {
	for _, id := range c.Running() {
		v, err := c.Metric(ctx, id, name, labels...)
		if err != nil {
			return 0, err
		}
		sum += v
	}
	return sum, nil
}

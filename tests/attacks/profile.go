// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"chronik/tests/rig"
)

// cpu is what processes used of a core, 1 being all of one, while an attack went on: each broker, the attacker, and the
// polite, who are in this process.
type cpu struct {
	brokers          []float64
	attacker, polite float64
}

func (c cpu) String() string {
	var list []string
	for _, n := range c.brokers {
		list = append(list, percent(n))
	}
	return fmt.Sprintf("%s / %s / %s", strings.Join(list, " "), percent(c.attacker), percent(c.polite))
}

func percent(n float64) string { return fmt.Sprintf("%.0f%%", 100*n) }

// watchCPU measures until the returned function is called. A broker that ends meanwhile counts nothing.
func (m *measurement) watchCPU(r *result) func() {
	look := func() (used []time.Duration) {
		for id := range m.a.brokers {
			n, _ := m.c.CPU(id + 1) // it may have ended
			used = append(used, n)
		}
		n, err := rig.ProcessCPU(m.attacker.cmd.Process.Pid)
		r.found(err)
		return append(used, n, ownCPU())
	}
	begin, from := time.Now(), look()
	return func() {
		took := time.Since(begin)
		var shares []float64
		for i, n := range look() {
			shares = append(shares, max(0, float64(n-from[i])/float64(took)))
		}
		n := m.a.brokers
		r.cpu = cpu{shares[:n], shares[n], shares[n+1]}
	}
}

func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic("getrusage of the own process can't fail: " + err.Error())
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// profilers gives brokers a port for profiles, if somebody wants any. A broker with TLS on its ports gets none.
func (o *options) profilers(a attack, own *map[int]map[string]string) (map[int]string, error) {
	if o.profiles == "" || a.secured {
		return nil, nil
	}
	addrs, err := freeAddresses(a.brokers)
	if err != nil {
		return nil, err
	}
	at := make(map[int]string)
	*own = make(map[int]map[string]string)
	for i, addr := range addrs {
		at[i+1], (*own)[i+1] = addr, map[string]string{"pprof": fmt.Sprintf("%q", addr)}
	}
	return at, os.MkdirAll(o.profiles, 0o755)
}

// profileTime is how long a profile lasts, at most as long as an attack.
const profileTime = 8 * time.Second

// profile begins to make profiles. The returned function waits for them.
func (m *measurement) profile(ctx context.Context, r *result) func() {
	var all sync.WaitGroup
	errs := make([]error, len(m.profilers))
	for i, id := range slices.Sorted(maps.Keys(m.profilers)) {
		all.Go(func() {
			name := fmt.Sprintf("%s-%d.pprof", strings.Map(inFileName, m.a.name), id)
			errs[i] = fetchProfile(ctx, m.profilers[id], filepath.Join(m.o.profiles, name), min(profileTime, m.o.each))
		})
	}
	return func() {
		all.Wait()
		for _, err := range errs {
			r.found(err)
		}
	}
}

func inFileName(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
		return r
	}
	return '-'
}

func fetchProfile(ctx context.Context, addr, name string, d time.Duration) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", addr, int(d.Seconds())), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("profile: %s: %s", resp.Status, text)
	}
	if err != nil {
		return err
	}
	return os.WriteFile(name, text, 0o644)
}

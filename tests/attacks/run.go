// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"chronik/tests/rig"
)

// attack is one way to hurt a broker.
type attack struct {
	name     string
	quick    bool              // part of the short form
	brokers  int               // 1 if 0
	replicas int               // of the polite one's partition; as many as brokers if 0
	files    int               // what `ulimit -n` says to the brokers, if not 0
	secret   bool              // brokers have a cluster secret
	secured  bool              // brokers have TLS on all ports, and listeners beside the plain one; see secured.go
	whole    bool              // it ends by itself, and not after a while
	settings map[string]string // of the brokers, beside the small ones

	// prepare runs in the attacker's process before anything is measured, and returns what then goes on until its
	// context ends.
	prepare func(ctx context.Context, t *target) (func(ctx context.Context) error, error)
	// beside, if there, runs in this process while the attack goes on, and in each quiet window, because what it costs
	// is not the attack's doing.
	beside func(ctx context.Context, c *rig.Cluster) error
}

// attacks are all of them; each kind has a file of its own.
func attacks() [][]attack {
	return [][]attack{connectionAttacks, unfoldingAttacks, nameAttacks, crowdAttacks, peerAttacks, metricsAttacks, securedAttacks, configAttacks, ordinaryLoads}
}

// memorySetting is that of the brokers. It is the default, and all limits of what a broker means to hold follow from it.
const memorySetting = 256 << 20

// memoryBound is how much a broker may take with that setting: a quarter more (docs/PERFORMANCE.md), and what isn't in it,
// which are the program itself and the topics, groups and producers that an attack makes.
func memoryBound(setting int64) int64 { return setting/4*5 + 64<<20 }

func settingsOf(memory int64) map[string]string {
	return map[string]string{"memory": fmt.Sprint(memory), "default_replicas": "1"}
}

var errBroken = errors.New("bounds are broken")

const politeTopic = "polite"

// result is a row of the table.
type result struct {
	name          string
	brokers       int
	runs          int // how often it was played
	done          int64
	parts         []part
	steps         rig.Steps
	quiet, during rig.Latency
	gap           time.Duration
	cpu           cpu
	memory        int64
	trouble       []string
}

func (r *result) found(err error) {
	if err != nil {
		r.trouble = append(r.trouble, err.Error())
	}
}

func runAll(ctx context.Context, o options, w io.Writer) (err error) {
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "attacks"); err != nil {
			return err
		}
		defer os.RemoveAll(o.dir)
	}
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	if o.program == "" {
		o.program = filepath.Join(o.dir, "broker")
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", o.program, "chronik/cmd/broker").CombinedOutput(); err != nil {
			return fmt.Errorf("building the broker: %w\n%s", err, out)
		}
	}
	var rows []result
	for _, kind := range attacks() {
		for _, a := range kind {
			if !o.run.MatchString(a.name) || o.quick && !a.quick {
				continue
			}
			fmt.Fprintf(w, "%s ...\n", a.name)
			row, err := playTwiceMore(ctx, o, a, len(rows))
			if ctx.Err() != nil {
				return fmt.Errorf("%s: %w", a.name, err)
			}
			if err != nil { // the other attacks still say something
				row = result{name: a.name, trouble: []string{"couldn't be played: " + err.Error()}}
			}
			rows = append(rows, row)
			fmt.Fprintf(w, "%s: %s, step %v, p99 %v of %v, %d MiB\n", a.name, row.verdict(), round(row.steps.CPU), round(row.during.P99), round(row.quiet.P99), row.memory>>20)
		}
	}
	return printTable(w, o, rows)
}

// playTwiceMore plays an attack, and if the polite producer waited too long plays it twice more. Then the run counts
// whose p99, as a multiple of its quiet one, is in the middle, because a hiccup of the machine's disk in one window of a
// few seconds is enough for a bad p99. Steps, memory and trouble of another kind count whichever run they were in.
func playTwiceMore(ctx context.Context, o options, a attack, nth int) (result, error) {
	runs := make([]result, 0, 3)
	for len(runs) < cap(runs) {
		r, err := play(ctx, o, a, nth*cap(runs)+len(runs))
		if err != nil {
			return r, err
		}
		runs = append(runs, r)
		if len(runs) == 1 && (!r.late(o) || o.once) {
			break
		}
	}
	slices.SortFunc(runs, func(a, b result) int { return cmp.Compare(a.slowdown(), b.slowdown()) })
	r := runs[len(runs)/2]
	r.trouble, r.runs = nil, len(runs)
	for _, other := range runs {
		r.steps.CPU, r.steps.Clock = max(r.steps.CPU, other.steps.CPU), max(r.steps.Clock, other.steps.Clock)
		r.memory = max(r.memory, other.memory)
		r.trouble = append(r.trouble, other.trouble...)
	}
	if r.late(o) {
		r.found(errors.New("the polite producer waits too long"))
	}
	return r, nil
}

// slowdown is the polite producer's p99 as a multiple of its quiet one.
func (r *result) slowdown() float64 { return float64(r.during.P99) / float64(max(1, r.quiet.P99)) }

// late says whether the polite producer waited longer than the bounds allow.
func (r *result) late(o options) bool { return r.during.P99 > o.floor && r.slowdown() > o.times }

// clusterSecret is that of the clusters that have one.
const clusterSecret = "0123456789abcdef"

// play runs one attack on brokers of its own.
func play(ctx context.Context, o options, a attack, nth int) (result, error) {
	a.brokers = cmp.Or(o.brokers, a.brokers, 1)
	settings := settingsOf(o.memory)
	maps.Copy(settings, a.settings)
	maps.Copy(settings, o.settings)
	dir := filepath.Join(o.dir, fmt.Sprint(nth))
	if a.secret {
		name := filepath.Join(o.dir, fmt.Sprintf("secret-%d", nth))
		if err := os.WriteFile(name, []byte(clusterSecret), 0o600); err != nil {
			return result{}, err
		}
		settings["peer_secret_file"] = fmt.Sprintf("%q", name)
	}
	guarded, own, err := guard(o, a, nth, settings)
	if err != nil {
		return result{}, err
	}
	profilers, err := o.profilers(a, &own)
	if err != nil {
		return result{}, err
	}
	c, err := rig.Start(ctx, rig.Options{
		Brokers: a.brokers, Dir: dir, Port: o.port, Program: o.program, Settings: settings, Own: own, Files: a.files,
	})
	if err != nil {
		return result{}, err
	}
	defer c.Close()
	if err := rig.CreateTopic(ctx, c.Bootstrap(), politeTopic, 1, min(cmp.Or(a.replicas, a.brokers), a.brokers)); err != nil {
		return result{}, err
	}
	if _, err := rig.LeadAll(ctx, c.Bootstrap(), politeTopic, 1); err != nil { // the one that is attacked
		return result{}, err
	}
	attacker, err := startAttacker(ctx, ordersFor(o, a, c, guarded))
	if err != nil {
		return result{}, err
	}
	defer attacker.close()
	pulse, err := rig.StartPulse(ctx, c.Bootstrap(), politeTopic, 0, 5*time.Millisecond)
	if err != nil {
		return result{}, err
	}
	defer pulse.Close()
	reader, err := startReader(ctx, c.Bootstrap())
	if err != nil {
		return result{}, err
	}
	defer reader.close()
	_ = rig.Pause(ctx, time.Second) // the start of the clients is not measured
	m := measurement{o, a, c, guarded, attacker, pulse, reader, profilers}
	return m.take(ctx)
}

func ordersFor(o options, a attack, c *rig.Cluster, g *guarded) orders {
	s := orders{Guarded: g, Attack: a.name, Quick: o.quick, Limit: o.each, Secret: clusterSecret, Program: o.program, Dir: o.dir}
	if a.whole {
		s.Limit = time.Minute
	}
	for _, id := range c.Running() {
		s.Kafka, s.Peer, s.Metrics = append(s.Kafka, c.KafkaAddr(id)), append(s.Peer, c.PeerAddr(id)), append(s.Metrics, c.MetricsAddr(id))
	}
	return s
}

// measurement is of one attack.
type measurement struct {
	o        options
	a        attack
	c        *rig.Cluster
	guarded  *guarded
	attacker *attacker
	pulse    *rig.Pulse
	reader   *reader

	profilers map[int]string // addresses, see profile.go
}

func (m *measurement) metrics() (addrs []string) {
	for _, id := range m.c.Running() {
		addrs = append(addrs, m.c.MetricsAddr(id))
	}
	return addrs
}

func (m *measurement) take(ctx context.Context) (r result, err error) {
	r.name, r.brokers = m.a.name, m.a.brokers
	if r.quiet, err = m.quietly(ctx); err != nil {
		return r, err
	}
	if _, err := m.guarded.longestSteps(ctx, m.metrics()); err != nil {
		return r, err
	}
	for _, id := range m.c.Running() {
		if err := m.c.ResetPeak(id); err != nil {
			return r, err
		}
	}
	m.reader.reset()
	gaps, used, profiled := watchMachine(), m.watchCPU(&r), m.profile(ctx, &r)
	m.strike(ctx, &r)
	r.gap = gaps()
	used()
	r.during, err = m.pulse.Take()
	r.found(err)
	profiled()
	if silence := m.reader.longest(); silence > silenceBound {
		r.found(fmt.Errorf("the polite consumer got nothing for %v", silence.Round(time.Millisecond)))
	}
	m.look(ctx, &r)
	return r, ctx.Err()
}

// quietly measures the polite alone. Of several windows it returns the one whose p99 is in the middle.
func (m *measurement) quietly(ctx context.Context) (rig.Latency, error) {
	if _, err := m.pulse.Take(); err != nil {
		return rig.Latency{}, err
	}
	windows := make([]rig.Latency, m.o.windows)
	for i := range windows {
		if err := m.quietWindow(ctx); err != nil {
			return rig.Latency{}, err
		}
		var err error
		if windows[i], err = m.pulse.Take(); err != nil {
			return rig.Latency{}, err
		}
	}
	slices.SortFunc(windows, func(a, b rig.Latency) int { return cmp.Compare(a.P99, b.P99) })
	return windows[len(windows)/2], nil
}

// quietWindow lasts as long as the attack will, if something goes on beside it that takes a part of that time.
func (m *measurement) quietWindow(ctx context.Context) error {
	if m.a.beside == nil {
		return rig.Pause(ctx, m.o.quiet)
	}
	ended := make(chan error, 1)
	go func() { ended <- m.a.beside(ctx, m.c) }()
	err := rig.Pause(ctx, m.o.each)
	return cmp.Or(<-ended, err)
}

// strike attacks to the end.
func (m *measurement) strike(ctx context.Context, r *result) {
	ended := make(chan error, 1)
	go func() {
		if m.a.beside == nil {
			ended <- nil
			return
		}
		ended <- m.a.beside(ctx, m.c)
	}()
	said, err := m.attacker.strike()
	r.found(err)
	if said.Error != "" {
		r.found(errors.New(said.Error))
	}
	r.done, r.parts = said.Done, said.Parts
	r.found(<-ended)
}

// look asks the brokers what the attack did to them.
func (m *measurement) look(ctx context.Context, r *result) {
	if up := len(m.c.Running()); up < m.a.brokers {
		r.found(fmt.Errorf("only %d brokers run", up))
	}
	steps, err := m.guarded.longestSteps(ctx, m.metrics())
	r.found(err)
	if n := len(r.parts); n > 0 {
		r.parts[n-1].Steps = steps
	}
	for _, p := range append(r.parts, part{Steps: steps}) {
		r.steps = rig.Steps{Clock: max(r.steps.Clock, p.Steps.Clock), CPU: max(r.steps.CPU, p.Steps.CPU)}
	}
	for _, id := range m.c.Running() {
		memory, err := m.c.PeakMemory(id)
		r.found(err)
		r.memory = max(r.memory, memory)
	}
	r.judge(m.o)
}

func (r *result) judge(o options) {
	for _, p := range r.parts {
		if p.Steps.CPU > o.step {
			r.found(fmt.Errorf("a step of %q took %v of CPU time", p.Name, round(p.Steps.CPU)))
		}
	}
	if r.steps.CPU > o.step && len(r.parts) == 0 {
		r.found(fmt.Errorf("a step took %v of CPU time", round(r.steps.CPU)))
	}
	if r.done == 0 {
		r.found(errors.New("the attack got nothing done, so this says nothing"))
	}
	if bound := memoryBound(o.memory); r.memory > bound {
		r.found(fmt.Errorf("memory is over %d MiB", bound>>20))
	}
}

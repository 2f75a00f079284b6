// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"chronik/tests/rig"
)

const brokers = 3

// world is a cluster, its clients, and the table that is printed in the end.
type world struct {
	*rig.Cluster
	options
	programs
	load         *rig.Load
	group        *group
	transactions *transactions
	wrong        rig.Verdict
	rows         []string
}

func upgrade(ctx context.Context, o options, release string) error {
	begin := time.Now()
	p, err := build(ctx, o.dir, release)
	if err != nil {
		return err
	}
	fmt.Printf("built in %v\n", time.Since(begin).Round(time.Second))
	describe("last release", release, p.last)
	describe("present tree", "", p.present)
	describe("next release", "the present tree with another version of each", p.next)
	w := &world{options: o, programs: p}
	if w.Cluster, err = rig.Start(ctx, rig.Options{Brokers: brokers, Dir: o.dir, Port: o.port, Program: p.last}); err != nil {
		return err
	}
	defer w.Close()
	if err := w.begin(ctx); err != nil {
		return err
	}
	err = w.play(ctx)
	w.end(ctx, err == nil)
	w.print()
	if err != nil {
		w.wrong = append(w.wrong, err.Error())
	}
	if len(w.wrong) > 0 {
		return w.wrong
	}
	return nil
}

// describe prints what a program says of itself.
func describe(name, note, program string) {
	out, err := exec.Command(program, "version").CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if err != nil || len(lines) < 2 {
		lines = append(lines, "")
	}
	fmt.Printf("  %s: %s %s\n", name, note, lines[1])
}

func (w *world) begin(ctx context.Context) (err error) {
	for _, t := range []string{topic, written} {
		if err := rig.CreateTopic(ctx, w.Bootstrap(), t, partitions, brokers); err != nil {
			return err
		}
	}
	w.load, err = rig.StartLoad(ctx, w.Bootstrap(), rig.LoadOptions{
		Topic: topic, Partitions: partitions, Producers: 3, Rate: w.rate, Size: 200, MetadataAge: 100 * time.Millisecond,
	})
	if err != nil {
		return err
	}
	if w.group, err = startGroup(w.Bootstrap()); err != nil {
		return err
	}
	if w.transactions, err = startTransactions(w.Bootstrap()); err != nil {
		return err
	}
	return w.load.WaitForStart(ctx)
}

func (w *world) play(ctx context.Context) error {
	for _, step := range []func() error{
		func() error { return w.roll(ctx, "last to present", w.present) },
		func() error { return w.roll(ctx, "back to last", w.last) },
		func() error { return w.roll(ctx, "last to present again", w.present) },
		func() error { return w.strangerIsRefused(ctx) },
		func() error {
			return w.endsWith(ctx, "a broker that is too new", w.tooNew, w.present, fmt.Sprintf("the cluster is at feature level %d", w.newest), "it is too new")
		},
		func() error { return w.roll(ctx, "present to next", w.next) },
		func() error { return w.raise(ctx) },
		func() error {
			return w.endsWith(ctx, "the present one after that", w.present, w.next, fmt.Sprintf("the cluster is at feature level %d", w.newest+1), "it is too old")
		},
		func() error { return w.endsWith(ctx, "the last one after that", w.last, w.next, "it is too old") },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// row notes what clients met while something was done.
func (w *world) row(what string, do func() (note string, err error)) error {
	w.load.NewRound()
	begin := time.Now()
	note, err := do()
	p := w.load.Round()
	if err != nil {
		note, err = "FAILED", fmt.Errorf("%s: %w", what, err)
	}
	w.rows = append(w.rows, fmt.Sprintf("%s\t%v\t%d\t%d\t%v\t%s", what, time.Since(begin).Round(100*time.Millisecond), p.Acked, w.load.Failures(),
		p.Worst().Round(time.Millisecond), note))
	return err
}

// roll lets all brokers run a program, one after the other.
func (w *world) roll(ctx context.Context, what, program string) error {
	for id := 1; id <= brokers; id++ {
		err := w.row(fmt.Sprintf("%s: broker %d", what, id), func() (string, error) {
			took, err := w.Stop(id)
			if err != nil {
				return "", err
			}
			back := time.Now()
			if err := w.start(ctx, id, program); err != nil {
				return "", err
			}
			note := fmt.Sprintf("stopped in %v, in sync %v later", took.Round(time.Millisecond), time.Since(back).Round(time.Millisecond))
			return note, rig.Pause(ctx, w.rest)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// start starts a broker and waits until all is in sync.
func (w *world) start(ctx context.Context, id int, program string) error {
	w.Use(id, program)
	if err := w.Restart(ctx, id); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience*time.Second)
	defer cancel()
	if program != w.last { // the last release says ready earlier
		if err := w.ready(ctx, id); err != nil {
			return err
		}
	}
	_, err := w.Admin(ctx, "wait")
	return err
}

// ready waits until /readyz of a broker says that another one may be stopped, and looks whether that is so.
func (w *world) ready(ctx context.Context, id int) error {
	for status := 0; status != http.StatusOK; {
		resp, err := http.Get("http://" + w.MetricsAddr(id) + "/readyz")
		if err != nil {
			return err
		}
		resp.Body.Close()
		if status = resp.StatusCode; status != http.StatusOK {
			if err := rig.Pause(ctx, 20*time.Millisecond); err != nil {
				return fmt.Errorf("/readyz of broker %d: %d: %w", id, status, err)
			}
		}
	}
	behind := ""
	for range 20 { // others may hear of it a moment later
		found, err := rig.Describe(ctx, w.Bootstrap(), topic)
		if err != nil {
			return err
		}
		behind = ""
		for _, p := range found {
			if !slices.Contains(p.ISR, int32(id)) {
				behind += fmt.Sprintf(" %d", p.Partition)
			}
		}
		if behind == "" {
			return nil
		}
		if err := rig.Pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("broker %d says that it is ready, and isn't in sync in partitions%s", id, behind)
}

func (w *world) raise(ctx context.Context) error {
	return w.row("the feature level is raised", func() (string, error) {
		if _, err := w.Admin(ctx, "features"); err != nil {
			return "", err
		}
		out, err := w.Admin(ctx, "raise", fmt.Sprint(w.newest+1))
		if err != nil {
			return "", err
		}
		return strings.TrimSpace(strings.ReplaceAll(out, "\n", "; ")), rig.Pause(ctx, w.rest)
	})
}

// strangerIsRefused starts a broker that has no version of the peer protocol in common with the others: both sides must say so.
func (w *world) strangerIsRefused(ctx context.Context) error {
	return w.row("a broker of another protocol", func() (string, error) {
		if _, err := w.Stop(brokers); err != nil {
			return "", err
		}
		w.Use(brokers, w.stranger)
		tails := map[int]*tail{1: w.tail(1), brokers: w.tail(brokers)}
		if err := w.Begin(brokers); err != nil {
			return "", err
		}
		said := tails[brokers].wait(ctx, "of the peer protocol", "your release is too new") && tails[1].wait(ctx, "of the peer protocol", "your release is too new")
		if err := w.Kill(brokers); err != nil {
			return "", err
		}
		if !said {
			return "", errors.New("no words about the versions on one side")
		}
		return "both sides say that it is too new", w.start(ctx, brokers, w.present)
	})
}

// endsWith starts a program on a broker's folder that must not run there, and then the right one again.
func (w *world) endsWith(ctx context.Context, what, wrong, right string, words ...string) error {
	return w.row(what, func() (string, error) {
		if _, err := w.Stop(brokers); err != nil {
			return "", err
		}
		w.Use(brokers, wrong)
		t := w.tail(brokers)
		if err := w.Begin(brokers); err != nil {
			return "", err
		}
		if err := w.WaitForEnd(brokers, patience*time.Second); err == nil || !t.wait(ctx, words...) {
			return "", fmt.Errorf("it ended with %w, and not with the words %q; see %s", err, words, w.Lines(brokers))
		}
		return "it refuses: " + words[len(words)-1], w.start(ctx, brokers, right)
	})
}

// tail is what a broker prints from now on.
type tail struct {
	file string
	from int64
}

func (w *world) tail(id int) *tail {
	t := &tail{file: w.Lines(id)}
	if info, err := os.Stat(t.file); err == nil {
		t.from = info.Size()
	}
	return t
}

// wait waits until one line has all the words.
func (t *tail) wait(ctx context.Context, words ...string) bool {
	for range patience * 10 {
		if t.has(words) {
			return true
		}
		if rig.Pause(ctx, 100*time.Millisecond) != nil {
			break
		}
	}
	return false
}

func (t *tail) has(words []string) bool {
	f, err := os.Open(t.file)
	if err != nil {
		return false
	}
	defer f.Close()
	if _, err := f.Seek(t.from, io.SeekStart); err != nil {
		return false
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return false
	}
lines:
	for line := range strings.Lines(string(text)) {
		for _, word := range words {
			if !strings.Contains(line, word) {
				continue lines
			}
		}
		return true
	}
	return false
}

// end stops the clients and, if whole, reads everything from each broker.
func (w *world) end(ctx context.Context, whole bool) {
	w.wrong = append(w.wrong, w.load.Finish(patience*time.Second)...)
	records, wrong := w.group.finish(ctx, w.Bootstrap())
	w.wrong = append(append(w.wrong, wrong...), w.transactions.finish(ctx, w.Bootstrap())...)
	fmt.Printf("%d records were acknowledged, %d errors; the group has %d, and looked %d times for its coordinator anew; %d transactions of %d records were committed\n",
		w.load.Total().Acked, w.load.Failures(), records, w.group.notices, w.transactions.committed, inOne)
	if !whole {
		return
	}
	for id := 1; id <= brokers; id++ {
		if _, err := rig.LeadAll(ctx, w.Bootstrap(), topic, id); err != nil {
			w.wrong = append(w.wrong, fmt.Sprintf("letting broker %d lead: %v", id, err))
			return
		}
		data, err := rig.Read(ctx, w.Bootstrap(), topic, partitions)
		if err != nil {
			w.wrong = append(w.wrong, fmt.Sprintf("reading from broker %d: %v", id, err))
			return
		}
		for _, line := range rig.Judge(w.load.Acked(), data) {
			w.wrong = append(w.wrong, fmt.Sprintf("read from broker %d: %s", id, line))
		}
	}
	fmt.Println("each broker led all partitions once, and all that was acknowledged was read from it, once and in order")
}

func (w *world) print() {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "what\ttime\tacknowledged\terrors so far\tlongest without an ack\tnote")
	for _, row := range w.rows {
		fmt.Fprintln(t, row)
	}
	t.Flush()
}

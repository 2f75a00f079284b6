// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"chronik/seeds/mutation"
	"chronik/seeds/mutation/reach"
)

// tester is the test program of a package.
type tester struct {
	program, dir string
	tests        []unitTest // the cheapest first
}

// unitTest is one test, what it costs, and to the places of which mutants it comes.
type unitTest struct {
	name    string
	cpu     time.Duration
	reached map[int]bool
}

// testBudget is how much processor time the tests of one mutant may take together if it changes nothing. The dearest ones
// beyond it aren't run.
const testBudget = 25 * time.Second

// testPrograms builds the tests of the packages that have mutants, and runs each test without a mutant.
func (m *mutator) testPrograms(overlay string, list []mutation.Mutant, wanted bool) error {
	if !wanted {
		return nil
	}
	m.tests = make(map[string]*tester)
	for i := range list {
		dir := path.Dir(list[i].File)
		if m.tests[dir] != nil {
			continue
		}
		t := &tester{program: filepath.Join(m.temp, strings.ReplaceAll(dir, "/", "+")+".test"), dir: filepath.Join(m.root, dir)}
		if out, err := m.compile("test", overlay, t.program, "./"+dir); err != nil {
			return fmt.Errorf("building the tests of %s: %w: %s", dir, err, out)
		}
		m.tests[dir] = t
		if _, err := os.Stat(t.program); err != nil {
			continue // it has no tests
		}
		if err := t.survey(m.lanes); err != nil {
			return fmt.Errorf("the tests of %s without any mutant: %w", dir, err)
		}
	}
	return nil
}

// survey runs each test by itself.
func (t *tester) survey(lanes int) error {
	list := exec.Command(t.program, "-test.list", ".")
	list.Dir = t.dir
	out, err := list.Output()
	if err != nil {
		return err
	}
	names := make(chan string)
	go func() {
		defer close(names)
		for _, name := range strings.Fields(string(out)) {
			if !strings.HasPrefix(name, "Benchmark") {
				names <- name
			}
		}
	}()
	var mu sync.Mutex
	var failed error
	var done sync.WaitGroup
	for range lanes {
		done.Go(func() {
			for name := range names {
				u, err := t.measure(name)
				mu.Lock()
				t.tests, failed = append(t.tests, u), errors.Join(failed, err)
				mu.Unlock()
			}
		})
	}
	done.Wait()
	slices.SortFunc(t.tests, func(a, b unitTest) int { return int(a.cpu - b.cpu) })
	return failed
}

func (t *tester) measure(name string) (unitTest, error) {
	u := unitTest{name: name, reached: make(map[int]bool)}
	marks := fmt.Sprintf("%s.%s", t.program, name)
	defer os.Remove(marks)
	cmd := t.command([]unitTest{u})
	cmd.Env = append(os.Environ(), environment(0), reach.FileVariable+"="+marks)
	if out, err := cmd.CombinedOutput(); err != nil {
		return u, fmt.Errorf("%s: %w: %s", name, err, out)
	}
	u.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	text, err := os.ReadFile(marks)
	if errors.Is(err, os.ErrNotExist) {
		return u, nil // it comes nowhere
	}
	for k := range strings.FieldsSeq(string(text)) {
		if n, err := strconv.Atoi(k); err == nil {
			u.reached[n] = true
		}
	}
	return u, err
}

func (t *tester) command(tests []unitTest) *exec.Cmd {
	var names []string
	for _, u := range tests {
		names = append(names, u.name)
	}
	cmd := exec.Command(t.program, "-test.failfast", "-test.timeout=10m", "-test.run=^("+strings.Join(names, "|")+")$")
	cmd.Dir = t.dir
	return cmd
}

// try runs the tests that come to the place of a mutant, the cheap ones first, and says which fails.
func (t *tester) try(number int, f *fate) (string, error) {
	var batch []unitTest
	var cost, all time.Duration
	for _, u := range t.tests {
		if !u.reached[number] || all+u.cpu > testBudget {
			continue
		}
		batch, cost, all = append(batch, u), cost+u.cpu, all+u.cpu
		if cost > time.Second/2 {
			if failed, err := t.run(number, batch, cost, f); failed != "" || err != nil {
				return failed, err
			}
			batch, cost = nil, 0
		}
	}
	if batch == nil {
		return "", nil
	}
	return t.run(number, batch, cost, f)
}

// run runs tests with a mutant, and says which fails.
func (t *tester) run(number int, tests []unitTest, cost time.Duration, f *fate) (string, error) {
	limit := int(5 + 4*cost.Seconds())
	cmd := t.command(tests)
	cmd.Env = append(os.Environ(), environment(number), fmt.Sprintf("%s=%d", mutation.SecondsVariable, limit))
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState != nil {
		f.CPUSeconds += (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	}
	_, name, failed := bytes.Cut(out, []byte("--- FAIL: "))
	var exit *exec.ExitError
	switch {
	case err == nil:
		return "", nil
	case failed:
		return string(bytes.Fields(name)[0]), nil
	case errors.As(err, &exit) && exit.ExitCode() < 0:
		return fmt.Sprintf("not done in %d s", limit), nil
	case errors.As(err, &exit):
		return "the tests end", nil // by a panic outside a test
	}
	return "", err
}

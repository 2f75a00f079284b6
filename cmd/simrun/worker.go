// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"chronik/seeds/mutation/reach"
	"chronik/sim"
	"chronik/sim/plan"
)

// A process runs one simulation at a time, because the raft library's source of randomness is
// global. So simrun starts itself again as workers: a seed or a plan per line in, an outcome per line out.

const workerCommandName = "worker"

// seedTimeout is how much wall time a seed may take: a thousand times the usual.
const seedTimeout = 3 * time.Minute

// Checks that fail because a worker didn't bring a seed to its end.
const (
	checkWorkerDied = "worker-died"
	checkHang       = "hang"
	checkEndless    = "endless" // where processor time is limited
)

// outcome is what came of one seed.
type outcome struct {
	Result *sim.Result
	// Again is the trace hash of a second run of a failing seed. It must be that of the first.
	Again uint64
	CPUNs int64 // processor time of the process, from the line that came in to the outcome; its garbage collector is in it
	// Reached is which mutants' places were reached, in a program that has some, and Times how often each was.
	Reached []int    `json:",omitempty"`
	Times   []uint32 `json:",omitempty"`
}

// limitVariable is the variable of the environment that says how much processor time a seed may take, such as 6s. A worker
// that takes more ends. Wall time would say less of a mutant that never ends: the machine may be busy.
const limitVariable = "SIMRUN_SEED_LIMIT"

// onceVariable tells workers not to run a failing seed a second time.
const onceVariable = "SIMRUN_ONCE"

func workerCommand(args []string) (bool, error) {
	if len(args) != 1 {
		return false, fmt.Errorf("%w: the worker is started by simrun itself", errUsage)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400) // a run's garbage is small, and collecting it often costs a quarter of the time
	}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, longestLine)
	out := json.NewEncoder(os.Stdout)
	var began atomic.Int64
	reach.Started()
	if limit, err := time.ParseDuration(os.Getenv(limitVariable)); err == nil {
		go watchSeeds(&began, limit)
	}
	for in.Scan() {
		began.Store(int64(processTime()))
		o, err := runLine(in.Text(), args[0])
		if err != nil {
			return false, err
		}
		o.CPUNs = int64(processTime()) - began.Load()
		o.Reached, o.Times = reach.Take()
		if err := out.Encode(o); err != nil {
			return false, err
		}
	}
	return false, in.Err()
}

const tooMuchTime = " of processor time"

// watchSeeds ends the process if a seed takes too much processor time.
func watchSeeds(began *atomic.Int64, limit time.Duration) {
	for range time.Tick(100 * time.Millisecond) {
		if int64(processTime())-began.Load() > int64(limit) {
			fmt.Fprintf(os.Stderr, "the seed took more than %v%s\n", limit, tooMuchTime)
			os.Exit(exitBroken)
		}
	}
}

// longestLine bounds the bytes of a plan that a worker is given.
const longestLine = 64 << 20

// processTime is how much processor time this process has taken.
func processTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// runLine runs a seed, or a plan, of which it also says what its run was like. A seed may have another profile before it.
func runLine(line, profile string) (outcome, error) {
	if strings.HasPrefix(line, "{") {
		p, err := plan.Parse([]byte(line))
		if err != nil {
			return outcome{}, err
		}
		return runPlan(p, sim.Options{Features: true}), nil
	}
	if other, seed, ok := strings.Cut(line, " "); ok {
		profile, line = other, seed
	}
	seed, err := strconv.ParseUint(line, 10, 64)
	if err != nil {
		return outcome{}, err
	}
	return runSeed(seed, profile)
}

func runSeed(seed uint64, profile string) (outcome, error) {
	p, err := plan.Generate(seed, profile)
	if err != nil {
		return outcome{}, fmt.Errorf("%w: %w", errUsage, err)
	}
	return runPlan(p, sim.Options{}), nil
}

func runPlan(p *plan.Plan, opt sim.Options) outcome {
	o := outcome{Result: sim.Run(p, opt)}
	o.Again = o.Result.Hash
	if o.Result.Failure != nil && os.Getenv(onceVariable) == "" {
		o.Again = sim.Run(p, sim.Options{}).Hash
	}
	return o
}

// worker is a process that runs seeds.
type worker struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr bytes.Buffer
	told   int64 // CPUNs of its outcomes
}

// startWorker starts a worker. A patient one isn't reached by Ctrl-C: simrun lets it come to the end of its seed.
func startWorker(program, profile string, patient bool, env ...string) (*worker, error) {
	var err error
	if program == "" {
		if program, err = os.Executable(); err != nil {
			return nil, fmt.Errorf("finding the own program to start workers: %w", err)
		}
	}
	w := &worker{cmd: exec.Command(program, workerCommandName, profile)}
	w.cmd.Env = append(os.Environ(), env...)
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: patient}
	w.cmd.Stderr = &w.stderr
	if w.in, err = w.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	w.out = bufio.NewReaderSize(out, 1<<16)
	if err := w.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting a worker: %w", err)
	}
	return w, nil
}

// run lets the worker run one seed. If the worker dies or hangs, that is the seed's failure, and
// alive is false.
func (w *worker) run(seed uint64, profile string, limit time.Duration) (o outcome, alive bool) {
	return w.runLine(strconv.FormatUint(seed, 10), seed, profile, limit)
}

// runLine is run for a seed or a plan; seed and profile say what it is.
func (w *worker) runLine(what string, seed uint64, profile string, limit time.Duration) (o outcome, alive bool) {
	hung := false
	timer := time.AfterFunc(limit, func() {
		hung = true
		w.cmd.Process.Kill()
	})
	line, err := w.ask(what)
	if err == nil {
		err = json.Unmarshal(line, &o)
	}
	timer.Stop()
	if err == nil {
		w.told += o.CPUNs
		return o, true
	}
	w.close()
	f := &sim.Failure{Check: checkWorkerDied, Text: strings.TrimSpace(w.stderr.String())}
	if strings.HasSuffix(f.Text, tooMuchTime) {
		f.Check = checkEndless
	}
	if hung {
		f = &sim.Failure{Check: checkHang, Text: fmt.Sprintf("the seed did not end within %v of wall time", limit)}
	}
	return outcome{Result: &sim.Result{Seed: seed, Profile: profile, Failure: f}, CPUNs: int64(w.cpu()) - w.told}, false
}

func (w *worker) ask(what string) ([]byte, error) {
	if _, err := fmt.Fprintln(w.in, what); err != nil {
		return nil, err
	}
	return w.out.ReadBytes('\n')
}

func (w *worker) close() {
	w.in.Close()
	w.cmd.Wait()
}

// cpu is how much processor time a worker took that has ended.
func (w *worker) cpu() time.Duration {
	if w.cmd.ProcessState == nil {
		return 0
	}
	return w.cmd.ProcessState.UserTime() + w.cmd.ProcessState.SystemTime()
}

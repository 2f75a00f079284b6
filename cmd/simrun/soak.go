// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"chronik/sim"
	"chronik/sim/plan"
)

// What a soak demands in the end, beside that no check failed: the median of the heap after each epoch of the
// last quarter of the time is at most so many percent of that of the first quarter, and at most so many of a
// thousand look-ups of entries read the logs' files. The heap holds what the simulated disks hold, too, and what is
// just under way, so that single values are up to half as large again as the median at any time.
const (
	soakHeapPercent = 125
	soakColdReads   = 10
)

// soak is what is noted on the way.
type soak struct {
	began     time.Time
	length    time.Duration
	bar       *progressbar.ProgressBar
	heaps     []uint64      // bytes in use after each epoch
	hours     int           // that were reported
	warm, end sim.SoakState // after the first hour, and in the end
}

func soakCommand(args []string) (bool, error) {
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	virtual := flags.Duration("virtual", 24*time.Hour, "virtual time")
	seed := flags.Uint64("seed", 1, "seed")
	if err := parse(flags, args, 0); err != nil {
		return false, err
	}
	if *virtual < 4*time.Hour {
		return false, fmt.Errorf("%w: -virtual %v; use 4h at least, for the first and the last quarter are compared", errUsage, *virtual)
	}
	s := &soak{began: time.Now(), length: *virtual, bar: progressbar.DefaultSilent(1)}
	if term.IsTerminal(int(os.Stderr.Fd())) {
		s.bar = progressbar.NewOptions64(int64(s.length/time.Second), progressbar.OptionSetWriter(os.Stderr),
			progressbar.OptionSetDescription("virtual seconds"), progressbar.OptionShowCount(), progressbar.OptionClearOnFinish())
	}
	r := sim.Soak(*seed, plan.Duration(s.length), s.epoch)
	s.bar.Finish()
	return s.report(*seed, r), nil
}

// epoch is called after each epoch, when all of it was judged.
func (s *soak) epoch(now sim.SoakState) {
	s.end = now
	s.bar.Set64(int64(min(time.Duration(now.Virtual), s.length) / time.Second))
	s.heaps = append(s.heaps, heapInUse())
	if time.Duration(now.Virtual) < time.Duration(s.hours+1)*time.Hour {
		return
	}
	if s.hours++; s.hours == 1 {
		s.warm = now
	}
	s.bar.Clear()
	fmt.Printf("%6v virtual, %6v wall: %d records acknowledged, %d crashes, %d faults, heap %s, %s of look-ups read the files\n",
		time.Duration(now.Virtual).Round(time.Minute), time.Since(s.began).Round(time.Second), now.Result.Acked, now.Result.Crashes,
		faults(now.Result), megabytes(s.heaps[len(s.heaps)-1]), perThousand(now.Cold, now.Hot+now.Cached+now.Cold))
}

// heapInUse returns the bytes of live objects.
func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func median(list []uint64) uint64 {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}

func faults(r *sim.Result) (n int64) {
	for _, f := range r.Faults {
		n += f.Fired
	}
	return n
}

func megabytes(bytes uint64) string {
	return fmt.Sprintf("%d.%d MB", bytes/1_000_000, bytes/100_000%10)
}

func perThousand(part, all int64) string {
	tenths := part * 10_000 / max(all, 1)
	return fmt.Sprintf("%d.%d ‰", tenths/10, tenths%10)
}

// report prints how it ended and says whether it failed.
func (s *soak) report(seed uint64, r *sim.Result) bool {
	cold := s.end.Cold - s.warm.Cold
	all := cold + s.end.Hot - s.warm.Hot + s.end.Cached - s.warm.Cached
	fmt.Printf("seed %d: %v virtual in %v: %d epochs, %d steps, %d messages, %d disk operations, %d calls answered, %d records acknowledged, %d crashes, %d faults\n",
		seed, time.Duration(r.Virtual).Round(time.Second), time.Since(s.began).Round(time.Second), s.end.Epoch,
		r.Steps, r.Messages, r.DiskOps, r.Ops, r.Acked, r.Crashes, faults(r))
	quarter := len(s.heaps) / 4
	first, last := median(s.heaps[:quarter]), median(s.heaps[len(s.heaps)-quarter:])
	fmt.Printf("heap %s in the first quarter, %s in the last (medians; at most %s); after the first hour %d of %d look-ups of entries read the files (%s)\n",
		megabytes(first), megabytes(last), megabytes(slices.Max(s.heaps)), cold, all, perThousand(cold, all))
	failed := false
	demand := func(ok bool, format string, args ...any) {
		if !ok {
			failed = true
			fmt.Printf("FAIL "+format+"\n", args...)
		}
	}
	if r.Failure != nil {
		demand(false, "check %s at %v: %s", r.Failure.Check, time.Duration(r.Failure.At), r.Failure.Text)
		fmt.Print(r.Failure.Stack)
		return true
	}
	demand(last*100 <= first*soakHeapPercent, "check memory: the heap in the last quarter is more than %d %% of that in the first", soakHeapPercent)
	demand(cold*1000 <= all*soakColdReads, "check cold-reads: more than %d ‰ of look-ups read the files", soakColdReads)
	demand(r.Acked > 0, "check vacuous: no record was acknowledged")
	if !failed {
		fmt.Println("passed")
	}
	return failed
}

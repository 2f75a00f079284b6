// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	crand "crypto/rand" // want `package crypto/rand is not deterministic; use a \*rand.Rand`
	"fmt"
	_ "hash/maphash" // want `package hash/maphash`
	_ "log/slog"     // want `package log/slog is not deterministic; use Output.Events`
	"maps"
	"math/rand"
	randv2 "math/rand/v2"
	_ "net/http" // want `package net/http`
	_ "os"       // want `package os`
	//det:ok the exception that proves the rule
	_ "runtime"
	"slices"
	"sync/atomic" // want `package sync/atomic is not deterministic; use the step`
	"time"
	_ "unsafe" // want `package unsafe`
)

const timeout = 3 * time.Second // a duration is only a number

var (
	_ = crand.Reader
	_ atomic.Int32
)

func clocks(t time.Time) {
	_ = time.Now()  // want `time.Now is not deterministic; use Input.Now and Output.Wake`
	now := time.Now // want `time.Now`
	_ = now
	_ = time.Since(t)                        // want `time.Since`
	time.Sleep(1)                            // want `time.Sleep`
	_, _ = context.WithTimeout(nil, timeout) // want `context.WithTimeout`
	_ = t.After(t)                           // the method, not the function
	_ = context.Background()
}

func goroutines(c chan int) {
	go clocks(time.Time{}) // want `a goroutine is not deterministic`
	c <- 1                 // want `a channel`
	<-c                    // want `a channel`
	close(c)               // want `a channel`
	for range c {          // want `a channel`
	}
	select {} // want `select`
}

func randomness(r *rand.Rand) {
	_ = rand.Intn(3) // want `the global source of math/rand is`
	_ = randv2.N(3)  // want `the global source of math/rand/v2 is`
	_ = r.Intn(3)
	_ = rand.New(rand.NewSource(1))
	_ = randv2.New(randv2.NewPCG(1, 2))
}

type set map[string]bool

func order[M ~map[K]int, K comparable](m map[int]int, s set, generic M) {
	for range m { // want `the order of a map is not deterministic; use a sorted slice`
	}
	for range s { // want `the order of a map`
	}
	for range generic { // want `the order of a map`
	}
	for range maps.Keys(m) { // want `the order of maps.Keys`
	}
	for range slices.Sorted(maps.Keys(m)) {
	}
	_ = slices.SortedFunc(maps.Values(m), func(a, b int) int { return a - b })
	_ = slices.Collect(maps.Values(m)) // want `the order of maps.Values`
	_ = m[3]
	sum := 0
	//det:ok order does not matter because a sum is the same in any order
	for _, v := range m {
		sum += v
	}
	//det:ok // want `det:ok without a reason`
	for range m {
	}
	//det:ok there is nothing here // want `det:ok allows nothing on the next line`
	for range []int{1} {
	}
}

func addresses(p *int) string {
	return fmt.Sprintf("at %p", p) // want `%p, an address, is not deterministic`
}

func floats() float64 { return 1.5 } // fine outside of sim

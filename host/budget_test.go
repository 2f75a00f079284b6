// SPDX-License-Identifier: Apache-2.0

package host

import (
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

func TestBudgetServesInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(10)
		var order []string
		ask := func(name string, n int64, quit chan struct{}) {
			go func() {
				if b.acquire(n, quit) {
					order = append(order, name)
				} else {
					order = append(order, name+" gave up")
				}
			}()
			synctest.Wait()
		}
		quit := make(chan struct{})
		ask("a6", 6, nil)
		ask("b6", 6, nil)
		ask("c100", 100, quit) // above the limit: only when nobody holds anything
		ask("d1", 1, nil)      // would fit, but others came first
		if diff := cmp.Diff([]string{"a6"}, order); diff != "" {
			t.Errorf("before any release (-want +got):\n%s", diff)
		}
		b.release(6)
		synctest.Wait()
		b.release(6)
		synctest.Wait()
		if diff := cmp.Diff([]string{"a6", "b6", "c100"}, order); diff != "" {
			t.Errorf("after two releases (-want +got):\n%s", diff)
		}
		ask("e100", 100, quit)
		b.release(100)
		synctest.Wait()
		close(quit) // e gives up, which lets f pass
		synctest.Wait()
		ask("f9", 9, nil)
		if diff := cmp.Diff([]string{"a6", "b6", "c100", "d1", "e100 gave up", "f9"}, order); diff != "" {
			t.Errorf("at the end (-want +got):\n%s", diff)
		}
		if b.used != 10 || len(b.waiters) != 0 {
			t.Errorf("used %d with %d waiters, want 10 and none", b.used, len(b.waiters))
		}
	})
}

func TestBudgetNoticesAWrongRelease(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("releasing more than was taken must panic")
		}
	}()
	newBudget(10).release(1)
}

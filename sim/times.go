// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"time"

	"chronik/node"
	"chronik/sim/keyed"
	"chronik/sim/plan"
)

const (
	microsecond = plan.Duration(time.Microsecond)
	millisecond = plan.Duration(time.Millisecond)
	second      = plan.Duration(time.Second)
)

// at is a time of the plan as virtual time.
func at(d plan.Duration) node.Time { return node.Time(d) }

// span is exponential with a given mean.
func span(d keyed.Draw, mean plan.Duration) node.Time { return node.Time(d.Exponential(int64(mean))) }

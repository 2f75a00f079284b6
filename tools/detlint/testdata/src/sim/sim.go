// SPDX-License-Identifier: Apache-2.0

package sim

func decide(percent int) bool {
	x := 0.5       // want `floating point is not deterministic; use a ratio of integers`
	_ = float64(3) // want `floating point`
	var y float32  // want `floating point`
	_, _ = x, y
	const million = 1e6 // want `floating point`
	_ = int64(percent) / 1e6
	_ = int64(1e15)
	//det:ok only printed in a summary
	rate := float64(percent) / 100
	return rate > 0 && percent > 3
}

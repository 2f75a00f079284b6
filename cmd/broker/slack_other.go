// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package main

// letTimersSlack does nothing: only Linux has such a setting.
func letTimersSlack() {}

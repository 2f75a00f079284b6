// SPDX-License-Identifier: Apache-2.0

// Package wal is one broker's write-ahead log.
package wal

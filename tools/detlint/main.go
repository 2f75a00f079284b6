// SPDX-License-Identifier: Apache-2.0

// Command detlint is a vet tool that keeps the deterministic packages (kafka, wal, node, checker,
// sim) deterministic: what they do must follow from their input alone, or the simulator can't
// replay it. Run it with
//
//	go vet -vettool=PATH/detlint ./kafka ./wal ./node ./checker ./sim
//
// Test files are not looked at. A finding is allowed by a comment on the line above it that says
// why: //det:ok order does not matter because the sum is the same.
package main

import "golang.org/x/tools/go/analysis/unitchecker"

func main() { unitchecker.Main(analyzer) }

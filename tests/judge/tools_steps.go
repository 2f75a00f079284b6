// SPDX-License-Identifier: Apache-2.0

package main

// toolFiles are what tools read from files; an argument @name stands for the path of one.
var toolFiles = map[string]string{}

// steps are run in order. A tool with & before it goes on while the next ones run, until the step "wait".
var steps = []step{}

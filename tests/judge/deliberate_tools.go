// SPDX-License-Identifier: Apache-2.0

package main

// deliberateTools are the differences that are meant in what Kafka's command-line tools print.
var deliberateTools = map[string]difference{}

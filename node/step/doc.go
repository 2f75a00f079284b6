// SPDX-License-Identifier: Apache-2.0

// Package step is what every room of a broker knows of the step that it is in: time, the ids of brokers and connections,
// deadlines, and the assert that stops a broker which is wrong. It is the floor that the other packages below node stand on.
package step

// SPDX-License-Identifier: Apache-2.0

// Package kafka is the wire: frames, request and response headers, bodies at every version that
// kmsg knows, record batches and error codes. It turns bytes into checked values and back, and
// holds no state and does no I/O.
//
// Whatever comes from outside is treated as hostile: nothing here panics on any input, and no count
// in a request makes it allocate more than a small multiple of the bytes that were received.
package kafka

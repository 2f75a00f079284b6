// SPDX-License-Identifier: Apache-2.0

package host

// stint is how many bytes are read from a disk or a socket, or written to one, in one system call. A copy of a
// megabyte in the kernel keeps a CPU for a millisecond, and the group commit that everybody waits for would
// wait for it; so after each stint the thread gives way (giveWay) to whoever is ready to run.
const stint = 128 << 10

// SPDX-License-Identifier: Apache-2.0

package host

// stint is the largest chunk that one system call reads from a disk or a socket, or writes to one. To copy a
// megabyte in the kernel occupies a CPU for a millisecond, and the group commit that everybody waits for would
// have to wait for it. So after each stint the thread yields (giveWay) to other threads that are ready.
const stint = 128 << 10

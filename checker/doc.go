// SPDX-License-Identifier: Apache-2.0

// Package checker judges a cluster from two sides: what its clients saw (a History, checked when
// all is over) and what its replicas did (a Cluster, fed after every step). It knows nothing of
// brokers, disks or simulators, so it judges simulated runs and real processes alike.
//
// A check returns nil or a *Violation, the first one that it meets. All checks are deterministic:
// the same observations give the same answer, text included.
package checker

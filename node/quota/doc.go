// SPDX-License-Identifier: Apache-2.0

// Package quota says how much a client may do in a second, and for how long one that did more has to wait, as Kafka's quotas
// do: the most specific quota that is set for a client's user and client id counts (KIP-124, KIP-546), and the wait is what
// brings the client's rate back to it. Quotas, times and quantities in, waits out: the package reaches nothing of a broker,
// and time is a number in it.
//
// Files: entity.go whom a quota is for; change.go which quotas can be set; set.go those that are, and which of them counts;
// filter.go which a client asks about; rate.go what was done lately, and the wait; meter.go which of the
// quotas counts for a client, and who has it together; allowance.go what a connection remembers of that.
package quota

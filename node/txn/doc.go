// SPDX-License-Identifier: Apache-2.0

// Package txn is what a coordinator of transactions knows, and how that changes: a pure state machine that knows nothing of a
// broker, of time or of the network.
//
// A coordinator is a raft group, and the entries of its log are commands. A command is judged when it is applied, by the
// state that it meets, and says what became of it. So nothing is decided before it is committed and nothing has to be taken
// back, and a command that comes late, from a leader that was deposed for one, is judged like any other.
//
// The life of a transaction:
//
//	        Add             End, Timeout, Init            Complete
//	Empty -------> Ongoing ----------------> Prepare... ----------> Complete...
//	  ^              ^                                                |   |
//	  |              +------------------------- Add ------------------+   |
//	  +---------------------------------------- Init ---------------------+
//
// Prepare means decided. The leader then sends a marker to every group of the transaction, and none of them is part of
// another transaction of this id before all have acknowledged it. That they have needs no entry of its own: the next command
// says so (Command.Number), and one of kind Complete does if none comes.
//
// There are two protocols. In the newer one (KIP-890 part 2, "v2") each end of a transaction raises the producer's epoch, so
// that whatever comes late is of an older epoch and refused. In the older one the epoch stays, and a late request is
// taken for one of the present transaction; nothing but its epoch tells them apart.
package txn

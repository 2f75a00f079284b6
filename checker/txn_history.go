// SPDX-License-Identifier: Apache-2.0

package checker

// Transactions is what transactional clients saw, and those who read only what is committed. Every attempt
// to begin or end a transaction that a client gave up is of unknown outcome, as everywhere.
type Transactions struct {
	Grants      []Grant         `json:"grants,omitempty"`
	Txns        []Txn           `json:"txns,omitempty"` // those of one client in the order in which it made them
	Reads       []CommittedRead `json:"reads,omitempty"`
	Ends        []StableEnd     `json:"ends,omitempty"`
	OffsetReads []TxnOffsetRead `json:"offset_reads,omitempty"`
	Logs        []TxnLog        `json:"logs,omitempty"` // when all is over, ascending by partition
}

// join adds what others saw, whose logs are of other partitions.
func (h *Transactions) join(o *Transactions) {
	h.Grants = append(h.Grants, o.Grants...)
	h.Txns = append(h.Txns, o.Txns...)
	h.Reads = append(h.Reads, o.Reads...)
	h.Ends = append(h.Ends, o.Ends...)
	h.OffsetReads = append(h.OffsetReads, o.OffsetReads...)
	h.Logs = append(h.Logs, o.Logs...)
}

// Grant is an answer that gave a client a producer id and epoch: of InitProducerId, or, where each transaction has an
// epoch of its own (KIP-890), of EndTxn.
type Grant struct {
	Span
	TxnID    string `json:"txn_id"`
	Producer int64  `json:"producer"`
	Epoch    int16  `json:"epoch"`
	// Fences says that it was asked for by a process that begins: whoever had the transactional id before is fenced.
	Fences bool `json:"fences,omitempty"`
}

// Txn is one transaction, from its first request on. Return is when its client knew how it ended, or gave it up.
type Txn struct {
	Span
	TxnID    string `json:"txn_id"`
	Producer int64  `json:"producer"`
	Epoch    int16  `json:"epoch"`
	// Asked is when its end was first asked for; 0: never. Commit says which end.
	Asked  int64 `json:"asked,omitempty"`
	Commit bool  `json:"commit,omitempty"`
	// Outcome is that of the call that asked for the end. Failed: it was refused, and for sure had no effect.
	Outcome Outcome     `json:"outcome"`
	Sends   []Send      `json:"sends,omitempty"`
	Offsets []TxnOffset `json:"offsets,omitempty"`
}

// Send is a record that was sent in a transaction.
type Send struct {
	Partition string   `json:"partition"`
	Value     RecordID `json:"value"`
	Call      int64    `json:"call"` // when it was first sent
	Outcome   Outcome  `json:"outcome"`
	Input     *Input   `json:"input,omitempty"` // of a chain
}

// Input is what a record was made from: a record that a consumer group had to process.
type Input struct {
	Group     string `json:"group"`
	Partition string `json:"partition"`
	Offset    int64  `json:"offset"`
}

// TxnOffset is an offset that was committed in a transaction.
type TxnOffset struct {
	Group     string `json:"group"`
	Partition string `json:"partition"`
	Offset    int64  `json:"offset"`
	ID        int64  `json:"id"` // unique, from 1; part of what is committed
}

// TxnOffsetRead is an answered OffsetFetch of one partition of a group whose offsets are committed in transactions.
type TxnOffsetRead struct {
	Span
	Group     string `json:"group"`
	Partition string `json:"partition"`
	Offset    int64  `json:"offset"` // -1: none is committed
	ID        int64  `json:"id"`     // of the TxnOffset; 0: none
	// Stable says that the answer promises that no transaction can change it any more which began before.
	Stable bool `json:"stable,omitempty"`
}

// CommittedRead is an answered fetch with isolation level read_committed, and what its client made of it: without
// markers, and without the records of transactions that the answer calls aborted.
type CommittedRead struct {
	Span
	Partition     string   `json:"partition"`
	Offset        int64    `json:"offset"` // asked for
	Next          int64    `json:"next"`   // where the client goes on; Offset if nothing came
	Records       []Record `json:"records,omitempty"`
	LeaderEpoch   int32    `json:"leader_epoch"` // that the request was fenced with; -1: none
	Stable        int64    `json:"stable"`       // the last stable offset
	HighWatermark int64    `json:"high_watermark"`
}

// StableEnd is an answered ListOffsets call for the latest offset with isolation level read_committed, which claims
// to be linearizable.
type StableEnd struct {
	Span
	Partition string `json:"partition"`
	Offset    int64  `json:"offset"`
}

// TxnLog is the log of a partition when all is over, markers included. Offsets are dense.
type TxnLog struct {
	Partition string      `json:"partition"`
	Start     int64       `json:"start"` // records below are gone rightly
	Records   []TxnRecord `json:"records"`
	// Keys is the key of each record, if only the newest of each key has to stay. The log has all that were ever there.
	Keys []int `json:"keys,omitempty"`
}

// TxnRecord is one record of a log.
type TxnRecord struct {
	Value         RecordID `json:"value"`
	Producer      int64    `json:"producer"` // -1: none
	Epoch         int16    `json:"epoch"`
	Transactional bool     `json:"transactional,omitempty"`
	Marker        bool     `json:"marker,omitempty"` // it ends the producer's transaction, and has no value
	Commit        bool     `json:"commit,omitempty"` // of a marker
}

// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Outcome is what a client knows of a call when it stops waiting for it.
type Outcome string

// The outcomes. Only a refusal that proves that the call had no effect counts as failed.
const (
	OK      Outcome = "ok"
	Failed  Outcome = "failed"
	Unknown Outcome = "unknown" // no answer, or one that doesn't say; it may still take effect
)

// RecordID is the content of a record, unique in a partition's history.
type RecordID uint64

// Span is when a call happened, in nanoseconds on one clock for all clients. A call that got no
// answer has the time when the client gave up as its Return.
type Span struct {
	Client int64 `json:"client"` // one session of one client; a restarted client is a new one
	Call   int64 `json:"call"`
	Return int64 `json:"return"`
}

// Produce is one batch that a client wanted appended, from its first attempt to the end of its last
// retry. What a client sends at one time may arrive in any order.
type Produce struct {
	Span
	Outcome    Outcome    `json:"outcome"`
	Values     []RecordID `json:"values"`
	BaseOffset int64      `json:"base_offset"` // if OK, else -1; -1 too when the broker didn't say
	Idempotent bool       `json:"idempotent"`
}

// Record is one record at its offset.
type Record struct {
	Offset      int64    `json:"offset"`
	Value       RecordID `json:"value"`
	LeaderEpoch int32    `json:"leader_epoch"`
	// Marker says that it is none of a client's, but ends a transaction: what follows from its content is its Value.
	Marker bool `json:"marker,omitempty"`
}

// Fetch is an answered read of records. Failed ones say nothing and are not recorded.
type Fetch struct {
	Span
	Offset        int64    `json:"offset"`       // asked for
	LeaderEpoch   int32    `json:"leader_epoch"` // that the request was fenced with; -1: none
	Records       []Record `json:"records"`      // as answered; may start below Offset, in the middle of a batch
	HighWatermark int64    `json:"high_watermark"`
	LogStart      int64    `json:"log_start"`
}

// End is an answered ListOffsets call for the latest offset, which claims to be linearizable.
type End struct {
	Span
	Offset int64 `json:"offset"`
}

// History is what the clients of one partition saw.
type History struct {
	Partition string
	Produces  []Produce
	Fetches   []Fetch
	Ends      []End
}

// Truth is the committed log of a partition when all is over: what the simulator knows, or what a
// fresh client reads from the start to the end.
type Truth struct {
	Start   int64    `json:"start"` // log start offset; records below it are gone rightly
	Records []Record `json:"records"`
}

// End returns the offset after the last record.
func (t *Truth) End() int64 {
	if len(t.Records) == 0 {
		return t.Start
	}
	return t.Records[len(t.Records)-1].Offset + 1
}

// CatalogOp is what a CatalogCall wants done.
type CatalogOp string

// The operations on the catalog.
const (
	CreateTopic CatalogOp = "create"
	DeleteTopic CatalogOp = "delete"
)

// CatalogCall is one attempt to create or delete a topic. A retry is a call of its own.
type CatalogCall struct {
	Span
	Op    CatalogOp `json:"op"`
	Topic string    `json:"topic"`
	// Outcome OK means that the broker decided: it did it, or, if Refused, found that the topic
	// exists already (create) or doesn't exist (delete). Failed calls say nothing.
	Outcome Outcome `json:"outcome"`
	Refused bool    `json:"refused"`
	// Until is when a call of unknown outcome has taken effect if it ever does; 0: any time.
	Until int64 `json:"until,omitempty"`
}

// Histories is everything that the clients of a cluster saw.
type Histories struct {
	Partitions []History // ascending by name
	Catalog    []CatalogCall
	Groups     []ConsumerGroup // ascending by name
	Txns       Transactions
	Truths     map[string]*Truth // by partition; a partition without one is judged by observations only
}

// Partition returns the history with that name and makes it if there is none.
func (h *Histories) Partition(name string) *History {
	at, ok := slices.BinarySearchFunc(h.Partitions, name, func(p History, name string) int { return strings.Compare(p.Partition, name) })
	if !ok {
		h.Partitions = slices.Insert(h.Partitions, at, History{Partition: name})
	}
	return &h.Partitions[at]
}

// line is one line of the text form: a partition and one call, a catalog call, a consumer group, or transactions.
type line struct {
	Partition string       `json:"partition,omitempty"`
	Produce   *Produce     `json:"produce,omitempty"`
	Fetch     *Fetch       `json:"fetch,omitempty"`
	End       *End         `json:"end,omitempty"`
	Truth     *Truth       `json:"truth,omitempty"`
	Catalog   *CatalogCall `json:"catalog,omitempty"`

	Group *ConsumerGroup `json:"consumers,omitempty"`
	Txns  *Transactions  `json:"transactions,omitempty"`
}

// Write writes the histories as text, one JSON object on each line.
func (h *Histories) Write(w io.Writer) error {
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	var failed error
	put := func(l line) {
		if err := enc.Encode(l); err != nil && failed == nil {
			failed = err
		}
	}
	for i := range h.Partitions {
		p := &h.Partitions[i]
		for j := range p.Produces {
			put(line{Partition: p.Partition, Produce: &p.Produces[j]})
		}
		for j := range p.Fetches {
			put(line{Partition: p.Partition, Fetch: &p.Fetches[j]})
		}
		for j := range p.Ends {
			put(line{Partition: p.Partition, End: &p.Ends[j]})
		}
		if t := h.Truths[p.Partition]; t != nil {
			put(line{Partition: p.Partition, Truth: t})
		}
	}
	for i := range h.Catalog {
		put(line{Catalog: &h.Catalog[i]})
	}
	for i := range h.Groups {
		put(line{Group: &h.Groups[i]})
	}
	if len(h.Txns.Txns) > 0 {
		put(line{Txns: &h.Txns})
	}
	return errors.Join(failed, out.Flush())
}

// Read reads what Write wrote, or what real clients wrote in the same form. The lines may be in any
// order, so the files of several clients can be put one after the other.
func Read(r io.Reader) (*Histories, error) {
	h := &Histories{Truths: map[string]*Truth{}}
	dec := json.NewDecoder(bufio.NewReader(r))
	for n := 1; ; n++ {
		var l line
		if err := dec.Decode(&l); errors.Is(err, io.EOF) {
			return h, nil
		} else if err != nil {
			return nil, fmt.Errorf("history, object %d: %w", n, err)
		}
		if err := h.add(l); err != nil {
			return nil, fmt.Errorf("history, object %d: %w", n, err)
		}
	}
}

// add puts the one call of a line in its place.
func (h *Histories) add(l line) error {
	if l.Catalog != nil {
		h.Catalog = append(h.Catalog, *l.Catalog)
		return nil
	}
	if l.Group != nil {
		*h.ConsumerGroup(l.Group.Group) = *l.Group
		return nil
	}
	if l.Txns != nil {
		h.Txns.join(l.Txns)
		return nil
	}
	if l.Partition == "" {
		return errors.New("neither a partition, a catalog call, a consumer group nor transactions")
	}
	p := h.Partition(l.Partition)
	switch {
	case l.Produce != nil:
		p.Produces = append(p.Produces, *l.Produce)
	case l.Fetch != nil:
		p.Fetches = append(p.Fetches, *l.Fetch)
	case l.End != nil:
		p.Ends = append(p.Ends, *l.End)
	case l.Truth != nil:
		h.Truths[l.Partition] = l.Truth
	default:
		return errors.New("no call; expected produce, fetch, end, truth or catalog")
	}
	return nil
}

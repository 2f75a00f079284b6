// SPDX-License-Identifier: Apache-2.0

package console

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	maxRecords = 500
	// maxShown is how much of a key, a value or a header is shown of records in a list, and maxWhole of one alone.
	maxShown = 4 << 10
	maxWhole = 1 << 20
	// readTime is how long a page of records may take.
	readTime = 6 * time.Second
)

// datum is a key, a value or a header's value.
type datum struct {
	Size int    `json:"size"`
	Data []byte `json:"data"` // perhaps only the beginning; in base64
	Null bool   `json:"null"`
}

type header struct {
	Name  string `json:"name"`
	Value datum  `json:"value"`
}

type record struct {
	Partition int32    `json:"partition"`
	Offset    int64    `json:"offset"`
	Time      int64    `json:"time"` // ms
	Key       datum    `json:"key"`
	Value     datum    `json:"value"`
	Headers   []header `json:"headers"`
	Codec     string   `json:"codec"`
	Control   bool     `json:"control"` // the end of a transaction
	Producer  int64    `json:"producer"`
	Txn       bool     `json:"txn"`
}

// query is which records somebody wants to see.
type query struct {
	topic     string
	partition int32 // -1: all
	from      string
	value     int64
	limit     int
	whole     bool
}

func parseQuery(r *http.Request) (q query, err error) {
	number := func(name string, otherwise int64) int64 {
		text := r.FormValue(name)
		if text == "" {
			return otherwise
		}
		n, wrong := strconv.ParseInt(text, 10, 64)
		if wrong != nil && err == nil {
			err = wrongAsk("%s is %q; write a number", name, text)
		}
		return n
	}
	q = query{topic: r.FormValue("topic"), from: cmp.Or(r.FormValue("from"), "newest"), partition: int32(number("partition", -1)), value: number("value", 0)}
	q.limit, q.whole = min(max(int(number("limit", 50)), 1), maxRecords), r.FormValue("whole") != ""
	if !slices.Contains([]string{"newest", "oldest", "offset", "time"}, q.from) {
		return q, wrongAsk("from where? Say newest, oldest, offset or time")
	}
	return q, err
}

// records answers with records, those of one partition by offset, or those of all by time.
func records(ctx context.Context, s *session, r *http.Request) (any, error) {
	q, err := parseQuery(r)
	if err != nil {
		return nil, err
	}
	t, _, err := s.topic(ctx, q.topic)
	if err != nil {
		return nil, err
	}
	if q.partition >= 0 {
		t.Partitions = slices.DeleteFunc(t.Partitions, func(p kmsg.MetadataResponseTopicPartition) bool { return p.Partition != q.partition })
		if len(t.Partitions) == 0 {
			return nil, &Refusal{http.StatusNotFound, "there is no such partition"}
		}
	}
	only := []kmsg.MetadataResponseTopic{*t}
	starts, err := s.offsets(ctx, only, earliest)
	ends, endsErr := s.offsets(ctx, only, latest)
	if len(ends) == 0 && cmp.Or(err, endsErr) != nil {
		return nil, cmp.Or(err, endsErr)
	}
	from, err := s.begin(ctx, only, &q, starts, ends)
	if err != nil {
		return nil, err
	}
	list, complete, readErr := s.read(ctx, &q, from, ends)
	dir := 1
	if q.from == "newest" {
		dir = -1
	}
	slices.SortFunc(list, func(a, b record) int {
		return dir * cmp.Or(cmp.Compare(a.Time, b.Time)*btoi(len(from) > 1), cmp.Compare(a.Partition, b.Partition)*btoi(len(from) > 1), cmp.Compare(a.Offset, b.Offset))
	})
	list = list[:min(len(list), q.limit)]
	return map[string]any{"records": list, "complete": complete, "missing": len(t.Partitions) - len(ends), "error": textOf(readErr)}, nil
}

// begin says where to read each partition from, if there is anything to read.
func (s *session) begin(ctx context.Context, topic []kmsg.MetadataResponseTopic, q *query, starts, ends map[spot]int64) (map[int32]int64, error) {
	byTime := map[spot]int64(nil)
	if q.from == "time" {
		var err error
		if byTime, err = s.offsets(ctx, topic, max(q.value, 0)); err != nil && len(byTime) == 0 {
			return nil, err
		}
	}
	from := make(map[int32]int64)
	for at, end := range ends {
		start, known := starts[at]
		offset := start
		switch q.from {
		case "newest":
			offset = end - int64(q.limit)
		case "offset":
			offset = q.value
		case "time":
			if offset, known = byTime[at]; !known {
				continue // nothing is that young
			}
		}
		if offset = max(offset, start); known && offset < end {
			from[at.partition] = offset
		}
	}
	return from, nil
}

// read reads until the limit of each partition, the end or the time is reached.
func (s *session) read(ctx context.Context, q *query, from map[int32]int64, ends map[spot]int64) (list []record, complete bool, err error) {
	list = []record{}
	if len(from) == 0 {
		return list, true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	offsets, taken := make(map[int32]kgo.Offset), make(map[int32]int)
	for p, offset := range from {
		offsets[p] = kgo.NewOffset().At(offset)
	}
	consumer, err := kgo.NewClient(append(s.client.options,
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{q.topic: offsets}), kgo.KeepControlRecords(), kgo.MaxConcurrentFetches(1),
		kgo.FetchMaxWait(500*time.Millisecond), kgo.FetchMaxBytes(4<<20), kgo.FetchMaxPartitionBytes(1<<20), kgo.DisableFetchSessions(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		return list, false, err
	}
	defer consumer.Close()
	size, over := 0, make(map[int32]bool)
	for len(over) < len(from) && size < 8<<20 {
		fetches := poll(ctx, consumer)
		if fetches.NumRecords() == 0 && len(fetches.Errors()) == 0 {
			return list, ctx.Err() == nil, nil // what is left has no records in it, or doesn't come in time
		}
		for _, wrong := range fetches.Errors() {
			if code := (*kerr.Error)(nil); errors.As(wrong.Err, &code) && !code.Retriable {
				return list, false, wrong.Err
			}
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if over[r.Partition] {
				return
			}
			shown := show(r, q.whole)
			list, size = append(list, shown), size+len(shown.Key.Data)+len(shown.Value.Data)
			taken[r.Partition]++
			over[r.Partition] = taken[r.Partition] >= q.limit || r.Offset+1 >= ends[spot{q.topic, r.Partition}]
		})
	}
	return list, len(over) == len(from), nil
}

// emptyTime is how long nothing may come until there is nothing left: what has ended in offsets without records, as after a
// compaction, has no last record.
const emptyTime = 1500 * time.Millisecond

// poll returns the next records; none if there are none.
func poll(ctx context.Context, consumer *kgo.Client) kgo.Fetches {
	ctx, cancel := context.WithTimeout(ctx, emptyTime)
	defer cancel()
	fetches := consumer.PollRecords(ctx, 1000)
	if fetches.IsClientClosed() || ctx.Err() != nil && fetches.NumRecords() == 0 {
		return nil
	}
	return fetches
}

func show(r *kgo.Record, whole bool) record {
	limit := maxShown
	if whole {
		limit = maxWhole
	}
	part := func(b []byte) datum { return datum{len(b), b[:min(len(b), limit)], b == nil} }
	codecs := [...]string{"none", "gzip", "snappy", "lz4", "zstd"}
	out := record{
		Partition: r.Partition, Offset: r.Offset, Time: r.Timestamp.UnixMilli(), Key: part(r.Key), Value: part(r.Value), Headers: []header{},
		Codec: codecs[min(int(r.Attrs.CompressionType()), len(codecs)-1)], Control: r.Attrs.IsControl(), Txn: r.Attrs.IsTransactional(), Producer: r.ProducerID,
	}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, header{h.Key, part(h.Value)})
	}
	return out
}

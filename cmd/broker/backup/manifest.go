// SPDX-License-Identifier: Apache-2.0

// Package backup copies what a cluster holds to a folder or an S3 bucket while it runs, and brings it back into an empty
// cluster, with offsets. It is a Kafka client like any other.
package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// format is of what is stored. A program that doesn't know a format refuses it.
const format = 1

// Manifest is one backup: what was copied, and where it is. Chunks may be of earlier backups.
type Manifest struct {
	Format  int       `json:"format"`
	Name    string    `json:"name"`
	Cluster string    `json:"cluster"`
	Began   time.Time `json:"began"`
	Ended   time.Time `json:"ended"`
	Topics  []Topic   `json:"topics"`
	Groups  []Group   `json:"groups"`
	Rules   []Rule    `json:"rules"`
	Quotas  []Quota   `json:"quotas"`
	Users   []string  `json:"users"` // whose passwords nobody is told, so they have to be made again
}

// Topic is one that was copied.
type Topic struct {
	Name       string            `json:"name"`
	ID         string            `json:"id"`
	Replicas   int               `json:"replicas"`
	Settings   map[string]string `json:"settings"` // those that are not defaults
	Partitions []Partition       `json:"partitions"`
}

// Partition is one that was copied: everything that was committed from Start up to End.
type Partition struct {
	Partition int32     `json:"partition"`
	Start     int64     `json:"start"`
	End       int64     `json:"end"`
	Copied    time.Time `json:"copied"` // when the oldest of its chunks was
	Chunks    []Chunk   `json:"chunks"`
}

// Chunk is record batches, one after the other, as the broker gave them to a consumer.
type Chunk struct {
	Object  string    `json:"object"`
	First   int64     `json:"first"` // offsets: of its first batch
	Next    int64     `json:"next"`  // and after its last one
	Bytes   int64     `json:"bytes"`
	SHA256  string    `json:"sha256"`
	Aborted []Aborted `json:"aborted,omitempty"`
}

// Aborted is a transaction that was aborted, with batches in a chunk.
type Aborted struct {
	Producer int64 `json:"producer"`
	First    int64 `json:"first"`
}

// Group is the committed offsets of a consumer group.
type Group struct {
	Name    string   `json:"name"`
	Offsets []Offset `json:"offsets"`
}

// Offset is one of them.
type Offset struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Metadata  string `json:"metadata,omitempty"`
}

// Rule is an ACL, in the numbers of the protocol.
type Rule struct {
	Resource   int8   `json:"resource"`
	Pattern    int8   `json:"pattern"`
	Name       string `json:"name"`
	Principal  string `json:"principal"`
	Host       string `json:"host"`
	Operation  int8   `json:"operation"`
	Permission int8   `json:"permission"`
}

// Quota is the quotas of somebody; a name that is null is the default.
type Quota struct {
	Of     map[string]*string `json:"of"`
	Values map[string]float64 `json:"values"`
}

// sealed is a manifest with the checksum of its bytes.
type sealed struct {
	SHA256 string          `json:"sha256"`
	Backup json.RawMessage `json:"backup"`
}

const manifests = "backups/"

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func (m *Manifest) save(ctx context.Context, s Store) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	all, err := json.Marshal(sealed{sum(text), text})
	if err != nil {
		return err
	}
	return s.Put(ctx, manifests+m.Name+".json", all)
}

// load reads a backup, the newest if it has no name.
func load(ctx context.Context, s Store, name string) (*Manifest, error) {
	if name == "" {
		names, err := Names(ctx, s)
		if err != nil {
			return nil, err
		}
		if len(names) == 0 {
			return nil, fmt.Errorf("%w in %v", errNone, s)
		}
		name = names[len(names)-1]
	}
	text, err := s.Get(ctx, manifests+name+".json")
	if err != nil {
		return nil, fmt.Errorf("backup %s: %w", name, err)
	}
	var in sealed
	if err := json.Unmarshal(text, &in); err != nil {
		return nil, fmt.Errorf("backup %s is damaged: %w", name, err)
	}
	if got := sum(in.Backup); got != in.SHA256 {
		return nil, fmt.Errorf("backup %s is damaged: it has checksum %s, and says %s", name, got, in.SHA256)
	}
	m := new(Manifest)
	if err := json.Unmarshal(in.Backup, m); err != nil {
		return nil, fmt.Errorf("backup %s: %w", name, err)
	}
	if m.Format != format {
		return nil, fmt.Errorf("backup %s is of format %d, and this release knows %d", name, m.Format, format)
	}
	return m, nil
}

var errNone = errors.New("no backup is")

// Names lists the backups that are there, the oldest first.
func Names(ctx context.Context, s Store) (names []string, err error) {
	all, err := s.List(ctx, manifests)
	if err != nil {
		return nil, err
	}
	for _, n := range all {
		if n, ok := strings.CutSuffix(strings.TrimPrefix(n, manifests), ".json"); ok {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names, nil
}

func (m *Manifest) topic(name string) *Topic {
	i := slices.IndexFunc(m.Topics, func(t Topic) bool { return t.Name == name })
	if i < 0 {
		return nil
	}
	return &m.Topics[i]
}

// size is the bytes of all chunks.
func (m *Manifest) size() (n int64) {
	for _, t := range m.Topics {
		for _, p := range t.Partitions {
			for _, c := range p.Chunks {
				n += c.Bytes
			}
		}
	}
	return n
}

// chunk reads a chunk, and holds it against what the manifest says.
func (c *Chunk) read(ctx context.Context, s Store) ([]byte, error) {
	raw, err := s.Get(ctx, c.Object)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Object, err)
	}
	if int64(len(raw)) != c.Bytes || sum(raw) != c.SHA256 {
		return nil, fmt.Errorf("%s is damaged: it has %d bytes with checksum %s, and the backup names %d with %s", c.Object, len(raw), sum(raw), c.Bytes, c.SHA256)
	}
	return raw, nil
}

// Summary is what a backup holds, in words.
func (m *Manifest) Summary() string {
	partitions, chunks, offsets := 0, 0, int64(0)
	for _, t := range m.Topics {
		partitions += len(t.Partitions)
		for _, p := range t.Partitions {
			chunks += len(p.Chunks)
			offsets += p.End - p.Start
		}
	}
	return fmt.Sprintf("%d topics, %d partitions, %d offsets, %s in %d objects, %d groups, %d rules, %d quotas",
		len(m.Topics), partitions, offsets, mib(m.size()), chunks, len(m.Groups), len(m.Rules), len(m.Quotas))
}

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

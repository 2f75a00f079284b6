// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Pruning is what is to be kept, and what would be removed.
type Pruning struct {
	Keep    int           // newest backups
	Within  time.Duration // and all that are younger than this
	Remove  bool          // or only say what would be
	Backups []string      // that go, the oldest first
	Objects []string      // that no other backup needs
	Bytes   int64         // of those, as far as the backups that go name them
}

// settleTime is how old an object must be that no backup names. A backup that runs has objects which its manifest will name.
const settleTime = 24 * time.Hour

const objects = "data/"

// Prune finds the backups that nobody wants to keep, and the objects that only they name. It removes them if p says so: the backups
// first, so that none is there whose objects are gone. The newest always stays. If a backup that stays can't be read, nothing is
// removed, since nobody knows what it needs.
func Prune(ctx context.Context, s Store, now time.Time, p *Pruning) error {
	if p.Keep < 1 {
		return errors.New("keep at least one backup")
	}
	names, err := Names(ctx, s)
	if err != nil {
		return err
	}
	needed, sizes := make(map[string]bool), make(map[string]int64)
	for i, name := range names {
		m, err := load(ctx, s, name)
		goes := i < len(names)-p.Keep && (err != nil || now.Sub(m.Began) > p.Within)
		if goes {
			p.Backups = append(p.Backups, name)
		}
		if err != nil && !goes {
			return fmt.Errorf("%w; nothing is removed, because nobody knows what it needs", err)
		} else if err == nil {
			m.each(func(c Chunk) {
				sizes[c.Object] = c.Bytes
				needed[c.Object] = needed[c.Object] || !goes
			})
		}
	}
	if err := p.orphans(ctx, s, now, needed, sizes); err != nil || !p.Remove {
		return err
	}
	for _, name := range p.Backups {
		if err := s.Delete(ctx, manifests+name+".json"); err != nil {
			return err
		}
	}
	for _, o := range p.Objects {
		if err := s.Delete(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// orphans finds what no backup needs that stays: objects of those that go, and old ones of backups that never ended.
func (p *Pruning) orphans(ctx context.Context, s Store, now time.Time, needed map[string]bool, sizes map[string]int64) error {
	all, err := s.ListAll(ctx, objects)
	if err != nil {
		return err
	}
	for _, o := range all {
		if needed[o] {
			continue
		}
		if _, known := sizes[o]; !known && now.Sub(madeBy(o)) < settleTime {
			continue
		}
		p.Objects, p.Bytes = append(p.Objects, o), p.Bytes+sizes[o]
	}
	return nil
}

// madeBy is when the backup began that made an object, by its name; far in the future if the name says nothing, so that it stays.
func madeBy(object string) time.Time {
	last := object[strings.LastIndex(object, "/")+1:]
	if parts := strings.SplitN(last, "-", 3); len(parts) == 3 {
		if t, err := time.Parse(nameFormat, parts[2]); err == nil {
			return t
		}
	}
	return time.Unix(1<<40, 0)
}

// each calls f for all chunks.
func (m *Manifest) each(f func(Chunk)) {
	for _, t := range m.Topics {
		for _, p := range t.Partitions {
			for _, c := range p.Chunks {
				f(c)
			}
		}
	}
}

// Summary is what goes, in words.
func (p *Pruning) Summary() string {
	return fmt.Sprintf("%d backups and %d objects, %s", len(p.Backups), len(p.Objects), mib(p.Bytes))
}

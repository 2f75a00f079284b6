// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var day = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// chunkOf puts an object of a backup that was made on a day.
func chunkOf(t *testing.T, s Store, offset string, on int) Chunk {
	t.Helper()
	name, data := day.AddDate(0, 0, on).Format(nameFormat), []byte("records at "+offset)
	c := Chunk{Object: "data/topic/0/" + offset + "-9-" + name, Bytes: int64(len(data)), SHA256: sum(data)}
	if err := s.Put(t.Context(), c.Object, data); err != nil {
		t.Fatal(err)
	}
	return c
}

// fiveDays is a place with a backup of each of five days. The third copied the topic as a whole; the others took over what the one
// before had. A backup of the first day, and one of the last, never ended.
func fiveDays(t *testing.T) Store {
	t.Helper()
	s := folder(t.TempDir())
	var chunks []Chunk
	for on, offset := range []string{"0", "3", "0", "5", "7"} {
		if on == 2 {
			chunks = nil
		}
		chunks = append(chunks, chunkOf(t, s, offset, on))
		m := &Manifest{Format: format, Began: day.AddDate(0, 0, on), Topics: []Topic{{Name: "t", Partitions: []Partition{{Chunks: chunks}}}}}
		m.Name = m.Began.Format(nameFormat)
		if err := m.save(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	chunkOf(t, s, "1", 0)
	chunkOf(t, s, "8", 4)
	return s
}

func remains(t *testing.T, s Store) (backups, objects int) {
	t.Helper()
	names, err := Names(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	all, err := s.ListAll(t.Context(), "data/")
	if err != nil {
		t.Fatal(err)
	}
	return len(names), len(all)
}

func TestPrune(t *testing.T) {
	now := day.AddDate(0, 0, 4).Add(time.Hour)
	for _, c := range []struct {
		what             string
		p                Pruning
		removed          []string // days
		objects          int      // that are removed
		backups, andLeft int
	}{
		{"only shown", Pruning{Keep: 1}, []string{"0101", "0102", "0103", "0104"}, 3, 5, 7},
		{"only the newest stays", Pruning{Keep: 1, Remove: true}, []string{"0101", "0102", "0103", "0104"}, 3, 1, 4},
		{"four stay, and what they need", Pruning{Keep: 4, Remove: true}, []string{"0101"}, 1, 4, 6},
		{"all are young", Pruning{Keep: 1, Within: 1000 * time.Hour, Remove: true}, nil, 1, 5, 6},
		{"those of two days", Pruning{Keep: 1, Within: 50 * time.Hour, Remove: true}, []string{"0101", "0102"}, 3, 3, 4},
	} {
		s := fiveDays(t)
		if err := Prune(t.Context(), s, now, &c.p); err != nil {
			t.Fatal(err)
		}
		var removed []string
		for _, name := range c.p.Backups {
			removed = append(removed, name[4:8])
		}
		if diff := cmp.Diff(c.removed, removed); diff != "" || len(c.p.Objects) != c.objects {
			t.Errorf("%s: %s, objects %v", c.what, diff, c.p.Objects)
		}
		if b, o := remains(t, s); b != c.backups || o != c.andLeft {
			t.Errorf("%s: %d backups and %d objects are left, want %d and %d", c.what, b, o, c.backups, c.andLeft)
		}
		names, _ := Names(t.Context(), s)
		for _, name := range names {
			if _, err := Verify(t.Context(), s, Options{Name: name, Say: func(string, ...any) {}}); err != nil {
				t.Errorf("%s: backup %s: %v", c.what, name, err)
			}
		}
	}
}

// What a backup needs that can't be read is known to nobody.
func TestPruneKeepsAllBesideADamagedBackup(t *testing.T) {
	s := fiveDays(t)
	names, err := Names(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(string(s.(folder)), "backups", names[3]+".json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	err = Prune(t.Context(), s, day.AddDate(0, 0, 9), &Pruning{Keep: 2, Remove: true})
	if err == nil || !strings.Contains(err.Error(), "nothing is removed") {
		t.Errorf("%v", err)
	}
	if b, o := remains(t, s); b != 5 || o != 7 {
		t.Errorf("%d backups and %d objects are left", b, o)
	}
}

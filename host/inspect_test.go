// SPDX-License-Identifier: Apache-2.0

package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chronik/node"
	"chronik/wal"
)

// A folder is read as it is: a whole log, one of another broker, and none; and not while a process uses it.
func TestInspect(t *testing.T) {
	dir := writtenFolder(t)
	before := content(t, dir)
	i, err := Inspect(dir)
	if err != nil {
		t.Fatal(err)
	}
	v, err := i.Verify(nil)
	if err != nil || v.Groups != 1 || v.Entries != 2 || i.ClusterID != "c" {
		t.Errorf("%+v %v", v, err)
	}
	var said []string
	if _, _, err := i.Dump("0001.wal", func(_ wal.Place, rec *wal.Record) error {
		said = append(said, node.DescribeRecord(rec))
		return nil
	}); err != nil || !strings.Contains(strings.Join(said, "\n"), "entry g7 i2 t1: 5 bytes") {
		t.Errorf("%q %v", said, err)
	}
	if _, _, err := i.Dump("../meta.json", nil); err == nil || !strings.Contains(err.Error(), "there is no") {
		t.Error(err)
	}
	i.Close()
	if content(t, dir) != before {
		t.Error("the folder has changed")
	}
	lock, err := lockFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Inspect(dir); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Error(err)
	}
	lock.Close()
	if err := Format(filepath.Join(dir, "other"), Meta{ClusterID: "c", BrokerID: 2}); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "other")
	if err := os.Rename(filepath.Join(dir, logName, "0001.wal"), filepath.Join(other, logName, "0001.wal")); err != nil {
		t.Fatal(err)
	}
	foreign, err := Inspect(other)
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	if _, err := foreign.Verify(nil); err == nil || !strings.Contains(err.Error(), "was written by broker 1") {
		t.Error(err)
	}
	os.RemoveAll(filepath.Join(dir, logName))
	if _, err := Inspect(dir); err == nil || !strings.Contains(err.Error(), "its log is not in") {
		t.Error(err)
	}
	if _, err := Inspect(t.TempDir()); err == nil || !strings.Contains(err.Error(), "is no data folder") {
		t.Error(err)
	}
}

// writtenFolder returns a data folder with two entries in its log.
func writtenFolder(t *testing.T) string {
	dir := t.TempDir()
	if err := Format(dir, Meta{ClusterID: "c", BrokerID: 1}); err != nil {
		t.Fatal(err)
	}
	m, err := readMeta(dir)
	if err != nil {
		t.Fatal(err)
	}
	fs, err := openDir(filepath.Join(dir, logName))
	if err != nil {
		t.Fatal(err)
	}
	defer fs.close()
	l, _, err := wal.Open(fs, wal.Options{SegmentBytes: 1 << 16, Owner: node.LogOwner("c", 1, m.Folder)})
	if err != nil {
		t.Fatal(err)
	}
	l.Append(7, []wal.Entry{{Index: 1, Term: 1, Data: []byte("first")}, {Index: 2, Term: 1, Data: []byte("other")}})
	l.RequestSync()
	for op, ok := l.Next(); ok; op, ok = l.Next() {
		if err := l.Done(wal.Do(fs, op)); err != nil {
			t.Fatal(err)
		}
	}
	if err := (&folder{dir: dir}).begun(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// content returns names, sizes and bytes of all files.
func content(t *testing.T, dir string) string {
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			var text []byte
			text, err = os.ReadFile(path)
			all.WriteString(path + "\n" + string(text))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

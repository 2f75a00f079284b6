// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chronik/node"
	"chronik/wal"
)

func openTestDir(t *testing.T) *dirFS {
	t.Helper()
	d, err := openDir(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.close)
	return d
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The contract of wal.FS, sentence by sentence, as far as a test can see it.
func TestDirFSKeepsTheContract(t *testing.T) {
	d := openTestDir(t)
	if _, err := d.Open("b"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open of a missing name: %v", err)
	}
	b, err := d.Create("b")
	must(t, err)
	if _, err := d.Create("b"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create of a known name: %v", err)
	}
	_, err = b.WriteAt([]byte("hello"), 3)
	must(t, err)
	must(t, b.Sync())
	if n, err := b.Size(); n != 8 || err != nil {
		t.Errorf("Size is %d, %v; want 8", n, err)
	}
	buf := make([]byte, 10)
	n, err := b.ReadAt(buf, 0)
	if n != 8 || err != io.EOF || !bytes.Equal(buf[:n], []byte("\x00\x00\x00hello")) {
		t.Errorf("ReadAt: %d, %v, %q", n, err, buf[:n])
	}
	must(t, b.Close())
	_, err = d.Create("a")
	must(t, err)
	names, err := d.List()
	if diff := cmp.Diff([]string{"a", "b"}, names); diff != "" || err != nil {
		t.Errorf("List: %v (-want +got):\n%s", err, diff)
	}
	must(t, d.SyncDir())
	must(t, d.Remove("b"))
	if err := d.Remove("b"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Remove twice: %v", err)
	}
	b, err = d.Create("b")
	must(t, err)
	if n, err := b.Size(); n != 0 || err != nil {
		t.Errorf("a new file has size %d, %v", n, err)
	}
	for _, name := range []string{"", ".", "..", ".x", "a/b", "../a", "a\x00"} {
		if _, err := d.Create(name); err == nil {
			t.Errorf("Create(%q) must fail", name)
		}
	}
}

func TestDirFSBoundsOpenFilesAndKeepsThoseInUse(t *testing.T) {
	d := openTestDir(t)
	used, err := d.Create("used")
	must(t, err)
	for i := range keepHandles + 50 {
		f, err := d.Create(strconv.Itoa(i))
		must(t, err)
		must(t, f.Close())
	}
	if len(d.files) != keepHandles+1 || d.unused.Len() != keepHandles {
		t.Errorf("%d files are open, %d unused; want %d unused and the one in use", len(d.files), d.unused.Len(), keepHandles)
	}
	must(t, d.Remove("used"))
	_, err = used.WriteAt([]byte("x"), 0) // a removed file lives until its last user closes it
	must(t, err)
	must(t, used.Close())
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 2000 {
				name := strconv.Itoa((i*7 + w*50) % (keepHandles + 50))
				res := wal.Do(d, wal.Op{Kind: wal.OpWrite, File: name, Off: int64(w), Data: []byte{'x'}})
				if res.Err != nil {
					t.Errorf("%s: %v", name, res.Err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestDiskCarriesOutOps(t *testing.T) {
	mail := newMailbox()
	d := newDisk(openTestDir(t), mail)
	d.start()
	defer d.close()
	results := make(map[uint64]wal.Result)
	run := func(ops ...wal.Op) {
		d.do(ops)
		for range ops {
			for _, r := range mail.take(newClock(), node.Never).Results {
				results[r.Op.ID] = r
			}
			if len(results)%len(ops) == 0 {
				break
			}
		}
	}
	run(wal.Op{ID: 1, Kind: wal.OpPrepare, File: "s", N: 300_000})
	run(wal.Op{ID: 2, Kind: wal.OpWrite, File: "s", Off: 1000, Data: []byte("abc")})
	run(wal.Op{ID: 3, Kind: wal.OpRead, File: "s", Off: 999, N: 5})
	run(wal.Op{ID: 4, Kind: wal.OpRead, File: "nothing", N: 5})
	run(wal.Op{ID: 5, Kind: wal.OpRemove, File: "s"})
	for id := range uint64(5) {
		if r := results[id+1]; (r.Err != nil) != (id+1 == 4) {
			t.Errorf("op %d: %v", id+1, r.Err)
		}
	}
	if got := results[3].Data; !bytes.Equal(got, []byte("\x00abc\x00")) {
		t.Errorf("read %q", got)
	}
}

func TestAFullDiskIsSaid(t *testing.T) {
	full := &os.PathError{Op: "write", Path: "1", Err: syscall.ENOSPC}
	if err := markFull(full); !errors.Is(err, wal.ErrNoSpace) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v", err)
	}
	for _, err := range []error{nil, &os.PathError{Op: "write", Path: "1", Err: syscall.EIO}} {
		if got := markFull(err); got != err {
			t.Errorf("got %v, want %v", got, err)
		}
	}
	f, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Skip("this system has no disk that is always full")
	}
	h := &handle{f: f}
	defer f.Close()
	if _, err := h.WriteAt([]byte("x"), 0); !errors.Is(err, wal.ErrNoSpace) {
		t.Errorf("got %v", err)
	}
}

func TestFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	me := Meta{ClusterID: "c", BrokerID: 2}
	wantErr := func(err error, text string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("got %v, want an error with %q", err, text)
		}
	}
	_, err := openFolder(dir, me, refuseEmpty)
	wantErr(err, "must never come back with an empty disk")
	wantErr(err, "broker start -join -config FILE")
	wantErr(err, "broker format -config FILE")
	if !errors.Is(err, ErrNotFormatted) {
		t.Errorf("%v is not ErrNotFormatted", err)
	}
	must(t, Format(dir, me))
	wantErr(Format(dir, me), "formatted already")

	f, err := openFolder(dir, me, refuseEmpty)
	must(t, err)
	want := Meta{Version: 1, ClusterID: "c", BrokerID: 2, Incarnation: 1, Folder: f.meta.Folder}
	if diff := cmp.Diff(want, f.meta); diff != "" || len(f.meta.Folder) != 16 {
		t.Errorf("meta %+v (-want +got):\n%s", f.meta, diff)
	}
	pid, err := os.ReadFile(filepath.Join(dir, "pid"))
	must(t, err)
	if string(pid) != fmt.Sprintln(os.Getpid()) {
		t.Errorf("pid file: %q", pid)
	}
	_, err = openFolder(dir, me, refuseEmpty)
	wantErr(err, fmt.Sprintf("another process (pid %d) uses the data folder", os.Getpid()))
	f.clean()
	f.close()

	_, err = openFolder(dir, Meta{ClusterID: "d", BrokerID: 2}, refuseEmpty)
	wantErr(err, `belongs to cluster "c", the configuration says "d"`)
	_, err = openFolder(dir, Meta{ClusterID: "c", BrokerID: 3}, refuseEmpty)
	wantErr(err, "belongs to broker 2, the configuration says 3")

	must(t, f.outdated(errors.New("its folder is old")))
	_, err = openFolder(dir, me, refuseEmpty)
	wantErr(err, "have refused the data folder")
	wantErr(err, "its folder is old")
	must(t, os.Remove(filepath.Join(dir, "outdated")))

	must(t, os.WriteFile(filepath.Join(dir, "log", "1.seg"), nil, 0o644))
	must(t, os.Remove(filepath.Join(dir, "meta.json")))
	wantErr(Format(dir, me), "meta.json is missing: restore it")
	for _, e := range []emptyFolder{foundAlone, joinEmpty} {
		_, err = openFolder(dir, me, e)
		wantErr(err, "meta.json is missing: restore it")
	}
	must(t, os.WriteFile(filepath.Join(dir, "meta.json"), []byte("{"), 0o644))
	_, err = openFolder(dir, me, foundAlone)
	wantErr(err, "is damaged")
}

// A log that vanished under its meta.json must not be taken for a new one: its votes would be forgotten.
func TestAFolderThatLostItsLogIsRefused(t *testing.T) {
	dir := t.TempDir()
	me := Meta{ClusterID: "c", BrokerID: 2}
	must(t, Format(dir, me))
	open := func() error {
		f, err := openFolder(dir, me, joinEmpty)
		if err == nil {
			f.close()
		}
		return err
	}
	must(t, open()) // killed before the log was begun
	segment := filepath.Join(dir, "log", "1.seg")
	must(t, os.WriteFile(segment, []byte("records"), 0o644))
	must(t, open()) // killed just after
	f, err := openFolder(dir, me, refuseEmpty)
	must(t, err)
	must(t, f.begun())
	must(t, f.begun())
	f.close()
	must(t, open())
	for _, lose := range []func() error{
		func() error { return os.WriteFile(segment, make([]byte, 1000), 0o644) },
		func() error { return os.Truncate(segment, 0) },
		func() error { return os.Remove(segment) },
		func() error { return os.RemoveAll(filepath.Join(dir, "log")) },
	} {
		must(t, lose())
		if err := open(); err == nil || !strings.Contains(err.Error(), "its log is not in") {
			t.Errorf("got %v", err)
		}
	}
	must(t, os.Remove(filepath.Join(dir, "meta.json")))
	must(t, open())
}

// A replica that joins must get an incarnation that no earlier one of its broker had, whatever the clocks showed and
// also if that one was lost in the same moment, and one above those that the cluster knows.
func TestIncarnationsAreNeverUsedTwice(t *testing.T) {
	seen := make(map[uint32]bool)
	for range 50 {
		dir := t.TempDir()
		f, err := openFolder(dir, Meta{ClusterID: "c", BrokerID: 2}, joinEmpty)
		must(t, err)
		f.close()
		if i := f.meta.Incarnation; seen[i] || i <= founder || i > founder+maxDrawn {
			t.Errorf("incarnation %d", i)
		}
		seen[f.meta.Incarnation] = true
		must(t, raise(dir, 1<<31))
		m, err := readMeta(dir)
		must(t, err)
		if f.meta.Incarnation = 1<<31 + 1; m != f.meta {
			t.Errorf("%+v, want %+v", m, f.meta)
		}
		if err := raise(dir, 1<<32-1); err == nil || !strings.Contains(err.Error(), "another broker_id") {
			t.Errorf("beyond the highest: %v", err)
		}
	}
}

func TestABrokerAloneFormatsItsFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	f, err := openFolder(dir, Meta{BrokerID: 1}, foundAlone)
	must(t, err)
	first := f.meta
	f.close()
	f, err = openFolder(dir, Meta{BrokerID: 1}, foundAlone)
	must(t, err)
	defer f.close()
	if f.meta != first || len(first.ClusterID) != 16 {
		t.Errorf("identity %+v, then %+v", first, f.meta)
	}
}

// A large read yields between its stints, but not while the log is opened: a start on a busy machine waited 500 times until
// all others had had their turn.
func TestLargeReadsYieldOnceTheLogIsOpen(t *testing.T) {
	d, yields := openTestDir(t), 0
	f, err := d.Create("segment")
	must(t, err)
	defer f.Close()
	data := make([]byte, 8*stint)
	_, err = f.WriteAt(data, 0)
	must(t, err)
	_, err = f.ReadAt(data, 0)
	must(t, err)
	d.between = func() { yields++ }
	_, err = f.ReadAt(data, 0)
	must(t, err)
	if yields != 7 {
		t.Errorf("it yielded %d times between 8 stints", yields)
	}
	h := openBroker(t, 1)
	defer h.close()
	if h.fs.between == nil {
		t.Error("a broker that runs doesn't yield")
	}
}

// A file that is removed while somebody reads it stays whole for that one; one that nobody reads gives back its space.
func TestARemovedFileIsWholeForItsReaders(t *testing.T) {
	d := openTestDir(t)
	data := bytes.Repeat([]byte("chronik "), 5<<20/8)
	for _, read := range []bool{false, true} {
		f, err := d.Create("segment")
		must(t, err)
		_, err = f.WriteAt(data, 0)
		must(t, err)
		h := f.(*handle)
		if !read {
			must(t, f.Close())
		}
		other, err := os.Open(filepath.Join(d.path, "segment")) // sees what becomes of it
		must(t, err)
		must(t, d.Remove("segment"))
		if _, err := os.Stat(h.f.Name()); !errors.Is(err, fs.ErrNotExist) {
			t.Error("still there:", err)
		}
		info, err := other.Stat()
		must(t, err)
		must(t, other.Close())
		if !read {
			if info.Size() != 0 {
				t.Errorf("%d bytes are kept", info.Size())
			}
			continue
		}
		got := make([]byte, len(data))
		if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got, data) {
			t.Error("a reader gets other bytes, or", err)
		}
		must(t, f.Close())
	}
	if err := d.Remove("segment"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

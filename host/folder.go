// SPDX-License-Identifier: Apache-2.0

package host

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"chronik/node"
)

// A broker's data folder:
//
//	meta.json  who this is; written by Format, and once more if the cluster knows a higher incarnation, or is mended
//	fresh      the log may be empty: there from Format until the first start has written to it
//	mending    a plan to mend the cluster that is being carried out; no broker starts meanwhile
//	outdated   the other brokers refused the folder: it is an older copy of itself; what they said
//	lock       locked (flock) while a process uses the folder
//	pid        that process; removed by a clean stop
//	log/       the write-ahead log and nothing else
const (
	metaName    = "meta.json"
	freshName   = "fresh"
	mendingName = "mending"
	oldName     = "outdated"
	lockName    = "lock"
	pidName     = "pid"
	logName     = "log"

	metaVersion = 1
)

// Meta is a data folder's identity.
type Meta struct {
	Version     int           `json:"version"` // of the folder's layout
	ClusterID   string        `json:"cluster_id"`
	LogCluster  string        `json:"log_cluster_id,omitempty"` // the cluster's id before it was mended, which stays in the log
	BrokerID    node.BrokerID `json:"broker_id"`
	Incarnation uint32        `json:"incarnation"` // see node.Config
	Folder      string        `json:"folder"`      // drawn by Format: tells this folder from any other
}

// founder is the incarnation of the brokers that begin a cluster.
const founder = 1

// ErrNotFormatted is wrapped when a member's folder has no identity.
var ErrNotFormatted = errors.New("the data folder is not formatted")

// Format makes dir the data folder of a new broker, by default of a founder of its cluster. It fails
// if there is one already, or any log.
func Format(dir string, m Meta) error {
	m.Version, m.Folder = metaVersion, drawID()
	setDefault(&m.Incarnation, founder)
	if err := os.MkdirAll(filepath.Join(dir, logName), 0o755); err != nil {
		return err
	}
	if _, err := os.Lstat(filepath.Join(dir, metaName)); err == nil {
		return fmt.Errorf("%s is formatted already", dir)
	}
	if err := checkEmpty(filepath.Join(dir, logName)); err != nil {
		return err
	}
	if err := writeDurably(dir, freshName, nil); err != nil {
		return err
	}
	return writeMeta(dir, m)
}

// IsFormatted reports whether dir is already the data folder of the broker that m names. It is an error if it is another one's.
func IsFormatted(dir string, m Meta) (bool, error) {
	if _, err := os.Lstat(filepath.Join(dir, metaName)); errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	was, err := readMeta(dir)
	if err == nil && (was.ClusterID != m.ClusterID || was.BrokerID != m.BrokerID) {
		err = fmt.Errorf("the data folder %s is broker %d of cluster %s, not broker %d of cluster %s; mend dir, broker_id or cluster_id", dir, was.BrokerID, was.ClusterID, m.BrokerID, m.ClusterID)
	}
	return err == nil, err
}

// formatJoining makes dir the data folder of a replica that the cluster doesn't know yet. Its incarnation is drawn, so
// that not even one that nobody has heard of is used twice. If the cluster has seen a higher one, it says so (raise).
func formatJoining(dir string, m Meta) error {
	var b [4]byte
	rand.Read(b[:])
	m.Incarnation = founder + 1 + binary.BigEndian.Uint32(b[:])%maxDrawn
	return Format(dir, m)
}

// maxDrawn leaves room for those that have to be above another one.
const maxDrawn = 1 << 30

// raise gives a replica that has not joined yet an incarnation above one that the cluster knows.
func raise(dir string, known uint32) error {
	m, err := readMeta(dir)
	if err != nil {
		return err
	}
	if known == math.MaxUint32 {
		return fmt.Errorf("broker %d can't join any more: the cluster has seen the highest incarnation of it, %d; give the broker another broker_id", m.BrokerID, known)
	}
	m.Incarnation = known + 1
	return writeMeta(dir, m)
}

func writeMeta(dir string, m Meta) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return writeDurably(dir, metaName, append(text, '\n'))
}

func checkEmpty(logDir string) error {
	entries, err := os.ReadDir(logDir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s holds a log (%s, ...) but %s is missing: restore it, or move the log away if its records are not needed",
			logDir, entries[0].Name(), metaName)
	}
	return nil
}

// checkLog refuses a log that is gone although this broker has used it.
func (f *folder) checkLog() error {
	if _, err := os.Lstat(filepath.Join(f.dir, freshName)); err == nil {
		return nil
	}
	entries, err := os.ReadDir(f.logDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if written, err := beginsWritten(filepath.Join(f.logDir(), e.Name())); written || err != nil {
			return err
		}
	}
	return fmt.Errorf("%s says that this broker has been running, but its log is not in %s: mount or restore it. "+
		"If it is lost, remove %s, too, and run: broker start -join -config FILE. The broker then comes back as a new replica",
		filepath.Join(f.dir, metaName), f.logDir(), metaName)
}

// outdated notes that the other brokers refused this folder, so that no later start tries again: each adds a little to
// the log, and its end would come to where they count on it in the end.
func (f *folder) outdated(why error) error {
	return writeDurably(f.dir, oldName, []byte(why.Error()+"\n"))
}

func (f *folder) checkOutdated() error {
	text, err := os.ReadFile(filepath.Join(f.dir, oldName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("the other brokers have refused the data folder %s, and would again. Its last broker said: %s", f.dir, strings.TrimSpace(string(text)))
}

// beginsWritten reports whether a file has anything but zeros, with which segments are prepared, at its
// beginning, where a segment that is in use has its header.
func beginsWritten(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var head [512]byte
	n, err := f.Read(head[:])
	if err != nil && err != io.EOF {
		return false, err
	}
	return slices.ContainsFunc(head[:n], func(b byte) bool { return b != 0 }), nil
}

// begun notes that the log is in use: from now on an empty one is refused.
func (f *folder) begun() error {
	err := os.Remove(filepath.Join(f.dir, freshName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return syncDir(f.dir)
}

// writeDurably makes dir/name hold exactly text, or what it held before, whatever happens.
func writeDurably(dir, name string, text []byte) error {
	temp := filepath.Join(dir, name+".tmp")
	f, err := os.Create(temp)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(text); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(temp, filepath.Join(dir, name)); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// NewClusterID draws a name for a new cluster.
func NewClusterID() string { return drawID() }

func drawID() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// folder is a data folder in use by this process.
type folder struct {
	dir  string
	lock *os.File
	meta Meta
}

// openFolder locks dir, checks that it belongs to the broker that want describes, and writes the
// pid. What it does about an empty folder is up to the caller.
func openFolder(dir string, want Meta, whenEmpty emptyFolder) (*folder, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, noFolder(dir, err)
	}
	lock, err := lockFolder(dir)
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		err = noFolder(dir, pathErr)
	}
	if err != nil {
		return nil, err
	}
	f := &folder{dir: dir, lock: lock}
	if f.meta, err = readMeta(dir); errors.Is(err, fs.ErrNotExist) {
		f.meta, err = whenEmpty.format(dir, want)
	}
	if err == nil {
		err = f.meta.check(dir, want)
	}
	if err == nil {
		err = f.checkOutdated()
	}
	if err == nil {
		err = checkMended(dir)
	}
	if err == nil {
		err = f.checkLog()
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, pidName), []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644)
	}
	if err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// noFolder says why a folder can't be the data folder.
func noFolder(dir string, err error) error {
	advice := "set dir to a folder that this user may write to, on a disk of this machine"
	if info, e := os.Stat(dir); e == nil && !info.IsDir() {
		advice = "it is a file: set dir to a folder"
	} else if to, e := os.Readlink(dir); e == nil {
		advice = fmt.Sprintf("it is a link to %s, where there is nothing: is a disk not mounted?", to)
	}
	return fmt.Errorf("can't use %s as the data folder: %w; %s", dir, err, advice)
}

func lockFolder(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("%w, or give this broker a folder of its own", folderInUse(dir))
	}
	return nil, fmt.Errorf("can't lock the data folder %s: %w", dir, err)
}

func folderInUse(dir string) error {
	pid, _ := os.ReadFile(filepath.Join(dir, pidName))
	return fmt.Errorf("another process (pid %s) uses the data folder %s: stop it", strings.TrimSpace(string(pid)), dir)
}

func readMeta(dir string) (Meta, error) {
	path := filepath.Join(dir, metaName)
	text, err := os.ReadFile(path)
	if err != nil {
		return Meta{}, err
	}
	var m Meta
	if err := json.Unmarshal(text, &m); err != nil {
		return Meta{}, fmt.Errorf("%s is damaged (%w): restore it from a copy", path, err)
	}
	if m.Version != metaVersion {
		return Meta{}, fmt.Errorf("%s has version %d of the folder's layout, this program knows version %d: run the program that wrote it",
			path, m.Version, metaVersion)
	}
	return m, nil
}

// emptyFolder is what to do about a data folder without an identity.
type emptyFolder uint8

const (
	refuseEmpty emptyFolder = iota // in a cluster nobody can tell a new broker from one that lost its disk
	foundAlone                     // the broker is its whole cluster
	joinEmpty                      // the broker becomes a new replica
)

func (e emptyFolder) format(dir string, want Meta) (Meta, error) {
	var err error
	switch e {
	case refuseEmpty:
		return Meta{}, fmt.Errorf("%w: %s is empty. A broker must never come back with an empty disk under its old identity: "+
			"the others count on what it has voted for and stored. There are two ways on:\n"+
			"  broker start -join -config FILE   if the cluster runs already: for a broker that is new to it, or that lost its disk\n"+
			"  broker format -config FILE        if the whole cluster is brand-new: on each of its brokers, once, before their first start",
			ErrNotFormatted, dir)
	case foundAlone:
		setDefault(&want.ClusterID, NewClusterID())
		err = Format(dir, want)
	case joinEmpty:
		err = formatJoining(dir, want)
	}
	if err != nil {
		return Meta{}, err
	}
	return readMeta(dir)
}

// check compares the folder's identity with the configuration's.
func (m Meta) check(dir string, want Meta) error {
	if want.ClusterID != "" && m.ClusterID != want.ClusterID {
		return fmt.Errorf("the data folder %s belongs to cluster %q, the configuration says %q: mend cluster_id or dir", dir, m.ClusterID, want.ClusterID)
	}
	if m.BrokerID != want.BrokerID {
		return fmt.Errorf("the data folder %s belongs to broker %d, the configuration says %d: mend broker_id or dir", dir, m.BrokerID, want.BrokerID)
	}
	return nil
}

func (f *folder) logDir() string { return filepath.Join(f.dir, logName) }

// clean marks a clean stop.
func (f *folder) clean() { os.Remove(filepath.Join(f.dir, pidName)) }

func (f *folder) close() { f.lock.Close() }

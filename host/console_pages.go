// SPDX-License-Identifier: Apache-2.0

package host

import (
	"cmp"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"chronik/node"
)

// What only a broker can tell of itself, for consoles, its own and others'. Releases read each other's pages: add to them, and
// don't change what a field means.

func (h *Host) pages() map[string]func() (any, error) {
	return map[string]func() (any, error){"broker": h.brokerPage, "groups": h.groupsPage, "segments": h.segmentsPage}
}

// brokerPage is how a broker is.
type brokerPage struct {
	Broker        node.BrokerID `json:"broker"`
	Cluster       string        `json:"cluster"`
	Version       string        `json:"version"`
	State         string        `json:"state"`
	Started       int64         `json:"started"` // ms
	Catalog       node.BrokerID `json:"catalog"` // who leads it; -1: unknown
	Groups        int           `json:"groups"`
	Leading       int           `json:"leading"`
	OutOfSync     int           `json:"outOfSync"`
	Leaderless    int           `json:"leaderless"`
	MaxTerm       uint64        `json:"maxTerm"`
	CommitLag     uint64        `json:"commitLag"`
	ApplyLag      uint64        `json:"applyLag"`
	Elections     uint64        `json:"elections"`
	ColdReads     uint64        `json:"coldReads"`
	ColdNow       int           `json:"coldNow"`
	Checkpoints   uint64        `json:"checkpoints"`
	SnapshotsSent uint64        `json:"snapshotsSent"`
	SnapshotsGot  uint64        `json:"snapshotsGot"`
	SnapshotsNow  int           `json:"snapshotsNow"`
	Ongoing       int           `json:"ongoing"`     // transactions that it coordinates
	LongestStep   float64       `json:"longestStep"` // ms
	Connections   int           `json:"connections"`
	DiskFree      uint64        `json:"diskFree"`
	DiskSize      uint64        `json:"diskSize"`
	LogSize       int64         `json:"logSize"`
	LogEnd        uint64        `json:"logEnd"`
	LogUnsynced   uint64        `json:"logUnsynced"`
	HistoryEnd    int64         `json:"historyEnd"`  // ms
	HistoryStep   int64         `json:"historyStep"` // ms
	History       []sample      `json:"history"`
}

func (h *Host) brokerPage() (any, error) {
	v, ok := h.look()
	_, state := health(&v, ok, h.recovered.Load())
	p := brokerPage{
		Broker: h.folder.meta.BrokerID, Cluster: h.folder.meta.ClusterID, Version: release(), State: state, Started: h.began.UnixMilli(),
		Catalog: v.CatalogLeader, Groups: v.Catalog.Groups + v.Partitions.Groups, Leading: v.Catalog.Leading + v.Partitions.Leading,
		OutOfSync: v.Catalog.OutOfSync + v.Partitions.OutOfSync, Leaderless: v.Catalog.Leaderless + v.Partitions.Leaderless,
		MaxTerm:   max(v.Catalog.MaxTerm, v.Partitions.MaxTerm),
		CommitLag: v.Catalog.CommitLag.Sum + v.Partitions.CommitLag.Sum, ApplyLag: v.Catalog.ApplyLag.Sum + v.Partitions.ApplyLag.Sum,
		Elections: v.elections, ColdReads: v.events[node.EventColdRead], ColdNow: v.ColdReads,
		Checkpoints: v.events[node.EventCheckpoint], SnapshotsSent: v.events[node.EventSnapshotSent], SnapshotsGot: v.events[node.EventSnapshotInstalled],
		SnapshotsNow: v.SnapshotsIn + v.SnapshotsOut, Ongoing: v.Partitions.Ongoing,
		LongestStep: float64(v.longest) / float64(time.Millisecond), LogEnd: uint64(v.LogEnd), LogUnsynced: uint64(v.LogEnd - v.LogDurable),
		HistoryStep: historyStep.Milliseconds(),
	}
	p.Connections, _ = h.clients.open()
	var fs syscall.Statfs_t
	if err := syscall.Statfs(h.folder.dir, &fs); err == nil {
		p.DiskFree, p.DiskSize = uint64(fs.Bavail)*uint64(fs.Bsize), fs.Blocks*uint64(fs.Bsize)
	}
	for _, f := range h.logFiles() {
		p.LogSize += f.Size
	}
	list, end := h.history.list()
	p.History, p.HistoryEnd = list, end.UnixMilli()
	return p, nil
}

// release is the version of the module, or the commit that it was built from.
func release() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && info.Main.Version == "(devel)" {
			return s.Value[:min(len(s.Value), 12)]
		}
	}
	return info.Main.Version
}

// raftGroup is a replica of a group, as the broker sees it.
type raftGroup struct {
	Group     node.GroupID    `json:"group"`
	Topic     string          `json:"topic"`
	Partition int32           `json:"partition"`
	Role      string          `json:"role"`
	Leader    node.BrokerID   `json:"leader"`
	Term      uint64          `json:"term"`
	First     uint64          `json:"first"`
	Last      uint64          `json:"last"`
	Commit    uint64          `json:"commit"`
	Applied   uint64          `json:"applied"`
	Quiet     bool            `json:"quiet"`
	Closed    bool            `json:"closed"`
	Replicas  []node.BrokerID `json:"replicas"`
}

// raftPage has the groups with the greatest lag first.
type raftPage struct {
	Total  int         `json:"total"`
	Groups []raftGroup `json:"groups"`
}

// maxRaftGroups is how many of them a page has.
const maxRaftGroups = 1000

func (h *Host) groupsPage() (any, error) {
	all, ok := h.views()
	if !ok {
		return nil, errNoLoop
	}
	slices.SortStableFunc(all, func(a, b node.View) int { return cmp.Compare(groupLag(&b), groupLag(&a)) })
	page := raftPage{Total: len(all), Groups: []raftGroup{}}
	for i := range all[:min(len(all), maxRaftGroups)] {
		v := &all[i]
		page.Groups = append(page.Groups, raftGroup{
			v.Group, v.Topic, v.Partition, roleNames[v.Role], v.Lead, v.Term, v.FirstIndex, v.LastIndex, v.Commit, v.Applied, v.Quiet, v.Closed, v.Replicas,
		})
	}
	return page, nil
}

// logFile is a file of the log's folder.
type logFile struct {
	Name     string `json:"name"`
	Size     int64  `json:"size"`
	Modified int64  `json:"modified"` // ms
}

type segmentsPage struct {
	Folder   string    `json:"folder"`
	Segments int       `json:"segments"`
	Free     int       `json:"free"`
	Recycled uint64    `json:"recycled"`
	End      uint64    `json:"end"`
	Durable  uint64    `json:"durable"`
	Files    []logFile `json:"files"`
}

func (h *Host) segmentsPage() (any, error) {
	var s node.Stats
	if !h.metrics.ask(answerTime, func(n *node.Node) { s = n.StatsOfBroker() }) {
		return nil, errNoLoop
	}
	return segmentsPage{
		Folder: h.folder.logDir(), Segments: s.Log.Segments, Free: s.Log.Free, Recycled: uint64(s.Log.Recycled), End: uint64(s.LogEnd), Durable: uint64(s.LogDurable),
		Files: h.logFiles(),
	}, nil
}

// logFiles lists the files of the log; those that go meanwhile are left out.
func (h *Host) logFiles() []logFile {
	list := []logFile{}
	files, err := os.ReadDir(h.folder.logDir())
	if err != nil {
		return list
	}
	for _, f := range files {
		if info, err := os.Stat(filepath.Join(h.folder.logDir(), f.Name())); err == nil {
			list = append(list, logFile{f.Name(), info.Size(), info.ModTime().UnixMilli()})
		}
	}
	return list
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"chronik/host"
	"chronik/node"
)

const recoverUsage = "use: broker recover plan -dir DIR [-dir DIR...] -out PLAN [-cluster-id NEW] [-skip GROUP/ENTRY...] [-empty TOPIC/PARTITION...], " +
	"then: broker recover apply -plan PLAN -dir DIR [-dir DIR...] -confirm CODE"

// texts is a flag that may be given several times.
type texts []string

func (t *texts) String() string     { return strings.Join(*t, ",") }
func (t *texts) Set(s string) error { *t = append(*t, s); return nil }

// recoverFlags are those of `broker recover`.
type recoverFlags struct {
	dirs, skip, empty             texts
	out, clusterID, plan, confirm string
}

// mend looks at what is left of a cluster that can't go on, or makes it go on.
func mend(args []string, stdout io.Writer) error {
	if len(args) == 0 {
		return wrongUse{errors.New(recoverUsage)}
	}
	var f recoverFlags
	fs := flag.NewFlagSet("recover", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Var(&f.dirs, "dir", "")
	switch args[0] {
	case "plan":
		fs.Var(&f.skip, "skip", "")
		fs.Var(&f.empty, "empty", "")
		fs.StringVar(&f.out, "out", "", "")
		fs.StringVar(&f.clusterID, "cluster-id", "", "")
	case "apply":
		fs.StringVar(&f.plan, "plan", "", "")
		fs.StringVar(&f.confirm, "confirm", "", "")
	}
	if err := fs.Parse(args[1:]); err != nil {
		return wrongUse{explainFlag(fs, err)}
	}
	switch {
	case len(f.dirs) == 0 || fs.NArg() > 0:
		return wrongUse{errors.New(recoverUsage)}
	case args[0] == "plan" && f.out != "":
		return f.makePlan(stdout)
	case args[0] == "apply" && f.plan != "":
		return f.apply(stdout)
	}
	return wrongUse{errors.New(recoverUsage)}
}

func (f *recoverFlags) makePlan(stdout io.Writer) error {
	var left []*node.Remains
	var dirs []*host.Inspected
	for _, dir := range f.dirs {
		i, err := host.Inspect(dir)
		if err != nil {
			return err
		}
		defer i.Close()
		r, err := i.Remains()
		if err != nil {
			return err
		}
		left, dirs = append(left, r), append(dirs, i)
	}
	skip, err := f.skipped()
	if err != nil {
		return wrongUse{err}
	}
	empty, err := f.begunEmpty()
	if err != nil {
		return wrongUse{err}
	}
	if f.clusterID == "" {
		f.clusterID = anotherID(left[0].Cluster)
	}
	plan, err := node.PlanMending(left, f.clusterID, skip, empty)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(plan, "", "  ")
	if err == nil {
		err = os.WriteFile(f.out, append(text, '\n'), 0o600)
	}
	if err != nil {
		return err
	}
	return f.describe(plan, dirs, stdout)
}

// skipped reads what is to be left out.
func (f *recoverFlags) skipped() (skip []node.SkippedEntry, err error) {
	for _, s := range f.skip {
		group, index, _ := strings.Cut(s, "/")
		g, err := strconv.ParseUint(group, 10, 64)
		i, err2 := strconv.ParseUint(index, 10, 64)
		if err := errors.Join(err, err2); err != nil {
			return nil, fmt.Errorf("-skip %s: say which entry of which group is to be left out, as in -skip 12/3456: %w", s, err)
		}
		skip = append(skip, node.SkippedEntry{Group: node.GroupID(g), Index: i})
	}
	return skip, nil
}

// begunEmpty reads which partitions may begin anew.
func (f *recoverFlags) begunEmpty() (empty []node.NamedPartition, err error) {
	for _, s := range f.empty {
		i := strings.LastIndexByte(s, '/')
		n, err := strconv.ParseInt(s[i+1:], 10, 32)
		if i < 1 || err != nil {
			return nil, fmt.Errorf("-empty %s: say which partition of which topic begins anew with nothing in it, as in -empty orders/3", s)
		}
		empty = append(empty, node.NamedPartition{Topic: s[:i], Index: int32(n)})
	}
	return empty, nil
}

// anotherID makes a name for the cluster that goes on.
func anotherID(was string) string {
	var b [4]byte
	rand.Read(b[:])
	was, _, _ = strings.Cut(was, "-recovered-")
	return was + "-recovered-" + hex.EncodeToString(b[:])
}

// describe is the preview.
func (f *recoverFlags) describe(m *node.Mending, dirs []*host.Inspected, out io.Writer) error {
	fmt.Fprintf(out, "Cluster %s. Nothing has been changed; this is what would be done.\n\n", m.Cluster)
	for i, b := range m.Brokers {
		fmt.Fprintf(out, "left: broker %d in %s, its catalog ends at entry %d of term %d\n", b.Broker, folderOf(dirs, b, i), b.Last, b.LastTerm)
		if b.Wrong != "" {
			fmt.Fprintf(out, "      and can't be read: %s\n", b.Wrong)
		}
	}
	if len(m.Lost) > 0 {
		fmt.Fprintf(out, "lost: brokers %s. If the folder of one of them is left after all, make a new plan with it.\n", numbers(m.Lost))
	}
	c := &m.Catalog
	if c.Quorum {
		fmt.Fprintf(out, "\nThe catalog has its majority: nothing of it is lost.\n")
	} else {
		fmt.Fprintf(out, "\nThe catalog goes on from the copy of broker %d, which ends at entry %d (known to be committed: up to %d). Its voters were the brokers %s.\n"+
			"Lost: topics, settings, users, rules and moves that were changed after that.\n", c.From, c.Last, c.Committed, numbers(c.Voters))
	}
	for _, s := range m.Skipped {
		fmt.Fprintf(out, "\nEntry %d of group %d is left out: %s. What it did, or would have done, is lost.\n", s.Index, s.Group, s.What)
	}
	fmt.Fprintf(out, "\n%d partitions can go on by themselves, %d can't:\n\n", m.Whole, len(m.Partitions))
	tellPartitions(m.Partitions, out)
	fmt.Fprint(out, "\nKEPT is what will be there. COMMITTED is the part of it that this replica knew to be on a majority; what is kept beyond that may be there although no producer was told so.\n"+
		"Lost: all that was acknowledged beyond KEPT. Only lost brokers had it, and nothing here says how much that is.\n"+
		"Partitions without offsets hold consumer groups or transactions: a group may go on from an older offset and read records again.\n")
	code := m.Code()
	fmt.Fprintf(out, "\nTo do it:\n 1. Keep copies of these folders. Make sure that no other broker of the cluster runs, or ever starts with its old folder.\n"+
		" 2. On the machine of each broker that is left (%s): broker recover apply -plan %s -dir DIR -confirm %s\n"+
		" 3. Set cluster_id = %q in the configuration of every broker, and start these.\n", numbers(survivors(m)), f.out, code, m.NewCluster)
	if len(m.Lost) > 0 {
		fmt.Fprintf(out, " 4. Bring brokers %s back with empty folders: broker start -join -config FILE. One that won't come back: broker admin drain ID, broker admin remove ID.\n", numbers(m.Lost))
	}
	return nil
}

func tellPartitions(partitions []node.MendedPartition, out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TOPIC\tPARTITION\tREPLICAS WERE ON\tFROM\tKEPT\tCOMMITTED\tLAST ENTRY\tCOMMITTED ENTRY")
	for i := range partitions {
		p := &partitions[i]
		if p.Empty {
			fmt.Fprintf(w, "%s\t%d\t%s\tnobody, it begins empty on broker %d\tnothing\t\t\t\n", p.Topic, p.Partition, numbers(p.Voters), p.From)
			continue
		}
		if p.From < 0 {
			fmt.Fprintf(w, "%s\t%d\t%s\tnobody\tnothing\t\t\t\n", p.Topic, p.Partition, numbers(p.Voters))
			continue
		}
		fmt.Fprintf(w, "%s\t%d\t%s\tbroker %d\t%s\t%s\t%d\t%d\n", p.Topic, p.Partition, numbers(p.Voters), p.From, offsets(p.Start, p.End), offsets(p.Start, p.Committed), p.Last, p.Known)
	}
	w.Flush()
	for i := range partitions {
		p := &partitions[i]
		for _, d := range p.Damaged {
			fmt.Fprintf(out, "%s %d: the replica of %s\n", p.Topic, p.Partition, d)
		}
		for _, o := range p.Others {
			fmt.Fprintf(out, "%s %d: the replica of %s, and is copied anew\n", p.Topic, p.Partition, o)
		}
		if p.From < 0 {
			fmt.Fprintf(out, "%s %d: no replica is left. The partition stays without a leader; delete the topic, or restore it from a backup under another name, or let it begin anew with nothing in it: -empty %s/%d\n", p.Topic, p.Partition, p.Topic, p.Partition)
		}
	}
}

// offsets prints a range of them.
func offsets(start, end int64) string {
	switch {
	case end < 0:
		return "-"
	case end <= start:
		return "nothing"
	}
	return fmt.Sprintf("offsets %d to %d", start, end-1)
}

func folderOf(dirs []*host.Inspected, b node.MendedBroker, i int) string {
	for _, d := range dirs {
		if d.BrokerID == b.Broker {
			return d.Dir
		}
	}
	return fmt.Sprint("folder ", i+1)
}

func survivors(m *node.Mending) (ids []node.BrokerID) {
	for _, b := range m.Brokers {
		ids = append(ids, b.Broker)
	}
	return ids
}

func numbers(ids []node.BrokerID) string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = strconv.Itoa(int(id))
	}
	return strings.Join(texts, ", ")
}

func (f *recoverFlags) apply(stdout io.Writer) error {
	text, err := os.ReadFile(f.plan)
	if err != nil {
		return err
	}
	plan := new(node.Mending)
	if err := json.Unmarshal(text, plan); err != nil {
		return fmt.Errorf("%s is no plan of `broker recover plan`: %w", f.plan, err)
	}
	if f.confirm != plan.Code() {
		return wrongUse{errors.New("-confirm must be the code at the end of what `broker recover plan` printed for this plan: read there what may be lost")}
	}
	for _, dir := range f.dirs {
		done, err := host.Mend(dir, plan)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", dir, err)
		case done:
			fmt.Fprintf(stdout, "%s is now of cluster %s. Set cluster_id = %q in its broker's configuration\n", dir, plan.NewCluster, plan.NewCluster)
		default:
			fmt.Fprintf(stdout, "%s is of cluster %s already\n", dir, plan.NewCluster)
		}
	}
	return nil
}

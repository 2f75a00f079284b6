// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"chronik/host"
	"chronik/node"
	"chronik/wal"
)

const logUsage = "use: broker log verify [-config FILE | -dir DIR], or broker log dump [-config FILE | -dir DIR] [-json] [-data] [-group N] [SEGMENT...]"

// logFlags are those of the commands that read a log.
type logFlags struct {
	config, dir string
	json, data  bool
	group       int64
}

// inspectLog carries out a command on the log of a broker that doesn't run.
func inspectLog(args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return wrongUse{errors.New(logUsage)}
	}
	var f logFlags
	fs := flag.NewFlagSet("log", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&f.config, "config", "", "")
	fs.StringVar(&f.dir, "dir", "", "")
	if args[0] == "dump" {
		fs.BoolVar(&f.json, "json", false, "")
		fs.BoolVar(&f.data, "data", false, "")
		fs.Int64Var(&f.group, "group", -1, "")
	}
	if err := fs.Parse(args[1:]); err != nil {
		return wrongUse{explainFlag(fs, err)}
	}
	if args[0] != "verify" && args[0] != "dump" || args[0] == "verify" && fs.NArg() > 0 {
		return wrongUse{errors.New(logUsage)}
	}
	dir, err := f.folder()
	if err != nil {
		return wrongUse{err}
	}
	folder, err := host.Inspect(dir)
	if err != nil {
		return err
	}
	defer folder.Close()
	if args[0] == "verify" {
		return verifyLog(folder, stdout, stderr)
	}
	return f.dump(folder, fs.Args(), stdout)
}

// folder returns the data folder that is meant.
func (f *logFlags) folder() (string, error) {
	if f.dir != "" {
		return f.dir, nil
	}
	var args []string
	if f.config != "" {
		args = []string{"-config", f.config}
	}
	s, err := loadSettings(args, os.Environ(), io.Discard)
	if err != nil {
		return "", err
	}
	return s.Dir, nil
}

var errDamaged = errors.New("the log is damaged, see above")

func verifyLog(folder *host.Inspected, stdout, stderr io.Writer) error {
	fmt.Fprintf(stdout, "broker %d of cluster %s, data in %s\n", folder.BrokerID, folder.ClusterID, folder.Dir)
	if folder.Outdated != "" {
		fmt.Fprintln(stdout, folder.Outdated)
	}
	v, err := folder.Verify(func(done, total int) { fmt.Fprintf(stderr, "verified %d of %d older segments\n", done, total) })
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%d segments with %d entries of %d groups; started %d times; %d bytes of older segments are in use and were compared with their checksums, the newest segment was read whole\n",
		v.Segments, v.Entries, v.Groups, v.Epoch-1, v.Live)
	if v.CutBytes > 0 {
		fmt.Fprintf(stdout, "%s ends with a torn write of %d bytes at offset %d, as a crash leaves it; the next start cuts it off, and nothing is lost\n", v.CutFile, v.CutBytes, v.CutOffset)
	}
	for _, err := range v.Spoiled {
		fmt.Fprintf(stdout, "damaged: %v\n", err)
	}
	for _, d := range v.Damages {
		fmt.Fprintf(stdout, "damaged: %v\n%s\n", d, adviceFor(d))
	}
	if len(v.Spoiled)+len(v.Damages) > 0 {
		return errDamaged
	}
	fmt.Fprintln(stdout, "the log is whole")
	return nil
}

// adviceFor says what to do about a damaged entry or checkpoint.
func adviceFor(d *wal.Damage) string {
	if d.Group == 0 {
		return "  This is the catalog. Move the data folder away, and let the broker come back as a new replica: broker start -join -config FILE"
	}
	return "  If the partition has other replicas, start the broker: it copies this one from them as soon as it reads the damage. If it has none, what is damaged is lost; the rest can be read."
}

// dumped is a record of the log in JSON.
type dumped struct {
	File    string `json:"file"`
	Offset  int64  `json:"offset"` // of the record in its file
	Bytes   int    `json:"bytes"`
	LSN     uint64 `json:"lsn"`
	Durable uint64 `json:"durable"` // everything below this LSN was synced when the record was written
	Epoch   uint32 `json:"epoch"`   // counts the starts of the broker
	Type    string `json:"type"`
	Group   uint64 `json:"group"`
	Index   uint64 `json:"index,omitempty"` // entries, checkpoints
	Last    uint64 `json:"last,omitempty"`  // packed entries
	Term    uint64 `json:"term,omitempty"`
	What    string `json:"what"`
	Data    []byte `json:"data,omitempty"` // base64
}

func (f *logFlags) dump(folder *host.Inspected, files []string, stdout io.Writer) (err error) {
	if len(files) == 0 {
		if files, err = folder.Files(); err != nil {
			return err
		}
	}
	out := bufio.NewWriter(stdout)
	defer func() { err = errors.Join(err, out.Flush()) }()
	for _, name := range files {
		if err := f.dumpFile(folder, name, out); err != nil {
			return err
		}
	}
	return nil
}

func (f *logFlags) dumpFile(folder *host.Inspected, name string, out io.Writer) error {
	encoder := json.NewEncoder(out)
	h, end, err := folder.Dump(name, func(at wal.Place, rec *wal.Record) error {
		if f.group >= 0 && wal.GroupID(f.group) != rec.Group {
			return nil
		}
		if f.json {
			return encoder.Encode(f.record(name, at, rec))
		}
		_, err := fmt.Fprintf(out, "%s %10d %8d  %s\n", name, at.Off, at.Size, node.DescribeRecord(rec))
		return err
	})
	switch {
	case errors.Is(err, wal.ErrMissing):
		err = nil
		if !f.json {
			_, err = fmt.Fprintf(out, "%s is free, or its header is damaged\n", name)
		}
	case err == nil && !f.json:
		_, err = fmt.Fprintf(out, "%s %10d  end of segment %d, which begins at LSN %d, in a file of %d bytes\n", name, end, h.Sequence, h.Base, h.Bytes)
	}
	return err
}

func (f *logFlags) record(name string, at wal.Place, rec *wal.Record) dumped {
	d := dumped{
		File: name, Offset: at.Off, Bytes: at.Size, LSN: uint64(rec.LSN), Durable: uint64(rec.Durable), Epoch: rec.Epoch,
		Type: rec.Type.String(), Group: uint64(rec.Group), What: node.DescribeRecord(rec),
	}
	data := rec.Checkpoint.Data
	switch rec.Type {
	case wal.RecordEntry, wal.RecordMoved, wal.RecordPacked:
		d.Index, d.Last, d.Term, data = rec.Entry.Index, rec.Entry.Last, rec.Entry.Term, rec.Entry.Data
	case wal.RecordCheckpoint, wal.RecordInstall, wal.RecordPiece, wal.RecordEnd, wal.RecordDrop:
		d.Index, d.Term = rec.Checkpoint.Index, rec.Checkpoint.Term
	case wal.RecordState, wal.RecordVote:
		d.Term = rec.State.Term
	}
	if f.data {
		d.Data = data
	}
	return d
}

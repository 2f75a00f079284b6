// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"chronik/cmd/broker/admin"
	"chronik/cmd/broker/backup"
)

// backupFlags are those of the commands about backups.
type backupFlags struct {
	reach
	where, topics string
	s3            backup.S3
	o             backup.Options
	prune         backup.Pruning
}

func newBackupFlags(name, where string) (*flag.FlagSet, *backupFlags) {
	f := new(backupFlags)
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	f.flags(fs)
	fs.StringVar(&f.where, where, "", "")
	fs.StringVar(&f.s3.Endpoint, "s3-endpoint", "", "")
	fs.StringVar(&f.s3.Region, "s3-region", "", "")
	fs.StringVar(&f.topics, "topics", "", "")
	if where == "from" {
		fs.StringVar(&f.o.Name, "backup", "", "")
	}
	switch name {
	case "backup":
		fs.DurationVar(&f.o.Patience, "patience", time.Minute, "")
	case "prune":
		fs.IntVar(&f.prune.Keep, "keep", 0, "")
		fs.DurationVar(&f.prune.Within, "within", 0, "")
		fs.BoolVar(&f.prune.Remove, "yes", false, "")
	case "restore":
		fs.IntVar(&f.o.Replicas, "replicas", 0, "")
		fs.BoolVar(&f.o.Continue, "continue", false, "")
	}
	return fs, f
}

// lookers are the commands about backups that are there.
var lookers = []string{"list", "verify", "prune"}

// backUp makes a backup, or looks at those that are there.
func backUp(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) > 0 && slices.Contains(lookers, args[0]) {
		return lookAtBackups(ctx, args[0], args[1:], stdout)
	}
	return withBackup(ctx, "backup", "to", args, stdout, func(f *backupFlags, s backup.Store, c *admin.Client) error {
		m, err := backup.Run(ctx, c.Client, s, f.o)
		if err == nil {
			fmt.Fprintf(stdout, "backup %s is in %v: %s\n", m.Name, s, m.Summary())
		}
		return err
	})
}

// restore brings a backup into a cluster.
func restore(ctx context.Context, args []string, stdout io.Writer) error {
	return withBackup(ctx, "restore", "from", args, stdout, func(f *backupFlags, s backup.Store, c *admin.Client) error {
		m, err := backup.Restore(ctx, c.Client, s, f.o)
		if err != nil {
			return err
		}
		fmt.Fprintf(stdout, "restored backup %s: %s\n", m.Name, m.Summary())
		if len(m.Users) > 0 {
			fmt.Fprintf(stdout, "nobody is told the passwords of users, so make these again (broker admin user add): %s\n", strings.Join(m.Users, ", "))
		}
		return nil
	})
}

func lookAtBackups(ctx context.Context, what string, args []string, stdout io.Writer) error {
	return withBackup(ctx, what, "from", args, stdout, func(f *backupFlags, s backup.Store, _ *admin.Client) error {
		switch what {
		case "prune":
			return prune(ctx, f, s, stdout)
		case "list":
			names, err := backup.Names(ctx, s)
			for _, n := range names {
				fmt.Fprintln(stdout, n)
			}
			return err
		}
		m, err := backup.Verify(ctx, s, f.o)
		if err == nil {
			fmt.Fprintf(stdout, "backup %s is whole: %s\n", m.Name, m.Summary())
		}
		return err
	})
}

// prune shows what isn't to be kept, and removes it if told to.
func prune(ctx context.Context, f *backupFlags, s backup.Store, stdout io.Writer) error {
	if f.prune.Keep < 1 {
		return wrongUse{errors.New("how many of the newest backups are to stay? Write -keep N, with N at least 1")}
	}
	if err := backup.Prune(ctx, s, time.Now(), &f.prune); err != nil {
		return err
	}
	for _, name := range f.prune.Backups {
		fmt.Fprintln(stdout, name)
	}
	if f.prune.Remove {
		fmt.Fprintf(stdout, "removed %s\n", f.prune.Summary())
	} else {
		fmt.Fprintf(stdout, "nothing was removed; add -yes to remove %s\n", f.prune.Summary())
	}
	return nil
}

// withBackup reads the flags of a command, and opens what it needs.
func withBackup(ctx context.Context, name, where string, args []string, stdout io.Writer, do func(*backupFlags, backup.Store, *admin.Client) error) error {
	fs, f := newBackupFlags(name, where)
	if err := fs.Parse(args); err != nil {
		return wrongUse{explainFlag(fs, err)}
	}
	if fs.NArg() > 0 {
		return wrongUse{fmt.Errorf("unexpected argument %q", fs.Arg(0))}
	}
	if f.where == "" {
		return wrongUse{errors.New("-" + where + " is missing: a folder, or s3://BUCKET/PREFIX")}
	}
	if f.topics != "" {
		f.o.Topics = strings.Split(f.topics, ",")
	}
	f.o.Say = func(format string, args ...any) { fmt.Fprintf(stdout, format+"\n", args...) }
	s, err := backup.Open(f.where, f.s3)
	if err != nil {
		return wrongUse{err}
	}
	if name != "backup" && name != "restore" {
		return do(f, s, nil)
	}
	addrs, secure, err := f.resolve()
	if err != nil {
		return err
	}
	client, err := admin.Connect(ctx, addrs, secure, f.login)
	if err != nil {
		return asWrongUse(err)
	}
	defer client.Close()
	return do(f, s, client)
}

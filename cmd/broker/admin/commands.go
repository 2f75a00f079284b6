// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// action is a command that has been understood.
type action func(context.Context, *admin) error

// command is one of the words that may follow "broker admin".
type command struct {
	name   string
	usages []usage
	parse  func(words []string, in io.Reader) (action, error)
}

// usage is a way to write a command. From the words that begin with a small letter or a dash, shells complete what is typed.
type usage struct{ words, help string }

// commands in the order in which help lists them.
func commands() []command {
	return []command{
		{"status", []usage{{"[-json] [-watch TIME]", "brokers, partitions without a leader, moves under way; exits with 1 if a partition has no leader"}}, parseStatus},
		{"topics", []usage{
			{"[-json] [-internal]", "all topics, and how many records they hold at most"},
			{"describe [-json] TOPIC...", "leader, replicas, in-sync replicas and offsets of each partition, and the settings that are not defaults"},
			{"create [-partitions N] [-replicas N] [-config NAME=VALUE] TOPIC...", "as many partitions and replicas as is the default, unless given; -config may be repeated"},
			{"delete [-yes] TOPIC...", "shows what would be deleted, and deletes it with -yes"},
		}, parseTopics},
		{"groups", []usage{
			{"[-json]", "all consumer groups and their state"},
			{"lag [-json] GROUP...", "committed offset, end and lag of each partition"},
			{
				"reset -to WHERE [-topic TOPIC[:P,P...]] [-yes] GROUP",
				"set committed offsets of a group without members: shows what would change, and changes it with -yes. " +
					"WHERE is earliest, latest, an offset, +N or -N from where it is, or a time such as 2026-01-31T12:00:00Z",
			},
		}, parseGroups},
		{"acls", []usage{
			{"[-json]", "the rules: who may do what"},
			{"add " + ruleWords, "allow it, for example: acls add -prefixed User:alice read,describe topic orders."},
			{"delete " + ruleWords, "delete these rules, and no others"},
		}, parseACLs},
		{"quotas", []usage{
			{"[-json]", "the quotas of users, client ids and addresses"},
			{"set " + quotaWords, "for example: quotas set user=alice producer_byte_rate=1048576. user= is the default of users; QUOTA= takes one away"},
		}, parseQuotas},
		{"transactions", []usage{
			{"[-json]", "all transactional ids and their state"},
			{"describe [-json] ID...", "since when they are open, and in which partitions"},
		}, parseTransactions},
		{"wait", []usage{{"", "wait until all replicas are in sync, so that the next broker can be stopped"}}, parseOlder("wait", 0, 0)},
		{"drain", []usage{{"BROKER...", "move all replicas of some brokers to the others, and wait until they are there"}}, parseOlder("drain", 1, 100)},
		{"remove", []usage{{"BROKER", "take a drained broker out of the cluster"}}, parseOlder("remove", 1, 1)},
		{"rebalance", []usage{{"", "spread replicas and leaders evenly over all brokers"}}, parseOlder("rebalance", 0, 0)},
		{"transfer", []usage{{"TOPIC PARTITION [BROKER]", "let a replica lead: the preferred one, or the one on that broker"}}, parseOlder("transfer", 2, 3)},
		{"features", []usage{{"", "which feature levels the brokers support, and at which one the cluster is"}}, parseOlder("features", 0, 0)},
		{"raise", []usage{{"[LEVEL]", "raise the feature level, after an upgrade of all brokers: there is no way back from it"}}, parseOlder("raise", 0, 1)},
		{"log-level", []usage{{"[-broker ID] [-json] [debug|info|warn|error]", "from which level on all brokers, or one of them, write lines into their logs; set it until they end"}}, parseLogLevel},
		{"user", []usage{
			{"add [-password-file FILE] [-iterations N] NAME", "make a user, or give one another password: the first line of the file, or of the standard input"},
			{"delete NAME", "it can't log in any more"},
			{"list", "who can log in"},
		}, parseUser},
	}
}

// Help lists the commands.
func Help() string {
	var b strings.Builder
	for _, c := range commands() {
		for _, u := range c.usages {
			head := strings.TrimSpace(c.name + " " + u.words)
			if len(head) > 29 {
				fmt.Fprintf(&b, "  %s\n  %-29s %s\n", head, "", u.help)
			} else {
				fmt.Fprintf(&b, "  %-29s %s\n", head, u.help)
			}
		}
	}
	b.WriteString(`
Where clients must log in, write -user NAME before the command, and give the password by -password-file FILE or by the
variable CHRONIK_PASSWORD. -mechanism is SCRAM-SHA-512 unless given. Instead, -token-file FILE logs in with a token by OAUTHBEARER.
`)
	return b.String()
}

// Complete lists what the last of some words may be, if they are typed after "broker admin".
func Complete(words []string) (found []string) {
	if len(words) < 2 {
		for _, c := range commands() {
			found = append(found, c.name)
		}
		return found
	}
	i := slices.IndexFunc(commands(), func(c command) bool { return c.name == words[0] })
	if i < 0 {
		return nil
	}
	for _, u := range commands()[i].usages {
		sub, rest, _ := strings.Cut(u.words, " ")
		switch {
		case sub == "" || sub[0] < 'a' || sub[0] > 'z': // no word of its own
			if len(words) == 2 {
				found = append(found, flagsIn(u.words)...)
			}
		case len(words) == 2:
			found = append(found, sub)
		case sub == words[1]:
			found = append(found, flagsIn(rest)...)
		}
	}
	return found
}

// flagsIn lists the flags in a usage.
func flagsIn(words string) (flags []string) {
	for _, w := range strings.Fields(words) {
		if w = strings.Trim(w, "[]"); strings.HasPrefix(w, "-") {
			flags = append(flags, w)
		}
	}
	return flags
}

// options are the flags and words of one command. Flags may stand before, between and after the words.
type options struct {
	*flag.FlagSet
	name string
	json *bool
}

func newOptions(name string) *options {
	o := &options{FlagSet: flag.NewFlagSet(name, flag.ContinueOnError), name: name}
	o.SetOutput(io.Discard)
	o.json = o.Bool("json", false, "")
	return o
}

// words takes the flags out, and returns the rest: at least and at most so many words. least is -1 for commands that
// take none.
func (o *options) words(args []string, least, most int) (rest []string, err error) {
	for {
		if err := o.Parse(args); err != nil {
			return nil, fmt.Errorf("admin %s: %w", o.name, err)
		}
		if args = o.Args(); len(args) == 0 {
			break
		}
		rest, args = append(rest, args[0]), args[1:]
	}
	if len(rest) < least || len(rest) > most {
		return nil, fmt.Errorf("admin %s: wrong number of words after it", o.name)
	}
	return rest, nil
}

// subcommand takes the first word off if it is one of those.
func subcommand(args []string, names ...string) (string, []string) {
	if len(args) > 0 && slices.Contains(names, args[0]) {
		return args[0], args[1:]
	}
	return "", args
}

// table prints rows under a head.
func (a *admin) table(head string, rows [][]any) {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.ReplaceAll(head, " ", "\t"))
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				fmt.Fprint(w, "\t")
			}
			fmt.Fprint(w, cell)
		}
		fmt.Fprintln(w)
	}
	w.Flush()
}

var errNoCommand = errors.New("admin needs a command")

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"chronik/cmd/broker/admin"
)

// Each shell asks `broker complete -- WORDS` what the last word may be, which may be empty. So the scripts never have to be
// printed anew, and one function answers all of them.
var completionScripts = map[string]string{
	"bash": `_broker() {
	local IFS=$'\n'
	COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _broker broker
`,
	"zsh": `#compdef broker
_broker() {
	local -a found
	found=("${(@f)$("${words[1]}" complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
	compadd -a found || _files
}
compdef _broker broker
`,
	"fish": `complete -c broker -a '(set -l before (commandline -opc); $before[1] complete -- $before[2..] (commandline -ct) 2>/dev/null)'
`,
}

func completion(args []string, stdout io.Writer) error {
	if len(args) != 1 || completionScripts[args[0]] == "" {
		return wrongUse{errors.New("completion: for which shell? bash, zsh or fish")}
	}
	_, err := fmt.Fprint(stdout, completionScripts[args[0]])
	return err
}

// complete lists what the last word may be that is typed after "broker".
func complete(words []string) (found []string) {
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	if len(words) == 0 {
		return nil
	}
	last := words[len(words)-1]
	for _, w := range candidates(words, last) {
		if strings.HasPrefix(w, last) && (last != "" || !strings.HasPrefix(w, "-")) || last == "-" {
			found = append(found, w)
		}
	}
	return found
}

func candidates(words []string, last string) []string {
	if len(words) == 1 && !strings.HasPrefix(last, "-") {
		return []string{"start", "local", "admin", "backup", "restore", "format", "check", "config", "health", "log", "recover", "completion", "version", "help"}
	}
	var flags []string
	switch words[0] {
	case "admin":
		fs, _ := adminFlags()
		fs.VisitAll(func(f *flag.Flag) { flags = append(flags, "-"+f.Name) })
		rest := words[1:]
		for len(rest) > 1 && strings.HasPrefix(rest[0], "-") { // each has a value
			rest = rest[min(2, len(rest)-1):]
			if rest[0] == last && len(rest) == 1 && slices.Contains(flags, words[len(words)-2]) {
				return nil // the value of a flag
			}
		}
		if len(rest) == 1 && strings.HasPrefix(last, "-") {
			return flags
		}
		return admin.Complete(rest)
	case "health":
		if len(words) == 2 && !strings.HasPrefix(last, "-") {
			return []string{"healthz", "readyz", "livez"}
		}
	case "log":
		if len(words) == 2 {
			return []string{"verify", "dump"}
		}
		return []string{"-config", "-dir", "-json", "-data", "-group"}
	case "recover":
		if len(words) == 2 {
			return []string{"plan", "apply"}
		}
		return []string{"-dir", "-out", "-cluster-id", "-skip", "-plan", "-confirm"}
	case "local":
		return []string{"-brokers", "-dir", "-port"}
	case "backup", "restore":
		name, where := words[0], "from"
		if slices.Contains(lookers, words[1]) {
			name = words[1]
		} else if name == "backup" {
			where = "to"
		}
		fs, _ := newBackupFlags(name, where)
		fs.VisitAll(func(f *flag.Flag) { flags = append(flags, "-"+f.Name) })
		if len(words) == 2 && words[0] == "backup" {
			return append(flags, lookers...)
		}
		return flags
	case "completion":
		return []string{"bash", "zsh", "fish"}
	}
	fs, _ := newFlags()
	fs.VisitAll(func(f *flag.Flag) { flags = append(flags, "-"+f.Name) })
	return flags
}

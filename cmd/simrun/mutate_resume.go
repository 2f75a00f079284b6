// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// progress is a file to which the fates of mutants are written as they come, so that a run that was stopped can go on. Its first line
// says of which run they are; each other one is a fate.
type progress struct {
	mu   sync.Mutex
	file *os.File
	done map[string]*fate // by id of the mutant: those that were there already
}

// run is what a fate depends on.
type run struct {
	Tree string   `json:"tree"` // a hash of all Go files
	Args []string `json:"args"` // that change what is run
}

// goOnWith lets the mutator write fates to a file, and takes over those that it has.
func (m *mutator) goOnWith(name string, tests bool) error {
	r := run{Args: []string{
		fmt.Sprint("-max-seeds=", m.most), fmt.Sprint("-runs=", m.runs), fmt.Sprint("-alike=", m.alike), "-profile=" + m.profile, fmt.Sprint("-tests=", tests),
	}}
	var err error
	if r.Tree, err = treeHash(m.root); err != nil {
		return err
	}
	m.kept, err = resumed(name, r)
	return err
}

// resumed opens a file of fates, or makes one. It refuses one of another run: its fates say nothing about this one.
func resumed(name string, r run) (*progress, error) {
	p := &progress{done: make(map[string]*fate)}
	head, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	whole := bytes.LastIndexByte(data, '\n') + 1 // the last line may be torn
	for i, line := range bytes.Split(data[:whole], []byte{'\n'}) {
		var f fate
		switch {
		case len(line) == 0:
		case i == 0 && !bytes.Equal(line, head):
			return nil, fmt.Errorf("%w: %s has results of %s, and this run is %s; name another file, or go on with that tree and those flags", errUsage, name, line, head)
		case i == 0:
		default:
			if err := json.Unmarshal(line, &f); err != nil {
				return nil, fmt.Errorf("%s, line %d: %w", name, i+1, err)
			}
			p.done[f.ID] = &f
		}
	}
	if p.file, err = os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644); err != nil {
		return nil, err
	}
	if err := p.file.Truncate(int64(whole)); err != nil {
		return nil, err
	}
	if _, err := p.file.Seek(int64(whole), 0); err != nil {
		return nil, err
	}
	if whole == 0 {
		_, err = fmt.Fprintf(p.file, "%s\n", head)
	}
	return p, err
}

// known is the fate of a mutant that was found out before, nil if it wasn't.
func (p *progress) known(id string) *fate {
	if p == nil {
		return nil
	}
	return p.done[id]
}

// keep writes a fate down. Several mutants are tried at a time.
func (p *progress) keep(f *fate) error {
	if p == nil {
		return nil
	}
	line, err := json.Marshal(f)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err = p.file.Write(append(line, '\n'))
	return err
}

// treeHash is a hash of the Go files of a tree. Whatever a mutant runs in is among them, but for what other modules have.
func treeHash(root string) (string, error) {
	h := sha256.New()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") && d.Name() != "go.sum" {
			return err
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, name)
		fmt.Fprintf(h, "%s %d\n%s", filepath.ToSlash(relative), len(data), data)
		return err
	})
	return fmt.Sprintf("%x", h.Sum(nil)[:8]), err
}

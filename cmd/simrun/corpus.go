// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"chronik/sim/hunt"
	"chronik/sim/plan"
)

// A corpus is a folder: each plan that is kept as NAME.json, which can be replayed; plans that failed as
// failed/NAME.json; and corpus.json, which says what the runs were like. A file is written under another name first, and corpus.json
// last, so whatever is interrupted leaves a corpus that can be read.

const (
	corpusFile   = "corpus.json"
	failedFolder = "failed"
)

// corpusState is what corpus.json holds.
type corpusState struct {
	Seed     uint64         `json:"seed"`
	Profiles []string       `json:"profiles"`
	Runs     uint64         `json:"runs"`
	Features []hunt.Counted `json:"features"`
	Kept     []keptState    `json:"kept"`
}

type keptState struct {
	Name     string `json:"name"`
	Steps    int64  `json:"steps"`
	Features []int  `json:"features"` // places in the list of all
}

// saveCorpus writes a corpus, and removes plans that aren't kept any more.
func saveCorpus(folder string, h *hunt.Hunt, seed uint64, profiles []string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	s := corpusState{Seed: seed, Profiles: profiles, Runs: h.Runs(), Features: h.Counts()}
	places := make(map[string]int)
	for i, c := range s.Features {
		places[c.Feature] = i
	}
	wanted := map[string]bool{corpusFile: true}
	for _, k := range h.Kept() {
		state := keptState{Name: k.Name, Steps: k.Steps}
		for _, f := range k.Features {
			state.Features = append(state.Features, places[f])
		}
		s.Kept = append(s.Kept, state)
		file := k.Name + ".json"
		wanted[file] = true
		if _, err := os.Stat(filepath.Join(folder, file)); err == nil {
			continue // the name follows from what is in it
		}
		if err := replaceFile(filepath.Join(folder, file), k.Plan.Bytes()); err != nil {
			return err
		}
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := replaceFile(filepath.Join(folder, corpusFile), text); err != nil {
		return err
	}
	return removeOthers(folder, wanted)
}

// removeOthers removes the plans of a corpus that aren't wanted, and what an interrupted writer left.
func removeOthers(folder string, wanted map[string]bool) error {
	files, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, f := range files {
		name := f.Name()
		ours := len(name) == len("0123456789abcdef.json") && strings.HasSuffix(name, ".json") || strings.HasSuffix(name, ".json"+unfinished)
		if f.IsDir() || wanted[name] || !ours {
			continue
		}
		if err := os.Remove(filepath.Join(folder, name)); err != nil {
			return err
		}
	}
	return nil
}

const unfinished = ".new"

// replaceFile writes a file as a whole or not at all.
func replaceFile(name string, text []byte) error {
	if err := os.WriteFile(name+unfinished, text, 0o644); err != nil {
		return err
	}
	return os.Rename(name+unfinished, name)
}

// loadCorpus adds the corpus of a folder to a search. A folder that has none adds nothing.
func loadCorpus(folder string, h *hunt.Hunt) (*corpusState, error) {
	text, err := os.ReadFile(filepath.Join(folder, corpusFile))
	if errors.Is(err, fs.ErrNotExist) {
		return new(corpusState), nil
	}
	if err != nil {
		return nil, err
	}
	s := new(corpusState)
	if err := json.Unmarshal(text, s); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(folder, corpusFile), err)
	}
	var kept []*hunt.Kept
	for _, state := range s.Kept {
		k, err := loadKept(folder, state, s.Features)
		if err != nil {
			return nil, err
		}
		kept = append(kept, k)
	}
	h.Resume(s.Runs, s.Features, kept)
	return s, nil
}

func loadKept(folder string, state keptState, features []hunt.Counted) (*hunt.Kept, error) {
	file := filepath.Join(folder, state.Name+".json")
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	p, err := plan.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; the corpus is of another version", file, err)
	}
	k := &hunt.Kept{Name: state.Name, Plan: p, Steps: state.Steps}
	for _, i := range state.Features {
		if i < 0 || i >= len(features) {
			return nil, fmt.Errorf("%s: plan %s has feature %d of %d", filepath.Join(folder, corpusFile), state.Name, i, len(features))
		}
		k.Features = append(k.Features, features[i].Feature)
	}
	return k, nil
}

// saveFailed keeps a plan that failed, and returns its file.
func saveFailed(folder string, p *plan.Plan) (string, error) {
	folder = filepath.Join(folder, failedFolder)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	file := filepath.Join(folder, hunt.Name(p)+".json")
	return file, replaceFile(file, p.Bytes())
}

// mergeCorpora makes one corpus of several, with as few plans as show every feature of them.
func mergeCorpora(into string, folders []string) (*hunt.Hunt, error) {
	h := hunt.New(0, nil)
	var profiles []string
	var seed uint64
	for i, folder := range folders {
		s, err := loadCorpus(folder, h)
		if err != nil {
			return nil, err
		}
		if s.Runs == 0 {
			return nil, fmt.Errorf("%w: no corpus in %s", errUsage, folder)
		}
		if i == 0 {
			seed = s.Seed
		}
		profiles = append(profiles, s.Profiles...)
	}
	slices.Sort(profiles)
	h.Minimise()
	return h, saveCorpus(into, h, seed, slices.Compact(profiles))
}

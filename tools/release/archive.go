// SPDX-License-Identifier: Apache-2.0

package main

import (
	"compress/gzip"
	"debug/buildinfo"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// deployed are the files of deploy/ that belong to a release.
const deployed = "deploy"

// writeArchive writes the program, the licence and what deploy/ has.
func (src *source) writeArchive(binary, file string) error {
	data, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	top := strings.TrimSuffix(filepath.Base(file), ".tar.gz") + "/"
	entries := []entry{{path: top, mode: 0o755, dir: true}, {path: top + "broker", mode: 0o755, data: data}}
	add := func(path string) error {
		text, err := os.ReadFile(filepath.Join(src.dir, path))
		entries = append(entries, entry{path: top + path, mode: 0o644, data: text})
		return err
	}
	for _, path := range []string{"LICENSE", "CHANGELOG.md"} {
		if err := add(path); err != nil {
			return err
		}
	}
	err = fs.WalkDir(os.DirFS(src.dir), deployed, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			entries = append(entries, entry{path: top + path + "/", mode: 0o755, dir: true})
			return nil
		}
		return add(path)
	})
	if err != nil {
		return err
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	z := gzip.NewWriter(f)
	if err := layTar(z, entries, src.time); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return f.Close()
}

// component is one entry of a CycloneDX bill of materials.
type component struct {
	Type    string `json:"type"`
	Name    string `json:"name"`
	Version string `json:"version"`
	Purl    string `json:"purl"`
}

// writeBill lists the modules that the compiler noted in the program.
func (src *source) writeBill(binary, file string) error {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return err
	}
	bill := struct {
		Format   string `json:"bomFormat"`
		Spec     string `json:"specVersion"`
		Version  int    `json:"version"`
		Metadata struct {
			Timestamp string    `json:"timestamp"`
			Component component `json:"component"`
		} `json:"metadata"`
		Components []component `json:"components"`
	}{Format: "CycloneDX", Spec: "1.5", Version: 1}
	bill.Metadata.Timestamp = src.time.Format("2006-01-02T15:04:05Z")
	bill.Metadata.Component = component{"application", "chronik", src.version, "pkg:golang/chronik@" + src.version}
	goVersion := strings.TrimPrefix(info.GoVersion, "go")
	bill.Components = append(bill.Components, component{"library", "std", goVersion, "pkg:golang/std@" + goVersion})
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		bill.Components = append(bill.Components, component{"library", m.Path, m.Version, "pkg:golang/" + m.Path + "@" + m.Version})
	}
	text, err := json.MarshalIndent(bill, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

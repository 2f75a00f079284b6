// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Shadow returns an FS that begins as a copy of another one and keeps in memory what is written to it. So a log can be
// opened, which writes, without a change of its files.
func Shadow(fs FS) FS { return &shadow{fs: fs} }

// shadow holds the files that were opened, made or removed.
type shadow struct {
	fs    FS
	files []shadowName // ascending
}

type shadowName struct {
	name string
	file *shadowFile // nil: removed
}

// pageBytes is how much of a file is kept in memory when any of it was written.
const pageBytes = 4096

// shadowFile is a file whose pages hide those of the one below.
type shadowFile struct {
	below File // nil if it was made here
	old   int64
	size  int64
	pages map[int64][]byte // by number
}

// find returns where a file's name is, or belongs.
func (s *shadow) find(name string) (at int, known bool) {
	return slices.BinarySearchFunc(s.files, name, func(f shadowName, name string) int { return strings.Compare(f.name, name) })
}

func (s *shadow) set(name string, file *shadowFile) {
	at, known := s.find(name)
	if !known {
		s.files = slices.Insert(s.files, at, shadowName{name: name})
	}
	s.files[at].file = file
}

func (s *shadow) List() ([]string, error) {
	names, err := s.fs.List()
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(name string) bool { _, known := s.find(name); return known })
	for _, f := range s.files {
		if f.file != nil {
			names = append(names, f.name)
		}
	}
	slices.Sort(names)
	return names, nil
}

func (s *shadow) Create(name string) (File, error) {
	names, err := s.List()
	if err != nil {
		return nil, err
	}
	if slices.Contains(names, name) {
		return nil, fmt.Errorf("%s exists", name)
	}
	f := &shadowFile{pages: make(map[int64][]byte)}
	s.set(name, f)
	return f, nil
}

func (s *shadow) Open(name string) (File, error) {
	switch at, known := s.find(name); {
	case known && s.files[at].file != nil:
		return s.files[at].file, nil
	case known:
		return nil, fmt.Errorf("%s was removed", name)
	}
	below, err := s.fs.Open(name)
	if err != nil {
		return nil, err
	}
	size, err := below.Size()
	if err != nil {
		below.Close()
		return nil, err
	}
	f := &shadowFile{below: below, old: size, size: size, pages: make(map[int64][]byte)}
	s.set(name, f)
	return f, nil
}

func (s *shadow) Remove(name string) error {
	f, err := s.Open(name)
	if err != nil {
		return err
	}
	s.set(name, nil)
	if f := f.(*shadowFile); f.below != nil {
		return f.below.Close()
	}
	return nil
}

func (s *shadow) SyncDir() error { return nil }

func (f *shadowFile) ReadAt(p []byte, off int64) (int, error) {
	n := int(max(0, min(int64(len(p)), f.size-off)))
	for done := 0; done < n; {
		page, from := (off+int64(done))/pageBytes, (off+int64(done))%pageBytes
		part := p[done:min(n, done+int(pageBytes-from))]
		if kept := f.pages[page]; kept != nil {
			copy(part, kept[from:])
		} else if err := f.readBelow(part, off+int64(done)); err != nil {
			return done, err
		}
		done += len(part)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// readBelow fills p from the file below, and with zeros behind its end.
func (f *shadowFile) readBelow(p []byte, off int64) error {
	n := max(0, min(int64(len(p)), f.old-off))
	clear(p[n:])
	if n == 0 {
		return nil
	}
	return readFull(f.below, p[:n], off)
}

func (f *shadowFile) WriteAt(p []byte, off int64) (int, error) {
	for done := 0; done < len(p); {
		page, from := (off+int64(done))/pageBytes, (off+int64(done))%pageBytes
		part := p[done:min(len(p), done+int(pageBytes-from))]
		// A new segment is filled with zeros: they are what a page without memory holds.
		if kept := f.pages[page]; kept != nil {
			copy(kept[from:], part)
		} else if page*pageBytes < f.old || slices.ContainsFunc(part, func(b byte) bool { return b != 0 }) {
			kept = make([]byte, pageBytes)
			if err := f.readBelow(kept, page*pageBytes); err != nil {
				return done, err
			}
			copy(kept[from:], part)
			f.pages[page] = kept
		}
		done += len(part)
	}
	f.size = max(f.size, off+int64(len(p)))
	return len(p), nil
}

func (f *shadowFile) Size() (int64, error) { return f.size, nil }
func (f *shadowFile) Sync() error          { return nil }

// Close keeps the file open: the next one who opens it finds what was written.
func (f *shadowFile) Close() error { return nil }

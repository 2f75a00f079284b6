// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
)

// writeDebian writes a package: the program, the unit for systemd, a configuration to begin with, and a user.
func (src *source) writeDebian(binary, arch, file string) error {
	in := func(name string) string { return filepath.Join(src.dir, deployed, "systemd", name) }
	content := func(from, to, kind string, mode fs.FileMode) *files.Content {
		return &files.Content{Source: from, Destination: to, Type: kind, FileInfo: &files.ContentFileInfo{Mode: mode, MTime: src.time, Owner: "root", Group: "root"}}
	}
	info := &nfpm.Info{
		Name: "chronik", Arch: arch, Platform: "linux", Version: strings.TrimPrefix(src.version, "v"), MTime: src.time,
		Section: "database", Priority: "optional", Maintainer: "Chronik <chronik@localhost>", License: "Apache-2.0",
		Description: "Kafka-compatible, replicated log broker\n" +
			"One static program. Edit /etc/chronik/broker.toml, format the data folder\nof each founder, and start the unit chronik.",
		Overridables: nfpm.Overridables{
			Depends: []string{"systemd"},
			Contents: files.Contents{
				content(binary, "/usr/bin/chronik-broker", "", 0o755),
				content(in("chronik.service"), "/usr/lib/systemd/system/chronik.service", "", 0o644),
				content(in("chronik.sysusers"), "/usr/lib/sysusers.d/chronik.conf", "", 0o644),
				content(in("broker.toml"), "/etc/chronik/broker.toml", files.TypeConfigNoReplace, 0o640),
				content(filepath.Join(src.dir, "LICENSE"), "/usr/share/doc/chronik/copyright", "", 0o644),
			},
			Scripts: nfpm.Scripts{PostInstall: in("postinst"), PreRemove: in("prerm")},
			Deb:     nfpm.Deb{Compression: "gzip"},
		},
	}
	nfpm.WithDefaults(info)
	packager, err := nfpm.Get("deb")
	if err != nil {
		return err
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := packager.Package(info, f); err != nil {
		return err
	}
	return f.Close()
}

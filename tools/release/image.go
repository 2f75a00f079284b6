// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

const (
	imageName = "chronik"
	// userID is who runs in the image; the data folder is his.
	userID  = 65532
	program = "/usr/local/bin/broker"
	dataDir = "/data"
)

// entry is a file or folder of a layer or an archive.
type entry struct {
	path  string
	mode  int64
	owner int
	dir   bool
	data  []byte
}

// layTar writes entries as they are, all with the same time.
func layTar(w io.Writer, entries []entry, at time.Time) error {
	t := tar.NewWriter(w)
	for _, e := range entries {
		h := &tar.Header{Name: e.path, Mode: e.mode, Uid: e.owner, Gid: e.owner, Size: int64(len(e.data)), ModTime: at, Typeflag: tar.TypeReg, Format: tar.FormatPAX}
		if e.dir {
			h.Typeflag = tar.TypeDir
		}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(e.data); err != nil {
			return err
		}
	}
	return t.Close()
}

// image is the container image: the static program, two users and an empty data folder. There is no shell in it, and nothing that runs as root.
func (src *source) image(file, arch string) (v1.Image, error) {
	binary, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	img := mutate.ConfigMediaType(empty.Image, "application/vnd.docker.container.image.v1+json")
	for _, entries := range [][]entry{
		{
			{path: "etc/", mode: 0o755, dir: true},
			{path: "etc/passwd", mode: 0o644, data: []byte("root:x:0:0:root:/:/sbin/nologin\nchronik:x:65532:65532:chronik:/data:/sbin/nologin\n")},
			{path: "etc/group", mode: 0o644, data: []byte("root:x:0:\nchronik:x:65532:\n")},
			{path: "data/", mode: 0o750, owner: userID, dir: true},
		},
		{
			{path: "usr/", mode: 0o755, dir: true},
			{path: "usr/local/", mode: 0o755, dir: true},
			{path: "usr/local/bin/", mode: 0o755, dir: true},
			{path: program[1:], mode: 0o755, data: binary},
		},
	} {
		var b bytes.Buffer
		if err := layTar(&b, entries, src.time); err != nil {
			return nil, err
		}
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
		if err != nil {
			return nil, err
		}
		if img, err = mutate.AppendLayers(img, layer); err != nil {
			return nil, err
		}
	}
	return mutate.ConfigFile(img, src.imageConfig(img, arch))
}

// imageConfig says how the image is run.
func (src *source) imageConfig(img v1.Image, arch string) *v1.ConfigFile {
	cfg, err := img.ConfigFile()
	if err != nil {
		panic(err) // it is in memory
	}
	cfg = cfg.DeepCopy()
	cfg.OS, cfg.Architecture, cfg.Created = "linux", arch, v1.Time{Time: src.time}
	cfg.Config = v1.Config{
		User:       "65532:65532",
		Entrypoint: []string{program},
		Cmd:        []string{"start"},
		WorkingDir: dataDir,
		// Clients that don't prove who they are come in only if CHRONIK_ALLOW_STRANGERS or the configuration says so.
		Env:          []string{"PATH=/usr/local/bin", "CHRONIK_DIR=" + dataDir, "CHRONIK_LISTEN=0.0.0.0:9092", "CHRONIK_METRICS=0.0.0.0:9644"},
		ExposedPorts: map[string]struct{}{"9092/tcp": {}, "9192/tcp": {}, "9644/tcp": {}},
		Volumes:      map[string]struct{}{dataDir: {}},
		Healthcheck:  &v1.HealthConfig{Test: []string{"CMD", program, "health"}, Interval: 10 * time.Second, Timeout: 6 * time.Second, StartPeriod: time.Minute, Retries: 3},
		StopSignal:   "SIGTERM",
		Labels: map[string]string{
			"org.opencontainers.image.title":    "Chronik",
			"org.opencontainers.image.version":  src.version,
			"org.opencontainers.image.revision": src.commit,
			"org.opencontainers.image.licenses": "Apache-2.0",
		},
	}
	return cfg
}

// writeImage writes it as `docker load`, `podman load` and `ctr images import` take it.
func (src *source) writeImage(binary, arch, file string) error {
	img, err := src.image(binary, arch)
	if err != nil {
		return err
	}
	tag, err := name.NewTag(imageName + ":" + src.version)
	if err != nil {
		return err
	}
	return tarball.WriteToFile(file, tag, img)
}

// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Store is where backups are kept. What Put has returned for stays there.
type Store interface {
	Put(ctx context.Context, name string, data []byte) error
	Get(ctx context.Context, name string) ([]byte, error)
	List(ctx context.Context, prefix string) ([]string, error)    // of a folder
	ListAll(ctx context.Context, prefix string) ([]string, error) // and those below it
	Delete(ctx context.Context, name string) error
}

// S3 is how an S3 API is reached.
type S3 struct{ Endpoint, Region string }

// Open takes the name of a folder, or s3://BUCKET/PREFIX. Credentials come from where those of AWS's own tools do.
func Open(where string, s3 S3) (Store, error) {
	rest, ok := strings.CutPrefix(where, "s3://")
	switch {
	case where == "":
		return nil, errors.New("where? A folder, or s3://BUCKET/PREFIX")
	case !ok:
		return folder(where), nil
	}
	bucket, prefix, _ := strings.Cut(rest, "/")
	if s3.Endpoint == "" {
		s3.Endpoint = "https://s3.amazonaws.com"
	}
	u, err := url.Parse(s3.Endpoint)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("-s3-endpoint %s: write it as https://HOST:PORT", s3.Endpoint)
	}
	client, err := minio.New(u.Host, &minio.Options{
		Secure: u.Scheme == "https", Region: s3.Region,
		Creds: credentials.NewChainCredentials([]credentials.Provider{&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{}}),
	})
	if err != nil {
		return nil, err
	}
	return &bucketStore{client, bucket, strings.Trim(prefix, "/")}, nil
}

// folder is a folder of files.
type folder string

func (f folder) String() string { return "folder " + string(f) }

// Put writes a file under another name first, so that one with a right name is whole.
func (f folder) Put(_ context.Context, name string, data []byte) error {
	file := filepath.Join(string(f), filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".part-*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return syncFolders(filepath.Dir(file), string(f))
}

// syncFolders makes the names in a folder, and those of it and the ones above it, outlast a crash.
func syncFolders(dir, top string) error {
	for {
		d, err := os.Open(dir)
		if err != nil {
			return err
		}
		if err := errors.Join(d.Sync(), d.Close()); err != nil {
			return err
		}
		if dir == filepath.Clean(top) || dir == filepath.Dir(dir) {
			return nil
		}
		dir = filepath.Dir(dir)
	}
}

func (f folder) Get(_ context.Context, name string) ([]byte, error) {
	return os.ReadFile(filepath.Join(string(f), filepath.FromSlash(name)))
}

func (f folder) List(_ context.Context, prefix string) (names []string, err error) {
	entries, err := os.ReadDir(filepath.Join(string(f), filepath.FromSlash(prefix)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		names = append(names, prefix+e.Name())
	}
	return names, err
}

func (f folder) ListAll(_ context.Context, prefix string) (names []string, err error) {
	err = filepath.WalkDir(filepath.Join(string(f), filepath.FromSlash(prefix)), func(file string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(string(f), file)
		names = append(names, filepath.ToSlash(name))
		return err
	})
	return names, err
}

func (f folder) Delete(_ context.Context, name string) error {
	return os.Remove(filepath.Join(string(f), filepath.FromSlash(name)))
}

// bucketStore is objects in a bucket whose names begin with a prefix.
type bucketStore struct {
	client         *minio.Client
	bucket, prefix string
}

func (b *bucketStore) String() string { return "s3://" + path.Join(b.bucket, b.prefix) }

func (b *bucketStore) Put(ctx context.Context, name string, data []byte) error {
	_, err := b.client.PutObject(ctx, b.bucket, path.Join(b.prefix, name), bytes.NewReader(data), int64(len(data)), minio.PutObjectOptions{ContentType: "application/octet-stream"})
	return err
}

func (b *bucketStore) Get(ctx context.Context, name string) ([]byte, error) {
	o, err := b.client.GetObject(ctx, b.bucket, path.Join(b.prefix, name), minio.GetObjectOptions{})
	if err != nil {
		return nil, err
	}
	defer o.Close()
	return io.ReadAll(o)
}

func (b *bucketStore) Delete(ctx context.Context, name string) error {
	return b.client.RemoveObject(ctx, b.bucket, path.Join(b.prefix, name), minio.RemoveObjectOptions{})
}

func (b *bucketStore) List(ctx context.Context, prefix string) ([]string, error) {
	return b.list(ctx, prefix, false)
}

func (b *bucketStore) ListAll(ctx context.Context, prefix string) ([]string, error) {
	return b.list(ctx, prefix, true)
}

func (b *bucketStore) list(ctx context.Context, prefix string, below bool) (names []string, err error) {
	base := b.prefix
	if base != "" {
		base += "/"
	}
	for o := range b.client.ListObjects(ctx, b.bucket, minio.ListObjectsOptions{Prefix: base + prefix, Recursive: below}) {
		if o.Err != nil {
			return nil, o.Err
		}
		names = append(names, strings.TrimPrefix(o.Key, base))
	}
	return names, nil
}

package inspect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// Directory has an OCI layout, as cache exports of type local and image exports of type
// oci with tar=false write it.
type Directory string

// IsDirectory tells whether there is an OCI layout under a name.
func IsDirectory(name string) bool {
	_, err := os.Stat(filepath.Join(name, ocispecs.ImageIndexFile))
	return err == nil
}

func (d Directory) roots(context.Context) ([]root, error) {
	path := filepath.Join(string(d), ocispecs.ImageIndexFile)
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, readLimit+1))
	if err != nil {
		return nil, err
	}
	if len(data) > readLimit {
		return nil, fmt.Errorf("%s %w", path, errTooLarge)
	}
	var index ocispecs.Index
	if err := json.Unmarshal(data, &index); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var roots []root
	for _, desc := range index.Manifests {
		name := string(d)
		if tag := desc.Annotations[ocispecs.AnnotationRefName]; tag != "" {
			name += ":" + tag
		}
		roots = append(roots, root{name, desc})
	}
	return roots, nil
}

func (d Directory) manifest(ctx context.Context, dgst digest.Digest) ([]byte, error) {
	return d.blob(ctx, dgst)
}

func (d Directory) blob(_ context.Context, dgst digest.Digest) ([]byte, error) {
	f, _, err := d.open(dgst)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readVerified(f, dgst)
}

func (d Directory) size(_ context.Context, dgst digest.Digest) (int64, error) {
	f, size, err := d.open(dgst)
	if err != nil {
		return 0, err
	}
	return size, f.Close()
}

// open opens a blob, which must be a regular file: a pipe would make the reader wait.
func (d Directory) open(dgst digest.Digest) (*os.File, int64, error) {
	if dgst.Validate() != nil {
		return nil, 0, errMissing
	}
	path := filepath.Join(string(d), ocispecs.ImageBlobsDir, dgst.Algorithm().String(), dgst.Encoded())
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, errMissing
	}
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, errMissing
	}
	f, err := os.Open(path)
	return f, info.Size(), err
}

package harness

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// The names that the service and its clients share.
const (
	s3Bucket = "cache"
	s3Key    = "key"
	s3Secret = "a-long-secret"
	s3Region = "us-east-1"
)

// S3 is a running S3 service on loopback, with one bucket.
type S3 struct {
	*server
	url string
}

var s3Address = regexp.MustCompile(`(http://127\.0\.0\.1:[0-9]+)`)

// StartS3 starts the versitygw program and returns when it serves.
func StartS3(ctx context.Context, binary string) (*S3, error) {
	// The program logs the port that it was told, not the one that it got.
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	s, url, err := startServer(ctx, "S3 service", s3Address, func(dir string) (Command, error) {
		root := filepath.Join(dir, "root")
		return Command{
			Path: binary,
			Args: []string{"--access", s3Key, "--secret", s3Secret, "--region", s3Region, "--port", address, "posix", root},
		}, os.MkdirAll(filepath.Join(root, s3Bucket), 0o700)
	})
	if err != nil {
		return nil, err
	}
	// It logs the address before it listens.
	if err := s.answers(ctx, address); err != nil {
		return nil, errors.Join(fmt.Errorf("start the S3 service: %w", err), s.Stop(ctx), s.Remove())
	}
	return &S3{server: s, url: url}, nil
}

// Attributes are those of an export or import of type s3, for the cache of a
// name.
func (s *S3) Attributes(name string) string {
	return strings.Join([]string{
		"type=s3", "endpoint_url=" + s.url, "use_path_style=true", "region=" + s3Region, "bucket=" + s3Bucket,
		"access_key_id=" + s3Key, "secret_access_key=" + s3Secret, "prefix=" + name + "/", "name=" + name,
	}, ",")
}

// Cache reads what a cache export of type s3 has written under a name. The
// service keeps its objects as files.
func (s *S3) Cache(name string) (CacheManifest, error) {
	m, err := readBucket(filepath.Join(s.dir, "root", s3Bucket, name), name)
	if err != nil {
		return CacheManifest{}, fmt.Errorf("read the cache %s: %w", name, err)
	}
	return m, nil
}

func readBucket(dir, name string) (CacheManifest, error) {
	manifest, err := os.ReadFile(filepath.Join(dir, "manifests", name))
	if err != nil {
		return CacheManifest{}, err
	}
	entries, err := os.ReadDir(filepath.Join(dir, "blobs"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return CacheManifest{}, err
	}
	var blobs []string
	for _, entry := range entries {
		blobs = append(blobs, entry.Name())
	}
	return parseObjects(manifest, blobs)
}

package harness

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	cdcompression "github.com/containerd/containerd/v2/pkg/archive/compression"
	"github.com/moby/buildkit/util/compression"
)

// GitHubCache is a running cache service of GitHub Actions on loopback.
type GitHubCache struct {
	*server
	// URL is its address, and Token what a client shows there.
	URL, Token string
	// Attributes are those of an export or import of type gha.
	Attributes string
}

var githubCacheAddress = regexp.MustCompile(`listening on (http://[^\s]+)`)

// StartGitHubCache starts the ghacache program and returns when it listens.
func StartGitHubCache(ctx context.Context, binary string) (*GitHubCache, error) {
	s, url, err := startServer(ctx, "GitHub cache", githubCacheAddress, func(dir string) (Command, error) {
		return Command{Path: binary, Args: []string{dir}}, nil
	})
	if err != nil {
		return nil, err
	}
	c := &GitHubCache{server: s, URL: url + "/", Token: githubToken(time.Now())}
	c.Attributes = fmt.Sprintf("type=gha,url=%s,token=%s,scope=test", c.URL, c.Token)
	return c, nil
}

// Blobs are the compressions of all layers that were written. The service keeps what it
// is sent as files: layers, and caches in JSON.
func (c *GitHubCache) Blobs() ([]compression.Type, error) {
	var blobs []compression.Type
	err := filepath.WalkDir(filepath.Join(c.dir, "cache"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil || json.Valid(data) {
			return err
		}
		switch cdcompression.DetectCompression(data) {
		case cdcompression.Gzip:
			blobs = append(blobs, compression.Gzip)
		case cdcompression.Zstd:
			blobs = append(blobs, compression.Zstd)
		default:
			blobs = append(blobs, compression.Uncompressed)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read what the GitHub cache has: %w", err)
	}
	return blobs, nil
}

// githubToken is a token with access to everything. The client reads it, nobody
// checks its signature.
func githubToken(now time.Time) string {
	part := func(claims map[string]any) string {
		text, err := json.Marshal(claims)
		if err != nil {
			panic(err) // strings and numbers
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	return part(map[string]any{"alg": "HS256", "typ": "JWT"}) + "." + part(map[string]any{
		"ac":  `[{"Scope":"refs/heads/main","Permission":3}]`,
		"nbf": now.Add(-time.Hour).Unix(),
		"exp": now.Add(time.Hour).Unix(),
	}) + "." + base64.RawURLEncoding.EncodeToString([]byte("unsigned"))
}

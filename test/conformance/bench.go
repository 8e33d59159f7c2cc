package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/bkguard/bkguard/test/harness"
)

// The daemons, by the names that they have on the page.
const (
	stock   = "stock"
	guarded = "guarded"
)

// bench is what upstream's tests find around them: programs on their PATH, a mirror of
// Docker Hub and a cache service of GitHub. Call close when done.
type bench struct {
	dir      string
	source   source
	registry *harness.Registry
	github   *harness.GitHubCache
	// mirror is the directory that upstream's registry of mirrored images serves.
	mirror string
	// keys is the directory with what tests sign with; empty means none.
	keys string
	// converter is the program behind go tool test2json.
	converter string
}

// newBench makes a bench in a directory.
func newBench(ctx context.Context, dir string) (_ *bench, err error) {
	programs, err := harness.FindBinaries()
	if err != nil {
		return nil, err
	}
	b := &bench{dir: dir, mirror: filepath.Join(dir, "mirror")}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close(ctx))
		}
	}()
	if b.source, err = copySource(ctx, filepath.Join(dir, "buildkit")); err != nil {
		return nil, err
	}
	if b.converter, err = command(ctx, dir, "go", "tool", "-n", "test2json"); err != nil {
		return nil, err
	}
	if b.keys, err = b.source.makeKeys(ctx, filepath.Join(dir, "keys")); err != nil {
		return nil, err
	}
	if err := b.linkDaemons(programs); err != nil {
		return nil, err
	}
	if err := b.linkTools(); err != nil {
		return nil, err
	}
	if b.registry, err = harness.StartForeignRegistry(ctx, programs.Registry); err != nil {
		return nil, err
	}
	if err := pushImages(ctx, b.registry); err != nil {
		return nil, err
	}
	if err := b.writeMirror(); err != nil {
		return nil, err
	}
	service, err := harness.FindTool("ghacache")
	if err != nil {
		return nil, err
	}
	b.github, err = harness.StartGitHubCache(ctx, service)
	return b, err
}

// path is the directory with the programs of a daemon.
func (b *bench) path(daemon string) string { return filepath.Join(b.dir, daemon) }

// tools is the directory with the programs that both daemons have beside them.
func (b *bench) tools() string { return filepath.Join(b.dir, "tools") }

// mirrorConfig is what upstream's registry finds in the directory of its mirror, in
// place of what it would write there (util/testutil/integration/registry.go).
const mirrorConfig = `version: 0.1
log:
  level: debug
storage:
  filesystem:
    rootdirectory: %s
http:
  addr: 127.0.0.1:0
`

func (b *bench) writeMirror() error {
	if err := os.Mkdir(b.mirror, 0o755); err != nil {
		return err
	}
	config := fmt.Sprintf(mirrorConfig, b.registry.Storage())
	return os.WriteFile(filepath.Join(b.mirror, "config.yaml"), []byte(config), 0o600)
}

// environment is that of the tests: upstream's own variables, and nothing of the caller's
// home.
func (b *bench) environment(daemon, temp string) []string {
	path := []string{b.path(daemon), b.tools(), os.Getenv("PATH")}
	env := []string{
		"PATH=" + strings.Join(path, string(os.PathListSeparator)),
		"HOME=" + temp,
		"TMPDIR=" + temp,
		"BUILDKIT_REGISTRY_MIRROR_DIR=" + b.mirror,
		"ACTIONS_CACHE_URL=" + b.github.URL,
		"ACTIONS_RUNTIME_TOKEN=" + b.github.Token,
		// Upstream's registry is v2, which takes an index of layers, as caches may be.
		"REGISTRY_VALIDATION_MANIFESTS_INDEXES_PLATFORMS=none",
		// It is part of the scope of the cache: no daemon finds what the other one has exported.
		"GITHUB_REF=refs/heads/" + daemon,
	}
	if b.keys != "" {
		env = append(env, "BUILDKIT_TEST_SIGN_FIXTURES="+b.keys)
	}
	return env
}

// close stops and removes all.
func (b *bench) close(ctx context.Context) error {
	var errs []error
	if b.registry != nil {
		errs = append(errs, b.registry.Stop(ctx), b.registry.Remove())
	}
	if b.github != nil {
		errs = append(errs, b.github.Stop(ctx), b.github.Remove())
	}
	return errors.Join(errs...)
}

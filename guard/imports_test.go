package guard

import (
	"go/build"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// allowedImports are the modules that the library itself may import from.
var allowedImports = []string{
	"github.com/KimMachineGun/automemlimit",
	"github.com/bkguard/bkguard",
	"github.com/containerd/containerd/v2",
	"github.com/containerd/errdefs",
	"github.com/containerd/platforms",
	"github.com/containerd/stargz-snapshotter/estargz",
	"github.com/fsnotify/fsnotify",
	"github.com/moby/buildkit",
	"github.com/opencontainers/go-digest",
	"github.com/opencontainers/image-spec",
	"github.com/sirupsen/logrus",
	"go.opentelemetry.io/otel",
	"golang.org/x/time",
}

// daemonParts are what makes a daemon of buildkit's interfaces: who embeds the
// guard chooses them, so the guard must not bring them.
var daemonParts = []string{
	"github.com/moby/buildkit/cache/remotecache/azblob",
	"github.com/moby/buildkit/cache/remotecache/gha",
	"github.com/moby/buildkit/cache/remotecache/inline",
	"github.com/moby/buildkit/cache/remotecache/local",
	"github.com/moby/buildkit/cache/remotecache/registry",
	"github.com/moby/buildkit/cache/remotecache/s3",
	"github.com/moby/buildkit/executor/containerdexecutor",
	"github.com/moby/buildkit/executor/runcexecutor",
	"github.com/moby/buildkit/frontend/dockerfile/builder",
	"github.com/moby/buildkit/worker/base",
	"github.com/moby/buildkit/worker/containerd",
	"github.com/moby/buildkit/worker/runc",
}

// within reports whether a package is one of the trees.
func within(pkg string, trees []string) bool {
	return slices.ContainsFunc(trees, func(tree string) bool { return pkg == tree || strings.HasPrefix(pkg, tree+"/") })
}

func TestImports(t *testing.T) {
	pkg, err := build.ImportDir(".", 0)
	require.NoError(t, err)
	require.NotEmpty(t, pkg.Imports)
	for _, path := range pkg.Imports {
		if name, _, _ := strings.Cut(path, "/"); strings.Contains(name, ".") {
			assert.True(t, within(path, allowedImports), path)
		}
	}
}

func TestNoPartOfTheDaemonComesAlong(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	require.NoError(t, err)
	all := strings.Fields(string(out))
	require.Contains(t, all, "github.com/moby/buildkit/worker")
	for _, path := range all {
		if path == "github.com/moby/buildkit/cache/remotecache/gha/ghatypes" {
			continue // types of the daemon's configuration, which control has
		}
		assert.False(t, within(path, daemonParts), path)
	}
}

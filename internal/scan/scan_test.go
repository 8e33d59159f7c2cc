package scan

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/moby/buildkit/util/compression"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/internal/cachetest"
	"github.com/bkguard/bkguard/internal/inventory"
)

// live is what a cache says of itself.
func live(t *testing.T, c *cachetest.Cache) *inventory.Inventory {
	t.Helper()
	records, err := inventory.ReadRecords(c.Ctx, c.Manager)
	require.NoError(t, err)
	stored, err := inventory.ReadContent(c.Ctx, c.Store)
	require.NoError(t, err)
	i, err := inventory.New(c.Ctx, records, stored)
	require.NoError(t, err)
	return i
}

// TestCacheInUse has the databases of a cache that is open, and so locked.
func TestCacheInUse(t *testing.T) {
	c := cachetest.New(t)
	c.Chain(t, 6, compression.Zstd, compression.EStargz)
	workers, err := Root(t.Context(), c.Root, "")
	require.NoError(t, err)
	want := live(t, c)
	require.Len(t, want.Variants, 6)
	assert.Equal(t, []Worker{{Name: filepath.Base(c.Root), Inventory: want}}, workers)
}

// place copies the databases of a cache to places below a new root, by path.
func place(t *testing.T, c *cachetest.Cache, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for path, name := range files {
		path = filepath.Join(root, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		data, err := os.ReadFile(filepath.Join(c.Root, name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, data, 0o600))
	}
	return root
}

// TestLayouts has the same cache where the daemons have theirs.
func TestLayouts(t *testing.T) {
	c := cachetest.New(t)
	c.Chain(t, 3, compression.Zstd)
	want := live(t, c)
	elsewhere := place(t, c, map[string]string{containerdFile: contentFile})
	for name, test := range map[string]struct {
		files      map[string]string
		containerd string
		workers    []Worker
	}{
		"a worker": {
			files:   map[string]string{"w/" + recordsFile: recordsFile, "w/" + contentFile: contentFile},
			workers: []Worker{{Name: "w", Inventory: want}},
		},
		"two workers, and other files": {
			files: map[string]string{
				"runc-native/" + recordsFile: recordsFile, "runc-native/" + contentFile: contentFile,
				"runc-overlayfs/" + recordsFile: recordsFile, "runc-overlayfs/" + contentFile: contentFile,
				"cache.db": recordsFile, "other/file": recordsFile, "buildkit": recordsFile,
			},
			workers: []Worker{{Name: "runc-native", Inventory: want}, {Name: "runc-overlayfs", Inventory: want}},
		},
		"a worker of containerd": {
			files:      map[string]string{"containerd-overlayfs/" + recordsFile: recordsFile},
			containerd: elsewhere,
			workers:    []Worker{{Name: "containerd-overlayfs", Inventory: want}},
		},
		"an engine with a containerd of its own": {
			files: map[string]string{
				"buildkit/containerd-overlayfs/" + recordsFile: recordsFile,
				engineContainerd + "/" + containerdFile:        contentFile,
			},
			workers: []Worker{{Name: "containerd-overlayfs", Inventory: want}},
		},
		"an engine that had a graph driver": {
			files: map[string]string{
				"buildkit/" + recordsFile: recordsFile, "buildkit/" + contentFile: contentFile, "buildkit/" + engineGraphDriver: recordsFile,
				"buildkit/containerd-overlayfs/" + recordsFile: recordsFile,
			},
			containerd: elsewhere,
			workers:    []Worker{{Name: "buildkit", GraphDriver: true, Inventory: want}, {Name: "containerd-overlayfs", Inventory: want}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			workers, err := Root(t.Context(), place(t, c, test.files), test.containerd)
			require.NoError(t, err)
			assert.Equal(t, test.workers, workers)
		})
	}
}

// TestLinkedWorker has the directory of a worker elsewhere.
func TestLinkedWorker(t *testing.T) {
	c := cachetest.New(t)
	c.Chain(t, 2, compression.Zstd)
	root := t.TempDir()
	require.NoError(t, os.Symlink(c.Root, filepath.Join(root, "runc-native")))
	workers, err := Root(t.Context(), root, "")
	require.NoError(t, err)
	assert.Equal(t, []Worker{{Name: "runc-native", Inventory: live(t, c)}}, workers)
}

// TestForeignDirectories are told in one line each.
func TestForeignDirectories(t *testing.T) {
	c := cachetest.New(t)
	c.Chain(t, 2, compression.Zstd)
	empty := t.TempDir()
	for name, test := range map[string]struct{ root, containerd, want string }{
		"none":         {root: filepath.Join(empty, "none"), want: "stat " + filepath.Join(empty, "none") + ": no such file or directory"},
		"empty":        {root: empty, want: empty + " is neither the root of a buildkitd nor the data root of a Docker Engine: no metadata_v2.db in it"},
		"a Go module":  {root: "../..", want: "../.. is neither the root of a buildkitd nor the data root of a Docker Engine: no metadata_v2.db in it"},
		"a file":       {root: "scan_test.go", want: "scan_test.go is not a directory"},
		"in a file":    {root: "scan_test.go/x", want: "stat scan_test.go/x: not a directory"},
		"a containerd": {root: place(t, c, map[string]string{containerdFile: contentFile}), want: "neither the root of a buildkitd nor the data root of a Docker Engine: no metadata_v2.db in it"},
		"a worker of containerd": {
			root: place(t, c, map[string]string{"containerd-native/" + recordsFile: recordsFile}),
			want: "has its layers in a containerd elsewhere: give the root of it with --containerd, often /var/lib/containerd",
		},
		"no containerd": {
			root:       place(t, c, map[string]string{"containerd-native/" + recordsFile: recordsFile}),
			containerd: empty,
			want:       empty + " is not the root of a containerd: no io.containerd.metadata.v1.bolt/meta.db in it",
		},
	} {
		t.Run(name, func(t *testing.T) {
			workers, err := Root(t.Context(), test.root, test.containerd)
			require.ErrorContains(t, err, test.want)
			assert.NotContains(t, err.Error(), "\n")
			assert.Empty(t, workers)
		})
	}
}

// TestEndedContext ends before anything was copied, and leaves no copies.
func TestEndedContext(t *testing.T) {
	c := cachetest.New(t)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(assert.AnError)
	_, err := Root(ctx, c.Root, "")
	require.ErrorIs(t, err, assert.AnError)
	left, err := os.ReadDir(tmp)
	require.NoError(t, err)
	assert.Empty(t, left)
}

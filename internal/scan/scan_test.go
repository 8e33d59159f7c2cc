package scan

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/moby/buildkit/util/compression"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

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
	databases := atRest(t, c)
	for path, name := range files {
		path = filepath.Join(root, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, databases[name], 0o600))
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

// TestNoRoomForCopies has no directory for temporary files.
func TestNoRoomForCopies(t *testing.T) {
	c := cachetest.New(t)
	none := filepath.Join(t.TempDir(), "none")
	t.Setenv("TMPDIR", none)
	_, err := Root(t.Context(), c.Root, "")
	require.ErrorIs(t, err, os.ErrNotExist)
	assert.ErrorContains(t, err, "make room for copies: ")
	assert.ErrorContains(t, err, none)
}

// TestFilesAreClosed looks for files of the root, and of the copies, that are open afterwards.
func TestFilesAreClosed(t *testing.T) {
	c := cachetest.New(t)
	c.Chain(t, 2, compression.Zstd)
	root := place(t, c, map[string]string{recordsFile: recordsFile, contentFile: contentFile})
	copies := t.TempDir()
	t.Setenv("TMPDIR", copies)
	// A collection would close what was forgotten.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	_, err := Root(t.Context(), root, "")
	require.NoError(t, err)
	open, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	for _, fd := range open {
		name, err := os.Readlink("/proc/self/fd/" + fd.Name())
		if err != nil {
			continue // that of the directory itself
		}
		assert.False(t, strings.HasPrefix(name, root) || strings.HasPrefix(name, copies), name)
	}
}

// TestUnreadableFiles has links that lead round in a circle, which nobody can read.
func TestUnreadableFiles(t *testing.T) {
	c := cachetest.New(t)
	circle := func(root, path string) string {
		path = filepath.Join(root, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.Symlink(path, path))
		return root
	}
	records := func() string { return place(t, c, map[string]string{"w/" + recordsFile: recordsFile}) }
	for name, test := range map[string]struct{ root, containerd string }{
		"records":               {root: circle(t.TempDir(), recordsFile)},
		"content":               {root: circle(records(), "w/"+contentFile)},
		"graph driver":          {root: circle(place(t, c, map[string]string{"w/" + recordsFile: recordsFile, "w/" + contentFile: contentFile}), "w/"+engineGraphDriver)},
		"containerd":            {root: records(), containerd: circle(t.TempDir(), containerdFile)},
		"containerd of engines": {root: circle(records(), engineContainerd+"/"+containerdFile)},
	} {
		_, err := Root(t.Context(), test.root, test.containerd)
		assert.ErrorContains(t, err, "too many levels of symbolic links", name)
	}
	_, err := readRecords(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = readContent(t.Context(), filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
	copied := place(t, c, map[string]string{recordsFile: recordsFile})
	require.ErrorIs(t, view(filepath.Join(copied, recordsFile), func(*bolt.Tx) error { return assert.AnError }), assert.AnError)
}

// TestNamespaceOfTheWorker has namespaces with blobs of a record, of which the first one of
// those with the most is the worker's.
func TestNamespaceOfTheWorker(t *testing.T) {
	c := cachetest.New(t)
	c.Chain(t, 3)
	records, err := inventory.ReadRecords(c.Ctx, c.Manager)
	require.NoError(t, err)
	all, err := inventory.ReadContent(c.Ctx, c.Store)
	require.NoError(t, err)
	require.Len(t, all, 3)
	first := func(n int) inventory.Content {
		some := inventory.Content{"sha256:other": {Size: int64(n)}}
		for _, dgst := range slices.Sorted(maps.Keys(all))[:n] {
			some[dgst] = all[dgst]
		}
		return some
	}
	other := first(3)
	other["sha256:more"] = content.Info{}
	assert.Equal(t, first(3), ofWorker(records, map[string]inventory.Content{"a": first(1), "b": first(3), "c": other, "d": first(2)}))
	assert.Equal(t, first(0), ofWorker(nil, map[string]inventory.Content{"a": first(0), "b": first(1)}))
	assert.Empty(t, ofWorker(records, nil))
}

package test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/internal/inspect"
	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

// backend is where a cache is exported to and imported from, under any name.
type backend struct {
	// to and from are the attributes of export and import.
	to, from func(name string) string
	// read returns what an export has written.
	read func(ctx context.Context, name string) (harness.CacheManifest, error)
	// inspect returns the caches as they are inspected; nil is for kinds that cannot be.
	inspect func(t *testing.T, name string) []*inspect.Cache
}

// startBackends starts what the exporters of the matrix need, and returns the
// backends by the name of the exporter.
func startBackends(t *testing.T, registry *harness.Registry) map[string]backend {
	t.Helper()
	s3, err := harness.StartS3(t.Context(), parts.Tool(t, "versitygw"))
	require.NoError(t, err)
	removeWithTest(t, s3)
	azure, err := harness.StartAzureBlob(t.Context(), parts.Tool(t, "azurite"))
	require.NoError(t, err)
	removeWithTest(t, azure)

	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	ref := func(name string) string { return imageAt(registry, name) }
	inspectRef := func(t *testing.T, name string) []*inspect.Cache {
		t.Helper()
		return inRegistry(t.Context(), t, ref(name))
	}
	inRegistry := func(name string) string { return "type=registry,ref=" + ref(name) }
	return map[string]backend{
		"registry": {
			to:   inRegistry,
			from: inRegistry,
			read: func(ctx context.Context, name string) (harness.CacheManifest, error) {
				return registry.Cache(ctx, ref(name))
			},
			inspect: inspectRef,
		},
		"local": {
			to:   func(name string) string { return "type=local,dest=" + path(name) },
			from: func(name string) string { return "type=local,src=" + path(name) },
			read: func(_ context.Context, name string) (harness.CacheManifest, error) {
				return harness.LocalCache(path(name))
			},
			inspect: func(t *testing.T, name string) []*inspect.Cache {
				t.Helper()
				return inPlace(t.Context(), t, inspect.Directory(path(name)))
			},
		},
		"s3": {
			to:   s3.Attributes,
			from: s3.Attributes,
			read: func(_ context.Context, name string) (harness.CacheManifest, error) { return s3.Cache(name) },
		},
		"azblob": {
			to:   azure.Attributes,
			from: azure.Attributes,
			read: azure.Cache,
		},
		"inline": {
			to:   func(string) string { return "type=inline" },
			from: inRegistry,
			read: func(ctx context.Context, name string) (harness.CacheManifest, error) {
				return registry.Image(ctx, ref(name))
			},
			inspect: inspectRef,
		},
	}
}

// imageAt is the name of an image, or of a cache, in a registry.
func imageAt(registry *harness.Registry, name string) string {
	return registry.Host + "/matrix:" + name
}

// removeWithTest stops and removes a server with the test.
func removeWithTest(t *testing.T, s interface {
	Stop(context.Context) error
	Remove() error
}) {
	t.Helper()
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if err := s.Remove(); err != nil {
			t.Error(err)
		}
	})
}

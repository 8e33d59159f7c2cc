package guard

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/util/compression"
	"github.com/moby/buildkit/util/contentutil"
	digest "github.com/opencontainers/go-digest"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/moby/buildkit/cache/remotecache"
	cacheimporttypes "github.com/moby/buildkit/cache/remotecache/v1/types"

	"github.com/bkguard/bkguard/config"
)

// exportRecords exports so many records, each upon the one before, with upstream's
// exporter. It returns the size of the config that was written, what the clients were
// warned of, and the lines of the log about it.
func exportRecords(t *testing.T, exporterType string, records int) (size int64, warnings []string, entries []*logrus.Entry) {
	t.Helper()
	c := newTestCache(t)
	g := newTestGuard(t, config.Config{})
	target := contentutil.NewBuffer()
	e := decorated(t, g, exporterType, contentExporter(target, compression.New(compression.Gzip)), nil)
	addRecords(t, c, g.Worker(c.worker()), e, e.Config().Compression, c.Chain(t, 3))
	remotes, err := getRemotes(c.Ctx, g.Worker(c.worker()), c.Chain(t, 3), requested(e.Config().Compression.Type), true)
	require.NoError(t, err)
	var links [][]solver.CacheLink
	for n := range records {
		record, ok, err := e.Add(digest.FromString(fmt.Sprint(n)), links, []solver.CacheExportResult{{Result: remotes[0]}})
		require.NoError(t, err)
		require.True(t, ok)
		links = [][]solver.CacheLink{{{Src: record, Selector: "/a/file"}}}
	}
	ctx, hook := logged(c.Ctx)
	var x exported
	warnings = clientWarnings(ctx, func(ctx context.Context) { x = finalize(t, ctx, e, target) })
	for _, entry := range hook.AllEntries() {
		if entry.Message == "cache is too large to be imported" {
			entries = append(entries, entry)
		}
	}
	data, err := json.Marshal(x.config)
	require.NoError(t, err)
	return int64(len(data)), warnings, entries
}

// TestCacheThatNobodyImportsIsWarnedOf has caches on both sides of what upstream
// imports.
func TestCacheThatNobodyImportsIsWarnedOf(t *testing.T) {
	for name, tc := range map[string]struct {
		exporterType string
		records      int
		warned       bool
	}{
		"small":                     {"registry", 100, false},
		"just small enough":         {"registry", 5400, false},
		"too large":                 {"registry", 5700, true},
		"too large for a directory": {"local", 5700, true},
		"read without a limit":      {"s3", 5700, false},
	} {
		t.Run(name, func(t *testing.T) {
			size, warnings, logged := exportRecords(t, tc.exporterType, tc.records)
			if tc.exporterType != "s3" {
				assert.Equal(t, tc.warned, size > importLimit, "%d bytes", size)
			}
			if !tc.warned {
				assert.Empty(t, warnings)
				assert.Empty(t, logged)
				return
			}
			require.Len(t, warnings, 1)
			assert.Regexp(t, `^cache guard: the config of this cache has about 1\.[0-9]+MiB, and no daemon imports more than 1MiB: export with mode=min`, warnings[0])
			require.Len(t, logged, 1)
			assert.InEpsilon(t, size, logged[0].Data["config"], 0.02, "about what was written")
		})
	}
}

func TestRecordsThatCannotBeComparedAreNotCounted(t *testing.T) {
	var s configSize
	s.add(nil, "sha256:x", nil, 1)
	s.add(incomparable{}, "sha256:x", nil, 1)
	assert.Zero(t, s.bytes)
}

// incomparable is a record that panics as the key of a map.
type incomparable struct {
	*solver.CacheExporterRecordBase
	_ []int
}

// TestSizeOfARecord is that of what upstream writes of it, with a comma behind it.
func TestSizeOfARecord(t *testing.T) {
	dgst := digest.FromString("record")
	size := func(record cacheimporttypes.CacheRecord) int {
		data, err := json.Marshal(record)
		require.NoError(t, err)
		return len(data) + 1
	}
	var s configSize
	want := 0
	var records []*solver.CacheExporterRecordBase
	for n := range 12 {
		records = append(records, &solver.CacheExporterRecordBase{})
		s.add(numbered{records[n], n}, dgst, nil, 0)
		want += size(cacheimporttypes.CacheRecord{Digest: dgst})
	}
	assert.Equal(t, want, s.bytes)
	s.add(numbered{records[3], 3}, dgst, nil, 1)
	assert.Equal(t, want, s.bytes, "it was added before")
	last := numbered{records[11], 11}
	s.add(numbered{records[0], 12}, dgst, [][]solver.CacheLink{{{Src: last, Selector: "/a"}, {}, {Src: incomparable{}}}}, 3)
	want += size(cacheimporttypes.CacheRecord{
		Digest: dgst, Results: make([]cacheimporttypes.CacheResult, 1), Inputs: [][]cacheimporttypes.CacheInput{{{LinkIndex: 11, Selector: "/a"}, {}, {}}},
	})
	assert.Equal(t, want, s.bytes)
}

// numbered is a record that can be told from others.
type numbered struct {
	*solver.CacheExporterRecordBase
	n int
}

// TestTheLargerOneIsTooLarge has sizes of the config and of the manifest.
func TestTheLargerOneIsTooLarge(t *testing.T) {
	for name, tc := range map[string]struct {
		config, manifest int64
		want             string
	}{
		"as much as is imported": {importLimit, importLimit, ""},
		"config":                 {importLimit + 1, importLimit, "config"},
		"manifest":               {importLimit, importLimit + 1, "manifest"},
		"both":                   {importLimit + 1, importLimit + 2, "manifest"},
		"both alike":             {importLimit + 1, importLimit + 1, "config"},
	} {
		t.Run(name, func(t *testing.T) {
			e := decorated(t, newTestGuard(t, config.Config{}), "registry", resolving(&innerExporter{}), nil).(*cacheExporter)
			ctx, hook := logged(t.Context())
			e.warnUnimportable(ctx, tc.config, tc.manifest)
			if tc.want == "" {
				assert.Empty(t, hook.AllEntries())
				return
			}
			require.Len(t, hook.AllEntries(), 1)
			assert.Equal(t, max(tc.config, tc.manifest), hook.LastEntry().Data[tc.want])
		})
	}
}

func TestSizeOfTheManifest(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "{": 0, `{"size":7}`: 7} {
		assert.Equal(t, want, manifestSize(map[string]string{remotecache.ExporterResponseManifestDesc: text}), text)
	}
}

package test

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jszwec/csvutil"
	"github.com/moby/buildkit/util/compression"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/internal/inspect"
	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

var identityFile = flag.String("identity", "", "test every image that is rebuilt, and write the results to this `file`, their data to benchmarks/identity.csv beside it")

// TestRebuiltImageIsTheSame builds images whose layers exist in several blobs, exports
// their cache without asking for a compression, and builds them again on a daemon that
// knows nothing but the cache: every layer is the blob that it was.
func TestRebuiltImageIsTheSame(t *testing.T) {
	t.Parallel()
	cells := someIdentities()
	if *identityFile != "" {
		cells = allIdentities()
	}
	registry := parts.Registry(t)
	var rows []identityRow
	for _, i := range cells {
		t.Run(i.String(), func(t *testing.T) {
			guarded := i.play(t, registry, binaries(t).Guarded)
			row := identityRow{identity: i, guarded: guarded}
			if *identityFile != "" {
				row.stock = i.play(t, registry, binaries(t).Stock)
			}
			rows = append(rows, row)
			for _, cache := range identityCaches {
				assert.True(t, guarded[cache].same, "the layers of the image rebuilt from %s", cache)
				// Bases of the same files in other blobs are in a cache by right.
				assert.NotEqual(t, inspect.Broken, guarded[cache].worth, "verdict on the cache %s", cache)
			}
			for _, cache := range []string{"registry max", "local"} {
				assert.Equal(t, guarded[cache].Steps, guarded[cache].Cached, "cached steps from %s", cache)
			}
		})
		if *identityFile != "" {
			require.NoError(t, os.WriteFile(*identityFile, identityPage(t, rows), 0o644))
			writeIdentities(t, rows)
		}
	}
}

// someIdentities is the part that is always tested.
func someIdentities() []identity {
	return []identity{
		{"one in zstd", "empty layers", []compression.Type{compression.Gzip}},
		{"two levels of gzip", "stages", nil},
		{"two levels of gzip", "links", []compression.Type{compression.Zstd}},
		{"zstd and three of gzip", "stages", []compression.Type{compression.Gzip, compression.Zstd}},
		{"zstd and gzip", "the same layer twice", []compression.Type{compression.Zstd}},
		{"zstd and gzip", "two platforms", []compression.Type{compression.Gzip, compression.Zstd}},
		{madeHere, "steps", nil},
	}
}

// allIdentities is every kind of build upon every kind of bases.
func allIdentities() []identity {
	var cells []identity
	for _, bases := range slices.Sorted(maps.Keys(identityBases)) {
		for _, kind := range identityKinds {
			for _, made := range identityMade {
				cells = append(cells, identity{bases, kind, made})
			}
		}
	}
	return cells
}

// identityRow is a cell with its outcomes. Stock is nil if it was not asked.
type identityRow struct {
	identity
	guarded, stock rebuilt
}

// identityData is one image that was rebuilt from one kind of cache.
type identityData struct {
	Daemon string `csv:"daemon"`
	Bases  string `csv:"bases"`
	Build  string `csv:"build"`
	Made   string `csv:"made_in"`
	Cache  string `csv:"cache"`
	likeness
}

// writeIdentities writes the data of all rows.
func writeIdentities(t *testing.T, rows []identityRow) {
	t.Helper()
	var all []identityData
	for _, r := range rows {
		for daemon, images := range map[string]rebuilt{"guarded": r.guarded, "stock": r.stock} {
			for cache, found := range images {
				all = append(all, identityData{daemon, r.bases, r.kind, r.madeText(), cache, found})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b identityData) int {
		return cmp.Or(cmp.Compare(a.Daemon, b.Daemon), cmp.Compare(a.Cache, b.Cache))
	})
	text, err := csvutil.Marshal(all)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(*identityFile), "benchmarks", "identity.csv"), text, 0o644))
}

const identityHead = `# Every image rebuilt from its cache, guarded beside stock

` + "`make identity`" + ` has written this page; it takes most of an hour. ` + "`make test`" + ` does a
part of it. %s.

A daemon builds an image upon bases that have the same files in other blobs, then once
more in other compressions with ` + "`force-compression=true`" + `. It exports the cache of the
image in four ways without asking for a compression: to a registry with mode=max and
mode=min, to a directory, and inline. A fresh daemon builds the image again with
nothing but one of these. The table names the caches from which all layers of the image,
of each of its platforms, are the blobs that they were; and the steps that the fresh
daemon executed though it had a cache with mode=max.

| bases | build | made in | guarded | stock |
| --- | --- | --- | --- | --- |
`

// identityPage is all rows as a page.
func identityPage(t *testing.T, rows []identityRow) []byte {
	t.Helper()
	var page strings.Builder
	fmt.Fprintf(&page, identityHead, lastRun(t))
	for _, r := range rows {
		stock := ""
		if r.stock != nil {
			stock = r.stock.String()
		}
		harness.TableRow(&page, r.bases, r.kind, r.madeText(), r.guarded.String(), stock)
	}
	return []byte(page.String())
}

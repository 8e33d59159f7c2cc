package test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
)

// mebibyte is the unit of the layers and peaks of these tests.
const mebibyte = 1 << 20

const (
	// peakMost is the most memory, in MiB, that a daemon of memoryLimit may have held
	// after its conversions, peakBest that after those at the highest level of zstd.
	peakMost, peakBest = 400, 460
	// manySteps is the number of steps whose layers get their first blob in an export.
	manySteps = 100
)

// conversion is a build with exports that compress layers.
type conversion struct {
	// layers and layerSize, in MiB, are of the base image.
	layers, layerSize int
	// compression is what layers are converted to, best says that it is at the highest
	// level. The base is in zstd if that is gzip, else in gzip.
	compression string
	best        bool
	// export is what converts: "image", "registry" and "directory" are forced, "inline"
	// is in an image that is; "rewritten" is an image whose layers also get other
	// timestamps, for which upstream makes compressors of its own; "steps" exports the
	// layers of RUN steps for the first time.
	export string
	// limit is that of the daemon in MiB, 0 for memoryLimit.
	limit int
}

func (c conversion) String() string {
	return fmt.Sprintf("%d layers of %d MiB to %s by %s in %d MiB", c.layers, c.layerSize, c.target(), c.export, c.memory()/mebibyte)
}

// target is the compression with its level.
func (c conversion) target() string {
	if c.best {
		return c.compression + " 22"
	}
	return c.compression
}

// memory is the limit of the daemon in bytes.
func (c conversion) memory() int64 {
	if c.limit > 0 {
		return int64(c.limit) * mebibyte
	}
	return memoryLimit
}

// peak is the most memory that the daemon may have held, in MiB.
func (c conversion) peak() int64 {
	switch {
	case c.limit > 0:
		return int64(c.limit)
	case c.best:
		return peakBest
	}
	return peakMost
}

// base describes the image that is built upon.
func (c conversion) base() harness.Base {
	return harness.Base{Layers: c.layers, LayerSize: c.layerSize * mebibyte, Zstd: c.compression == "gzip"}
}

// steps is the number of steps of the build.
func (c conversion) steps() int {
	if c.export == "steps" {
		return manySteps
	}
	return steps
}

// attributes ask for the compression.
func (c conversion) attributes() string {
	asked := []string{"compression=" + c.compression}
	if c.export != "steps" {
		asked = append(asked, "force-compression=true")
	}
	if c.best {
		asked = append(asked, "compression-level=22")
	}
	return strings.Join(asked, ",")
}

// build is the build upon a base, which is named already. Its images and caches are at
// a place of their own in the registry, its directory is dir. From is what imports the
// cache.
func (c conversion) build(registry *harness.Registry, base, place, dir string) (build harness.Build, from string) {
	build.Dockerfile = harness.RunSteps(base, c.steps())
	var (
		image = registry.Host + "/" + place + ":image"
		ref   = "type=registry,ref=" + registry.Host + "/" + place + ":cache"
		local = filepath.Join(dir, place)
	)
	switch c.export {
	case "image", "rewritten":
		build.Output = harness.PushOutput(image, c.attributes())
		if c.export == "rewritten" {
			build.Output += ",rewrite-timestamp=true"
			build.Opts = []string{"build-arg:SOURCE_DATE_EPOCH=1"}
		}
		build.ExportCache, from = []string{ref + ",mode=max"}, ref
	case "registry":
		build.ExportCache, from = []string{ref + ",mode=max," + c.attributes()}, ref
	case "steps":
		build.Dockerfile = harness.LargeSteps(base, c.steps())
		build.ExportCache, from = []string{ref + ",mode=max," + c.attributes()}, ref
	case "directory":
		build.ExportCache, from = []string{"type=local,mode=max,dest=" + local + "," + c.attributes()}, "type=local,src="+local
	case "inline":
		build.Output = harness.PushOutput(image, c.attributes())
		build.ExportCache, from = []string{"type=inline"}, "type=registry,ref="+image
	}
	return build, from
}

// converted is what became of a conversion.
type converted struct {
	// killed tells that the daemon ran out of memory. There is no more then than the
	// peak.
	killed bool
	// peak is the most memory that the daemon has held, in MiB.
	peak int64
	// steps are those of the build, cached those that a fresh daemon did not execute.
	steps, cached int
	// output is what the client has printed.
	output string
}

// String is the outcome in a few words; nil is none.
func (c *converted) String() string {
	switch {
	case c == nil:
		return ""
	case c.killed:
		return "killed"
	case c.cached < c.steps:
		return fmt.Sprintf("%d MiB, %d of %d cached", c.peak, c.cached, c.steps)
	}
	return fmt.Sprintf("%d MiB", c.peak)
}

// play builds on a daemon that has nothing, and once more on one that has the cache.
func (c conversion) play(t *testing.T, registry *harness.Registry, binary string) converted {
	t.Helper()
	base, err := registry.PushBase(t.Context(), c.base())
	require.NoError(t, err)
	options := harness.DaemonOptions{Binary: binary, Registries: []string{registry.Host}, MemoryLimit: c.memory()}
	daemon := startDaemon(t, options)
	build, from := c.build(registry, base, placeOf(t, binary), t.TempDir())
	result, buildErr := daemon.Build(t.Context(), build)
	exit, err := daemon.Stop(t.Context())
	require.NoError(t, err)
	o := converted{killed: exit.OOMKilled(), peak: exit.PeakRSS / mebibyte, output: result.Output}
	if o.killed {
		return o
	}
	require.NoError(t, buildErr)
	require.NoError(t, daemon.RemoveRoot())

	fresh := startDaemon(t, options)
	imported, err := fresh.Build(t.Context(), harness.Build{Dockerfile: build.Dockerfile, ImportCache: []string{from}})
	require.NoError(t, err)
	o.steps, o.cached = imported.Steps, imported.Cached
	_, err = fresh.Stop(t.Context())
	require.NoError(t, err)
	return o
}

// placeOf is a name in a registry that only one test and binary uses.
func placeOf(t *testing.T, binary string) string {
	return fmt.Sprintf("%s-%x", filepath.Base(binary), []byte(t.Name()))
}

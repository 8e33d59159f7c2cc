package test

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

var conversionsFile = flag.String("conversions", "", "test every kind of conversion, and write the results to this `file`")

// convertingLine is what the client of a build sees while layers are converted.
const convertingLine = `(?m)^#\d+ [\d.]+ converting layers to %s: \d+ of \d+, \d+ at a time$`

// TestConversionsSurvive compresses many layers of real size at once, in images and in
// caches: moby/buildkit issues 6841 and 7128.
func TestConversionsSurvive(t *testing.T) {
	t.Parallel()
	cells := someConversions()
	if *conversionsFile != "" {
		cells = allConversions()
	}
	registry := parts.Registry(t)
	var rows []conversionRow
	for _, c := range cells {
		t.Run(c.String(), func(t *testing.T) {
			guarded := c.play(t, registry, binaries(t).Guarded)
			row := conversionRow{conversion: c, guarded: guarded}
			if *conversionsFile != "" || c == issue6841 {
				stock := c.play(t, registry, binaries(t).Stock)
				row.stock = &stock
			}
			rows = append(rows, row)
			t.Logf("guarded: %v; stock: %v", &guarded, row.stock)
			assert.False(t, guarded.killed, "killed: out of memory")
			if c == issue6841 {
				assert.True(t, row.stock.killed, "stock is killed")
			}
			assert.LessOrEqual(t, guarded.peak, c.peak(), "peak in MiB")
			assert.Equal(t, c.steps(), guarded.cached, "cached steps")
			// What takes less than a second needs no line.
			if c.layers*c.layerSize > 400 {
				assert.Regexp(t, fmt.Sprintf(convertingLine, c.compression), guarded.output)
			}
		})
		if *conversionsFile != "" {
			require.NoError(t, os.WriteFile(*conversionsFile, conversionsPage(t, rows), 0o644))
		}
	}
}

// issue6841 is moby/buildkit issue 6841. It kills stock, which holds the other conversions
// to be about a real problem.
var issue6841 = conversion{layers: 61, layerSize: 8, compression: "zstd", export: "image"}

// someConversions is the part of all conversions that is always tested.
func someConversions() []conversion {
	return []conversion{
		issue6841,
		{layers: 61, layerSize: 1, compression: "zstd", best: true, export: "registry"},
		{layers: 61, layerSize: 1, compression: "estargz", export: "directory"},
		{layers: 61, layerSize: 1, compression: "gzip", export: "inline"},
		{layers: 1, layerSize: 1, compression: "zstd", best: true, export: "steps"},
	}
}

// allConversions is every kind of layers with every kind of export, and what is worse
// than these in a smaller daemon.
func allConversions() []conversion {
	var cells []conversion
	for _, export := range []string{"image", "registry", "directory", "inline"} {
		for _, layers := range []int{61, 127} {
			for _, layerSize := range []int{1, 8} {
				for _, c := range targets {
					c.layers, c.layerSize, c.export = layers, layerSize, export
					cells = append(cells, c)
				}
			}
		}
	}
	for _, layerSize := range []int{1, 8} {
		for _, c := range targets {
			c.layers, c.layerSize, c.export = 1, layerSize, "steps"
			cells = append(cells, c)
		}
	}
	for _, c := range targets {
		c.layers, c.layerSize, c.export = 61, 8, "rewritten"
		cells = append(cells, c)
	}
	for _, export := range []string{"image", "registry"} {
		cells = append(cells, conversion{layers: 61, layerSize: 8, compression: "zstd", export: export, limit: 256})
	}
	return cells
}

// targets are the compressions that layers are converted to.
var targets = []conversion{
	{compression: "zstd"}, {compression: "zstd", best: true}, {compression: "gzip"}, {compression: "estargz"},
}

// TestConversionsAtOnce has every compression, in images and in caches, converted by
// one daemon at the same time.
func TestConversionsAtOnce(t *testing.T) {
	t.Parallel()
	layers, layerSize := 16, 1
	if *conversionsFile != "" {
		layers, layerSize = 61, 8
	}
	registry := parts.Registry(t)
	daemon := startDaemon(t, harness.DaemonOptions{
		Binary: binaries(t).Guarded, Registries: []string{registry.Host}, MemoryLimit: memoryLimit,
	})
	dir := t.TempDir()
	var builds errgroup.Group
	for _, export := range []string{"image", "registry"} {
		for n, c := range targets {
			c.layers, c.layerSize, c.export = layers, layerSize, export
			base, err := registry.PushBase(t.Context(), c.base())
			require.NoError(t, err)
			build, _ := c.build(registry, base, fmt.Sprintf("%s-%d", export, n), dir)
			builds.Go(func() error {
				_, err := daemon.Build(t.Context(), build)
				return err
			})
		}
	}
	require.NoError(t, builds.Wait())
	m := status(t, daemon).Memory
	assert.True(t, nothingIsHeld(m), m)
	exit, err := daemon.Stop(t.Context())
	require.NoError(t, err)
	assert.False(t, exit.OOMKilled(), "exit: %v", exit)
	t.Logf("peak of eight builds with %d layers of %d MiB each: %d MiB", layers, layerSize, exit.PeakRSS/mebibyte)
}

package main

import (
	"bytes"
	"context"
	"flag"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
)

// With these layers stock is killed in two places, as by default.
func TestDemoComesOutAsClaimed(t *testing.T) {
	var out bytes.Buffer
	err := run(t.Context(), []string{"-layers", "45", "-layer-size", "4MB", "-memory", "256MB"}, &out, io.Discard)
	require.NoError(t, err, out.String())
	assert.Contains(t, out.String(), "stock buildkitd was killed for its memory in the cache export with layers of 8KiB, and in the forced zstd build with layers of 4MiB")
}

func TestInterruptedDemoLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// A step is announced before it begins: this one has a daemon that runs.
	stderr := writerFunc(func(text string) {
		if strings.Contains(text, "stock, 61 layers of 8KiB: gzip build") {
			cancel()
		}
	})
	err := run(ctx, []string{"-layer-size", "16KB"}, io.Discard, stderr)
	require.ErrorContains(t, err, "stopped before the end")
	require.NoError(t, harness.CheckClean())
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, left)
}

type writerFunc func(string)

func (f writerFunc) Write(p []byte) (int, error) {
	f(string(p))
	return len(p), nil
}

func TestParse(t *testing.T) {
	s, err := parse(nil, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, scenario{layers: 61, layerSize: 8 << 20, memory: 512 << 20}, s)
	s, err = parse([]string{"-layers", "7", "-layer-size", "1.5MB", "-memory", "1GB", "-docker"}, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, scenario{layers: 7, layerSize: 3 << 19, memory: 1 << 30, docker: true}, s)

	for want, args := range map[string][]string{
		"-layers 0 is out of range (allowed: 1 to 127)":                    {"-layers", "0"},
		"-layers 128 is out of range":                                      {"-layers", "128"},
		`-layer-size "8x" is not a size of 16KiB to 256MiB, such as "8MB"`: {"-layer-size", "8x"},
		`-layer-size "8KB" is not a size`:                                  {"-layer-size", "8KB"},
		`-layer-size "257MB" is not a size`:                                {"-layer-size", "257MB"},
		`-layer-size "-8MB" is not a size`:                                 {"-layer-size", "-8MB"},
		`-memory "1x" is not a size of at least 256MiB, such as "512MB"`:   {"-memory", "1x"},
		`-memory "1MB" is not a size of at least 256MiB`:                   {"-memory", "1MB"},
		`unexpected argument "x" (-h shows the flags)`:                     {"x"},
		"flag provided but not defined: -y (-h shows the fl":               {"-y"},
	} {
		_, err := parse(args, io.Discard)
		require.ErrorContains(t, err, want)
	}
}

func TestHelpShowsFlagsAndExamples(t *testing.T) {
	var out bytes.Buffer
	require.ErrorIs(t, run(t.Context(), []string{"-h"}, &out, io.Discard), flag.ErrHelp)
	for _, want := range []string{"-layers N", "(default 61)", "-layer-size SIZE", "(default 8MB)", "-memory SIZE", "(default 512MB)", "layers of 8KiB,", "go run ./test/demo -layers"} {
		assert.Contains(t, out.String(), want)
	}
}

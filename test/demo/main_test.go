package main

import (
	"bytes"
	"context"
	"flag"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
)

func TestDemoComesOutAsClaimed(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-layers", "30"}, &out, io.Discard))
	assert.Contains(t, out.String(), "stock buildkitd was killed")
}

func TestInterruptedDemoLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// A step is announced before it begins: this one has a daemon that runs.
	stderr := writerFunc(func(text string) {
		if strings.Contains(text, "stock: build") {
			cancel()
		}
	})
	err := run(ctx, nil, io.Discard, stderr)
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
	s, err := parse([]string{"-layers", "7", "-memory", "1GB"}, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, scenario{layers: 7, memory: 1 << 30}, s)

	for want, args := range map[string][]string{
		"-layers 0 is out of range (allowed: 1 to 127)":      {"-layers", "0"},
		"-layers 128 is out of range":                        {"-layers", "128"},
		`-memory "1x" is not a size of at least 256MiB`:      {"-memory", "1x"},
		`-memory "1MB" is not a size of at least 256MiB`:     {"-memory", "1MB"},
		`unexpected argument "x" (-h shows the flags)`:       {"x"},
		"flag provided but not defined: -y (-h shows the fl": {"-y"},
	} {
		_, err := parse(args, io.Discard)
		require.ErrorContains(t, err, want)
	}
}

func TestHelpShowsFlagsAndExamples(t *testing.T) {
	var out bytes.Buffer
	require.ErrorIs(t, run(t.Context(), []string{"-h"}, &out, io.Discard), flag.ErrHelp)
	for _, want := range []string{"-layers N", "(default 61)", "-memory SIZE", "(default 512MB)", "go run ./test/demo -layers"} {
		assert.Contains(t, out.String(), want)
	}
}

func TestReport(t *testing.T) {
	killed := harness.Exit{
		Code:    -1,
		Signal:  syscall.SIGKILL,
		PeakRSS: 600 << 20,
		Usage:   harness.MemoryUsage{OOMKills: 1},
	}
	fine := harness.Exit{PeakRSS: 160 << 20}
	for name, tc := range map[string]struct {
		stock, guarded outcome
		table, err     string
	}{
		"as claimed": {
			stock:   outcome{daemon: "stock", exit: killed},
			guarded: outcome{daemon: "guarded", exit: fine, took: 1300 * time.Millisecond, cached: 3},
			table: `
daemon   layers  combinations  cache export            peak memory  steps cached on a fresh daemon
stock    64      2^63          killed (out of memory)  over 512MiB  0 of 3
guarded  64      2^63          done in 1.3s            160MiB       3 of 3
`,
		},
		"stock survives": {
			stock:   outcome{exit: fine, cached: 3},
			guarded: outcome{exit: fine, cached: 3},
			err:     "the stock daemon has survived; it needs more than 61 layers or less than 512MiB to be killed",
		},
		"guarded is killed": {
			stock:   outcome{exit: killed},
			guarded: outcome{exit: killed},
			err:     "the guarded daemon was killed",
		},
		"the cache is not good": {
			stock:   outcome{exit: killed},
			guarded: outcome{exit: fine, cached: 2},
			err:     "a fresh daemon found 2 of 3 steps",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			s := scenario{layers: 61, memory: 512 << 20}
			err := s.report(&out, []outcome{tc.stock, tc.guarded})
			if tc.err != "" {
				require.ErrorContains(t, err, tc.err)
				return
			}
			require.NoError(t, err)
			assert.True(t, strings.HasPrefix(out.String(), tc.table), out.String())
		})
	}
}

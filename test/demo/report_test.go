package main

import (
	"bytes"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
)

const largeLayer = 8 << 20

var (
	killed = harness.Exit{Code: -1, Signal: syscall.SIGKILL, PeakRSS: 600 << 20, Usage: harness.MemoryUsage{OOMKills: 1}}
	fine   = harness.Exit{PeakRSS: 160 << 20}
)

// asClaimed is how each daemon fares with small layers and with large ones.
func asClaimed() []outcome {
	return []outcome{
		{daemon: stock, layerSize: smallLayer, took: seconds(1, 2), exit: killed},
		{daemon: stock, layerSize: largeLayer, took: seconds(6), exit: killed},
		{daemon: guarded, layerSize: smallLayer, took: seconds(1, 2, 0.7), exit: fine, cached: 3},
		{daemon: guarded, layerSize: largeLayer, took: seconds(6.04, 3, 1), exit: fine, cached: 3},
	}
}

// seconds is how long builds took.
func seconds(builds ...float64) (took []time.Duration) {
	for _, s := range builds {
		took = append(took, time.Duration(s*float64(time.Second)))
	}
	return took
}

func TestReport(t *testing.T) {
	var out bytes.Buffer
	s := scenario{layers: 61, layerSize: largeLayer, memory: 512 << 20}
	require.NoError(t, s.report(&out, asClaimed()))
	assert.Equal(t, `
daemon   base image         gzip build  forced zstd build  cache export  peak memory  steps cached on a fresh daemon
stock    61 layers of 8KiB  1.0s        2.0s               killed        over 512MiB  0 of 3
stock    61 layers of 8MiB  6.0s        killed             not reached   over 512MiB  no cache
guarded  61 layers of 8KiB  1.0s        2.0s               0.7s          160MiB       3 of 3
guarded  61 layers of 8MiB  6.0s        3.0s               1.0s          160MiB       3 of 3

64 layers, each in gzip and in zstd, have 2^63 combinations. With a limit of 512MiB, stock buildkitd was killed for its memory in the cache export with layers of 8KiB, and in the forced zstd build with layers of 8MiB. The guarded one finished all builds, and a fresh daemon found all 3 steps in its cache.
`, out.String())
}

func TestReportSaysWhatHasNotComeOutAsClaimed(t *testing.T) {
	const first, last = 0, 3
	for name, tc := range map[string]struct {
		change func(outcomes []outcome)
		err    string
	}{
		"stock survives": {
			change: func(o []outcome) {
				o[first] = outcome{daemon: stock, layerSize: smallLayer, took: seconds(1, 2, 3), exit: fine}
			},
			err: "with layers of 8KiB, the stock daemon has survived; it needs more than 61 layers or less than 512MiB to be killed",
		},
		"stock comes not to the cache export": {
			change: func(o []outcome) { o[first].took = seconds(1) },
			err:    "with layers of 8KiB, the stock daemon was killed in the forced zstd build already; it needs fewer than 61 layers or more than 512MiB to come to the cache export",
		},
		"guarded is killed": {
			change: func(o []outcome) {
				o[last] = outcome{daemon: guarded, layerSize: largeLayer, took: seconds(1), exit: killed}
			},
			err: "with layers of 8MiB, the guarded daemon was killed for its memory in the forced zstd build",
		},
		"guarded is killed when it has made all builds": {
			change: func(o []outcome) { o[last].exit = killed },
			err:    "with layers of 8MiB, the guarded daemon was killed for its memory in the cache export",
		},
		"the cache is not good": {
			change: func(o []outcome) { o[last].cached = 2 },
			err:    "with layers of 8MiB, a fresh daemon found 2 of 3 steps in the cache of the guarded one",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			outcomes := asClaimed()
			tc.change(outcomes)
			s := scenario{layers: 61, layerSize: largeLayer, memory: 512 << 20}
			err := s.report(&out, outcomes)
			require.EqualError(t, err, "it has not come out as claimed: "+tc.err)
			assert.Contains(t, out.String(), "guarded  61 layers of 8MiB", "the table is shown all the same")
			assert.NotContains(t, out.String(), "The guarded one finished")
		})
	}
}

func TestAllThatIsNotAsClaimedIsSaid(t *testing.T) {
	outcomes := asClaimed()
	outcomes[2].cached, outcomes[3].cached = 0, 1
	s := scenario{layers: 61, layerSize: largeLayer, memory: 512 << 20}
	err := s.compare(outcomes)
	require.ErrorContains(t, err, "with layers of 8KiB, a fresh daemon found 0 of 3")
	require.ErrorContains(t, err, "with layers of 8MiB, a fresh daemon found 1 of 3")
}

package test

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
)

// The versions that the daemon under test is made of.
const (
	buildkitVersion = "v0.34.2"
	guardVersion    = "0.2.0"
)

func TestStartLine(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		options harness.DaemonOptions
		want    harness.LogEntry
	}{
		"limit of the cgroup": {
			harness.DaemonOptions{MemoryLimit: memoryLimit},
			harness.LogEntry{
				"mode":              "enforce",
				"maxRemotes":        "256",
				"memoryLimitSource": "cgroup",
				"memoryLimit":       percent(memoryLimit, 90),
				"budget":            percent(memoryLimit*90/100, 25),
			},
		},
		"limit of the environment wins": {
			harness.DaemonOptions{
				MemoryLimit: memoryLimit,
				Env:         []string{"GOMEMLIMIT=300MiB"},
				Config:      "guard.memoryLimit = \"50%\"\n",
			},
			harness.LogEntry{
				"memoryLimitSource": "environment",
				"memoryLimit":       percent(300<<20, 100),
				"budget":            percent(300<<20, 25),
			},
		},
		"limit as a size": {
			harness.DaemonOptions{Config: "guard.memoryLimit = \"400MB\"\nguard.maxMemory = \"7MB\"\n"},
			harness.LogEntry{
				"memoryLimitSource": "config",
				"memoryLimit":       percent(400<<20, 100),
				"budget":            percent(7<<20, 100),
			},
		},
		"limit switched off": {
			harness.DaemonOptions{
				MemoryLimit: memoryLimit,
				Config:      "guard.memoryLimit = \"off\"\nguard.mode = \"single\"\nguard.maxRemotes = 7\n",
			},
			harness.LogEntry{
				"mode":              "single",
				"maxRemotes":        "7",
				"memoryLimitSource": "off",
				"memoryLimit":       "0",
				"budget":            percent(memoryLimit, 25),
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tc.options.Binary = binaries(t).Guarded
			daemon := startDaemon(t, tc.options)
			lines, err := daemon.LogEntries("guard ready")
			require.NoError(t, err)
			require.Len(t, lines, 1)
			tc.want["level"] = "info"
			tc.want["guard"] = guardVersion
			tc.want["buildkit"] = buildkitVersion
			for field, value := range tc.want {
				assert.Equal(t, value, lines[0][field], field)
			}
		})
	}
}

// percent returns a share of a number of bytes as it is logged.
func percent(bytes, share int64) string {
	return strconv.FormatInt(bytes*share/100, 10)
}

// TestVersion holds that the version is upstream's, and that the revision says what
// is in it: the guard, and the commit if it was built from one.
func TestVersion(t *testing.T) {
	t.Parallel()
	revision := regexp.MustCompile(`^bkguard-` + regexp.QuoteMeta(guardVersion) + `(-[0-9a-f]{12}(\.m)?)?$`)
	guarded := binaries(t).Guarded
	out, err := harness.Run(t.Context(), harness.Command{Path: guarded, Args: []string{"--version"}})
	require.NoError(t, err)
	words := strings.Fields(out)
	require.Len(t, words, 4)
	assert.Equal(t, []string{"buildkitd", "github.com/moby/buildkit", buildkitVersion}, words[:3])
	assert.Regexp(t, revision, words[3])

	daemon := startDaemon(t, harness.DaemonOptions{Binary: guarded})
	out, err = daemon.Buildctl(t.Context(), "debug", "info")
	require.NoError(t, err)
	assert.Contains(t, strings.Fields(out), buildkitVersion)
	assert.Contains(t, strings.Fields(out), words[3])
}

// daemons names the guarded daemon with its commit, and the stock one.
func daemons(t *testing.T) []string {
	t.Helper()
	_, revision, err := harness.Version(t.Context(), binaries(t).Guarded)
	require.NoError(t, err)
	return []string{revision, "buildkit " + buildkitVersion}
}

package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
)

// TestBadConfig holds that a fault in the configuration stops the daemon with
// one line that says where it is, before anything is made on disk.
func TestBadConfig(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		text string
		want string // after "buildkitd: FILE"
	}{
		"malformed TOML": {
			"[guard\n", ":1: ",
		},
		"unknown key": {
			"[guard]\nmode = \"off\"\nmaxRemote = 1\n",
			`:3: guard.maxRemote: unknown key "maxRemote", did you mean "maxRemotes"?`,
		},
		"negative number": {
			"debug = false\n\n[guard]\n  maxRemotes = -1\n",
			":4: guard.maxRemotes: -1 is out of range (allowed: 1 to 1048576; ",
		},
		"more than all memory": {
			"[guard]\nmaxMemory = \"200%\"\n",
			`:2: guard.maxMemory: "200%" is not a percentage above 0% and up to 100%`,
		},
		"misspelt mode": {
			"[guard]\nmode = \"enforec\"\n",
			`:2: guard.mode: unknown mode "enforec", did you mean "enforce"? (allowed: off, observe, enforce, single, block)`,
		},
		"misspelt exporter": {
			"[guard.exporter.registri]\nmode = \"off\"\n",
			`:1: guard.exporter.registri: unknown cache exporter "registri", did you mean "registry"?`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "buildkitd.toml")
			require.NoError(t, os.WriteFile(file, []byte(tc.text), 0o600))
			refusesConfig(t, file, tc.want)
		})
	}
}

// TestUnreadableConfig uses faults that hold for root, who may read any file.
func TestUnreadableConfig(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))

	refusesConfig(t, dir, ": cannot read the configuration: is a directory")
	refusesConfig(t, filepath.Join(file, "buildkitd.toml"), ": cannot read the configuration: not a directory")
}

func refusesConfig(t *testing.T, file, want string) {
	t.Helper()
	b := binaries(t)
	daemon, err := harness.StartDaemon(t.Context(), harness.DaemonOptions{
		Binary:     b.Guarded,
		Buildctl:   b.Buildctl,
		ConfigFile: file,
	})
	if err == nil {
		stopWithTest(t, daemon)
	}
	var start *harness.StartError
	require.ErrorAs(t, err, &start)
	assert.Equal(t, 1, start.Exit.Code, "exit: %v", start.Exit)
	assert.Equal(t, 1, strings.Count(start.Log, "\n"), "one line: %q", start.Log)
	assert.True(t, strings.HasPrefix(start.Log, "buildkitd: "+file+want), start.Log)
	assert.False(t, start.RootMade, "the root directory was made")
	assert.False(t, start.SocketMade, "the socket was made")
}

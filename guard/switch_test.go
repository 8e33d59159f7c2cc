package guard

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/config"
)

// switchedGuard is a guard with a switch file, in a directory that may be missing.
func switchedGuard(t *testing.T, path string) *Guard {
	t.Helper()
	g := newTestGuard(t, config.Config{SwitchFile: path})
	t.Cleanup(func() { require.NoError(t, g.Close()) })
	return g
}

// becomes waits until a mode is in force.
func becomes(t *testing.T, g *Guard, want config.Mode) {
	t.Helper()
	require.Eventually(t, func() bool {
		mode, _ := g.Mode("registry")
		return mode == want
	}, waitFor, tick, "mode %s", want)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

func TestCloseStopsWatching(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mode")
	write(t, path, "single")
	g := newTestGuard(t, config.Config{SwitchFile: path})
	require.NoError(t, g.Close())
	require.NoError(t, g.Close())
	mode, _ := g.Mode("registry")
	assert.Equal(t, config.ModeSingle, mode)
	require.NoError(t, newTestGuard(t, config.Config{}).Close())
}

// TestOnModeFollowsTheSwitch is told at once, and of each change.
func TestOnModeFollowsTheSwitch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mode")
	g := newTestGuard(t, config.Config{Mode: config.ModeSingle, SwitchFile: path})
	told := make(chan config.Mode, 10)
	g.OnMode(func(m config.Mode) { told <- m })
	assert.Equal(t, config.ModeSingle, <-told)
	for _, mode := range []config.Mode{config.ModeOff, config.ModeEnforce} {
		write(t, path, string(mode))
		assert.Equal(t, mode, <-told)
	}
	require.NoError(t, g.Close())
	write(t, path, "block")
	assert.Empty(t, told, "not after Close")

	(*Guard)(nil).OnMode(func(m config.Mode) { told <- m })
	assert.Equal(t, config.ModeOff, <-told)
}

package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/guard"
)

func permissions(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	return info.Mode().Perm()
}

func TestNewSwitchFileIsReadableByAll(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	path := filepath.Join(t.TempDir(), "mode")
	require.NoError(t, writeSwitchFile(path, config.ModeSingle))
	assert.Equal(t, fs.FileMode(0o644), permissions(t, path))
}

func TestSwitchFileKeepsPermissionsAndOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mode")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, os.Chmod(path, 0o664))
	require.NoError(t, os.Chown(path, 1234, 5678))
	require.NoError(t, writeSwitchFile(path, config.ModeSingle))
	assert.Equal(t, fs.FileMode(0o664), permissions(t, path))
	info, err := os.Stat(path)
	require.NoError(t, err)
	owner := info.Sys().(*syscall.Stat_t)
	assert.EqualValues(t, 1234, owner.Uid)
	assert.EqualValues(t, 5678, owner.Gid)
}

// TestSwitchFileIsReplaced holds a reader on the old file: it must not see it
// change.
func TestSwitchFileIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mode")
	require.NoError(t, writeSwitchFile(path, config.ModeSingle))
	before, err := os.Open(path)
	require.NoError(t, err)
	defer before.Close()
	require.NoError(t, writeSwitchFile(path, config.ModeBlock))
	content := make([]byte, 64)
	n, err := before.Read(content)
	require.NoError(t, err)
	assert.Equal(t, "single\n", string(content[:n]))
	mode, err := guard.ReadSwitchFile(path)
	require.NoError(t, err)
	assert.Equal(t, config.ModeBlock, mode)
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	assert.Len(t, entries, 1, "nothing is left beside it")
}

func TestSwitchFileBehindALinkIsReplacedThere(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "mode")
	require.NoError(t, os.WriteFile(target, nil, 0o644))
	require.NoError(t, os.Symlink("target", link))
	require.NoError(t, writeSwitchFile(link, config.ModeOff))
	info, err := os.Lstat(link)
	require.NoError(t, err)
	assert.NotZero(t, info.Mode()&fs.ModeSymlink)
	content, err := os.ReadFile(target)
	require.NoError(t, err)
	assert.Equal(t, "off\n", string(content))
}

package upstream

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// allDefects are those of the release in go.mod.
func allDefects() []Defect {
	var all []Defect
	for _, r := range reproductions {
		all = append(all, r.Defect)
	}
	return all
}

// temporaryDirectory makes a directory the one for temporary files.
func temporaryDirectory(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	return dir
}

// assertEmpty holds that nothing is left in a directory.
func assertEmpty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestCheckFindsAllAndLeavesNothing(t *testing.T) {
	dir := temporaryDirectory(t)
	hook := logtest.NewGlobal()
	t.Cleanup(func() { logrus.StandardLogger().ReplaceHooks(logrus.LevelHooks{}) })
	defects, err := Check(t.Context())
	require.NoError(t, err)
	assert.Equal(t, allDefects(), defects)
	assertEmpty(t, dir)
	assert.Empty(t, hook.AllEntries())
}

// TestCheckOnADiskThatFills has the disk full at every stage of the check, until
// it has room enough.
func TestCheckOnADiskThatFills(t *testing.T) {
	for size := 4 << 10; ; size += size / 4 {
		require.Less(t, size, 4<<20, "a disk of this size is large enough") // half a MiB, more or less
		dir := temporaryDirectory(t)
		require.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)))
		defects, err := Check(t.Context())
		assertEmpty(t, dir)
		require.NoError(t, syscall.Unmount(dir, 0))
		if err == nil {
			assert.Equal(t, allDefects(), defects)
			return
		}
		assert.ErrorIs(t, err, syscall.ENOSPC)
		assert.NotContains(t, err.Error(), "\n")
		assert.Empty(t, defects)
	}
}

func TestCheckOnAReadOnlyDisk(t *testing.T) {
	dir := temporaryDirectory(t)
	require.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_RDONLY, ""))
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, 0)) })
	defects, err := Check(t.Context())
	assert.ErrorIs(t, err, syscall.EROFS)
	assert.ErrorContains(t, err, "check upstream: ")
	assert.Empty(t, defects)
}

func TestCheckEndsWithItsContext(t *testing.T) {
	before := goleak.IgnoreCurrent()
	dir := temporaryDirectory(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	defects, err := Check(ctx)
	assert.ErrorIs(t, err, context.Canceled)
	assert.Empty(t, defects)
	require.Eventually(t, func() bool { return goleak.Find(before) == nil }, waitFor, tick)
	assertEmpty(t, dir)
}

// BenchmarkCheck is what a check adds to the start of a daemon.
func BenchmarkCheck(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_, err := Check(b.Context())
		require.NoError(b, err)
	}
}

// waitFor bounds the wait for what happens in the background, tick is the pause
// between two looks.
const (
	waitFor = 30 * time.Second
	tick    = 10 * time.Millisecond
)

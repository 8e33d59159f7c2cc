package memory

import (
	"math"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// setLimit gives a memory limit to the Go runtime until the test ends.
func setLimit(tb testing.TB, limit int64) {
	tb.Helper()
	old := debug.SetMemoryLimit(limit)
	tb.Cleanup(func() { debug.SetMemoryLimit(old) })
}

func TestLimitOfTheRuntimeComesFirst(t *testing.T) {
	setLimit(t, math.MaxInt64)
	machine, err := Limit()
	require.NoError(t, err)
	assert.Positive(t, machine)
	assert.Less(t, machine, uint64(math.MaxInt64))
	setLimit(t, 7<<30)
	limit, err := Limit()
	require.NoError(t, err)
	assert.EqualValues(t, 7<<30, limit)
}

func TestRoomIsLeftUpToTheLimitOfTheRuntime(t *testing.T) {
	setLimit(t, math.MaxInt64)
	assert.True(t, HasRoom(math.MaxUint64), "without a limit there always is")
	setLimit(t, 1<<40)
	assert.True(t, HasRoom(1<<30))
	assert.False(t, HasRoom(1<<40), "what is in use counts")
	assert.False(t, HasRoom(math.MaxUint64), "the sum is beyond 64 bits")
}

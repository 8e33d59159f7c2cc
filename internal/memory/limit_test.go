package memory

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
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

// TestMemoryThatWasGivenBackIsRoom has mapped memory that the system has taken back, more
// than what is asked for.
func TestMemoryThatWasGivenBackIsRoom(t *testing.T) {
	const given = 256 << 20
	runtime.KeepAlive(make([]byte, given))
	debug.FreeOSMemory()
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	require.GreaterOrEqual(t, samples[1].Value.Uint64(), uint64(given))
	setLimit(t, int64(samples[0].Value.Uint64()))
	assert.True(t, HasRoom(given/2))
}

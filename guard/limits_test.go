package guard

import (
	"math"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/internal/memory"
)

func repeat(n, times int) []int {
	all := make([]int, times)
	for i := range all {
		all[i] = n
	}
	return all
}

// limitsOf are limits with a memory budget in bytes.
func limitsOf(maxRemotes, budget uint64) *limits {
	return &limits{maxRemotes: maxRemotes, gate: memory.NewGate(budget, 1, nil)}
}

func TestLimitsRefuse(t *testing.T) {
	e := NewEstimate([]int{2, 2, 2, 2}) // 8 remotes
	roomy := limitsOf(8, e.Bytes())
	assert.False(t, roomy.refuse(config.ModeEnforce, e))
	assert.True(t, roomy.refuse(config.ModeSingle, e))
	assert.False(t, roomy.refuse(config.ModeSingle, NewEstimate([]int{1, 1, 2})))
	assert.True(t, limitsOf(7, e.Bytes()).refuse(config.ModeEnforce, e))
	assert.True(t, limitsOf(8, e.Bytes()-1).refuse(config.ModeEnforce, e))
}

// TestNothingIsBuiltNearTheMemoryLimit sets the memory limit of the runtime to
// what is in use.
func TestNothingIsBuiltNearTheMemoryLimit(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	debug.SetMemoryLimit(math.MaxInt64)
	e := NewEstimate(repeat(2, 8))
	l := limitsOf(math.MaxUint64, math.MaxInt64)
	free, ok := l.allow(config.ModeEnforce, e)
	require.True(t, ok)
	free()
	debug.SetMemoryLimit(1 << 40)
	_, ok = l.allow(config.ModeEnforce, e)
	require.True(t, ok)
	debug.SetMemoryLimit(1 << 20)
	_, ok = l.allow(config.ModeEnforce, e)
	require.False(t, ok)
}

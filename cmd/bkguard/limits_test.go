package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/guard"
)

func TestVerdicts(t *testing.T) {
	one := guard.NewEstimate([]int{1, 1, 1})
	few := guard.NewEstimate([]int{2, 2, 2})
	many := guard.NewEstimate([]int{2, 2, 2, 2, 2})
	for mode, want := range map[config.Mode][3]verdict{
		config.ModeOff:     {verdictFits, verdictFits, verdictUnguarded},
		config.ModeObserve: {verdictFits, verdictFits, verdictUnguarded},
		config.ModeEnforce: {verdictFits, verdictFits, verdictSpared},
		config.ModeSingle:  {verdictFits, verdictSpared, verdictSpared},
		config.ModeBlock:   {verdictBlocked, verdictBlocked, verdictBlocked},
	} {
		remotes := limits{Mode: mode, MaxRemotes: 4, Budget: 1 << 30}
		memory := limits{Mode: mode, MaxRemotes: 256, Budget: few.Bytes()}
		for i, e := range []guard.Estimate{one, few, many} {
			assert.Equal(t, want[i], remotes.judge(e), "%s: %d remotes", mode, e.Remotes)
			assert.Equal(t, want[i], memory.judge(e), "%s: %d bytes", mode, e.Bytes())
		}
	}
}

func TestBudgetIsAShareOfWhatTheDaemonHas(t *testing.T) {
	for name, tc := range map[string]struct {
		config config.Config
		memory int64
		want   uint64
	}{
		"25% of 90%":              {config.Config{}, 1000 << 20, 225 << 20},
		"off is all of it":        {config.Config{MemoryLimit: config.Memory{Off: true}}, 1000 << 20, 250 << 20},
		"a size wins":             {config.Config{MemoryLimit: config.Memory{Bytes: 200 << 20}}, 1000 << 20, 50 << 20},
		"a budget that is a size": {config.Config{MaxMemory: config.Memory{Bytes: 7}}, 1000 << 20, 7},
	} {
		l, err := newLimits(tc.config.WithDefaults(), "", tc.memory)
		require.NoError(t, err)
		assert.InDelta(t, tc.want, l.Budget, 1, name)
	}
	l, err := newLimits(config.Default(), "", 0)
	require.NoError(t, err)
	assert.NotZero(t, l.Budget, "that of this machine")
}

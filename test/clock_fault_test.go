package test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/guard"
	"github.com/bkguard/bkguard/test/harness"
)

// TestFaultSwitchClock lets the time of the switch file jump as it does when a
// clock is set or a backup restored. The mode in force is always the one that
// stands in the file.
func TestFaultSwitchClock(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	file := filepath.Join(t.TempDir(), "mode")
	daemon := s.start(t, harness.DaemonOptions{
		Binary: binaries(t).Guarded,
		Config: fmt.Sprintf("guard.switchFile = %q\n", file),
	}, "guarded")

	same := time.Now().Truncate(time.Second)
	clocks := []time.Time{time.Unix(0, 0), same.AddDate(100, 0, 0), same, same}
	modes := []struct {
		config.Mode
		outcome guard.Outcome
	}{
		{config.ModeBlock, guard.OutcomeBlocked},
		{config.ModeOff, guard.OutcomePlain},
		{config.ModeObserve, guard.OutcomeObserved},
		{config.ModeSingle, guard.OutcomeSpared},
		{config.ModeEnforce, guard.OutcomeSpared},
	}
	inRounds(t, "clock", func(t *testing.T, round int, repository string) {
		for i, mode := range modes {
			// Equal sizes, so that time and size of the file may both stay.
			text := fmt.Appendf(nil, "%-10s\n", mode.Mode)
			clock := clocks[(round+i)%len(clocks)]
			writeAt(t, file, text, clock, (round+i)%2 == 0)
			require.Eventually(t, func() bool {
				is := status(t, daemon).Modes["registry"]
				return is.Mode == mode.Mode && is.Source == guard.ModeFromSwitch
			}, waitFor, tick, "%s at %v", mode.Mode, clock)
			_, err := daemon.Build(t.Context(), s.to(s.registry.Host, fmt.Sprintf("%s-%s", repository, mode.Mode)))
			require.NoError(t, err)
			assert.Equal(t, mode.outcome, status(t, daemon).Decisions[0].Outcome, "%s at %v", mode.Mode, clock)
		}
		s.retry(t, daemon, repository)
	})
}

// writeAt writes a file in place, or another that takes its name, and sets its
// time.
func writeAt(t *testing.T, file string, text []byte, clock time.Time, inPlace bool) {
	t.Helper()
	name := file
	if !inPlace {
		name += ".new"
	}
	require.NoError(t, os.WriteFile(name, text, 0o600))
	require.NoError(t, os.Chtimes(name, clock, clock))
	if !inPlace {
		require.NoError(t, os.Rename(name, file))
	}
}

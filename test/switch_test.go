package test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/guard"
	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

// status asks a guarded daemon what it is doing.
func status(t *testing.T, d *harness.Daemon) guard.Status {
	t.Helper()
	text, err := d.Debug(t.Context(), "/debug/vars")
	require.NoError(t, err)
	var vars struct {
		Guard guard.Status `json:"bkguard"`
	}
	require.NoError(t, json.Unmarshal([]byte(text), &vars))
	return vars.Guard
}

// switchTo writes the switch file of a daemon, by an atomic rename, and returns
// when the mode is in force.
func switchTo(t *testing.T, d *harness.Daemon, file string, mode config.Mode) {
	t.Helper()
	require.NoError(t, os.WriteFile(file+".new", []byte(mode+"\n"), 0o600))
	require.NoError(t, os.Rename(file+".new", file))
	require.Eventually(t, func() bool {
		is := status(t, d).Modes["local"]
		return is.Mode == mode && is.Source == guard.ModeFromSwitch
	}, waitFor, tick)
}

// TestSwitchGoesRoundWhileBuildsExport changes the mode under builds that export
// in a loop, on a daemon with the race detector in it. No build fails, and every
// export that begins under a mode ends as that mode says.
func TestSwitchGoesRoundWhileBuildsExport(t *testing.T) {
	t.Parallel()
	const builds, rounds = 4, 3
	registry := parts.Registry(t)
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: 10})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "mode")
	daemon := startDaemon(t, harness.DaemonOptions{
		Binary:     parts.Tool(t, "buildkitd-race"),
		Registries: []string{registry.Host},
		Config:     fmt.Sprintf("guard.switchFile = %q\n", file),
	})
	dockerfile := harness.RunSteps(base, steps)
	require.NoError(t, daemon.MixCompressions(t.Context(), dockerfile, registry.Host+"/image"))

	dirs := make([]string, builds)
	for i := range dirs {
		dirs[i] = t.TempDir()
	}
	// export lets every build export once, and returns what the clients saw.
	export := func() []string {
		var eg errgroup.Group
		outputs := make([]string, builds)
		for i := range builds {
			eg.Go(func() error {
				result, err := daemon.Build(t.Context(), harness.Build{
					Dockerfile:  dockerfile,
					ExportCache: []string{"type=local,mode=max,dest=" + dirs[i]},
				})
				outputs[i] = result.Output
				return err
			})
		}
		require.NoError(t, eg.Wait())
		return outputs
	}
	// Other exports go on all the time, whatever the mode.
	var background errgroup.Group
	done := make(chan struct{})
	dir := t.TempDir()
	background.Go(func() error {
		for {
			select {
			case <-done:
				return nil
			default:
			}
			if _, err := daemon.Build(t.Context(), harness.Build{
				Dockerfile:  dockerfile,
				ExportCache: []string{"type=local,mode=max,dest=" + dir},
			}); err != nil {
				return err
			}
		}
	})

	for range rounds {
		for mode, want := range map[config.Mode]guard.Outcome{
			config.ModeOff:     guard.OutcomePlain,
			config.ModeObserve: guard.OutcomeObserved,
			config.ModeEnforce: guard.OutcomeSpared,
			config.ModeSingle:  guard.OutcomeSpared,
			config.ModeBlock:   guard.OutcomeBlocked,
		} {
			switchTo(t, daemon, file, mode)
			outputs := export()
			seen := 0
			for _, d := range status(t, daemon).Decisions {
				if d.Mode != mode {
					break // newest first
				}
				if d.Outcome == want {
					seen++
				}
			}
			assert.GreaterOrEqual(t, seen, builds, mode)
			for _, out := range outputs {
				acted := mode == config.ModeEnforce || mode == config.ModeSingle
				assert.Equal(t, acted, countSteps(out, "cache guard: 13 layers in 2 compressions") == 1, "%s: %s", mode, out)
				assert.Equal(t, mode == config.ModeBlock, strings.Contains(out, "cache export skipped, mode block"), "%s: %s", mode, out)
			}
		}
	}
	close(done)
	require.NoError(t, background.Wait())

	switchTo(t, daemon, file, config.ModeEnforce)
	export()
	fresh := startDaemon(t, harness.DaemonOptions{Binary: binaries(t).Guarded, Registries: []string{registry.Host}})
	for _, dir := range append(dirs, dir) {
		result, err := fresh.Build(t.Context(), harness.Build{Dockerfile: dockerfile, ImportCache: []string{"type=local,src=" + dir}})
		require.NoError(t, err)
		assert.Equal(t, steps, result.Cached, result.Output)
	}
}

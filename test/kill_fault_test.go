package test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
)

// slowly delays what is sent to a registry, so that an export takes long enough
// for something to happen meanwhile.
const slowly = 20 * time.Millisecond

// TestFaultDaemonKilled kills the daemon at any moment of an export and starts
// it again on the same root.
func TestFaultDaemonKilled(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	proxy, err := startProxies(t).Proxy(t.Context(), "slow", s.registry.Host)
	require.NoError(t, err)
	require.NoError(t, proxy.Slow(t.Context(), slowly))
	daemon := s.start(t, harness.DaemonOptions{Binary: binaries(t).Guarded, Registries: []string{proxy.Host}}, "guarded")
	times, err := daemon.TimeExport(t.Context(), s.to(proxy.Host, "cache-timed"))
	require.NoError(t, err)
	inRounds(t, "killed", func(t *testing.T, _ int, repository string) {
		for delay := rand.N(times.Total); ; delay /= 2 {
			t.Logf("killed %v after the beginning of an export of %v", delay, times.Total)
			_, err := exportWhile(t, daemon, s.to(proxy.Host, repository), func(context.Context) error {
				time.Sleep(delay)
				_, err := daemon.Kill(t.Context())
				return err
			})
			require.NoError(t, daemon.Restart(t.Context()))
			s.checkWhole(t, repository)
			if err != nil {
				var failed *harness.BuildError
				require.ErrorAs(t, err, &failed)
				assert.Contains(t, failed.Output, "Unavailable")
				break
			}
			repository += "-again" // the export was faster
		}
		s.retry(t, daemon, repository)
	})
}

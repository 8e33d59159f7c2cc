package test

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
)

// cutAfter lets the small layers of a base image pass and not the first one,
// which holds a program.
const cutAfter = 100 << 10

// registryFault is something that goes wrong between a daemon and a registry.
type registryFault struct {
	// host is where to export to.
	host string
	// begin and end break the connection and mend it. Between them is a build,
	// and during its export more may happen.
	begin, end func(t *testing.T)
	during     func(context.Context) error
	// fails is what the client is told, if the build fails; empty if it must not.
	fails string
	// alone tells that no other export can go on meanwhile.
	alone bool
}

// TestFaultRegistry has a registry die, lose connections, answer with errors and
// take its time while cache is pushed to it. The consequences are the same with
// the guard as without, and nothing of a failed export stays.
func TestFaultRegistry(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	faults := s.registryFaults(t)
	options := harness.DaemonOptions{Binary: binaries(t).Guarded}
	for _, f := range faults {
		options.Registries = append(options.Registries, f.host)
	}
	guarded := s.start(t, options, "guarded")
	options.Binary = binaries(t).Stock
	stock := s.start(t, options, "stock")
	s.restartRegistry(t)
	before, err := guarded.Goroutines(t.Context())
	require.NoError(t, err)

	t.Run("faults", func(t *testing.T) {
		for name, fault := range faults {
			t.Run(name, func(t *testing.T) {
				if !fault.alone {
					t.Parallel() // most of the time upstream waits before it tries again
				}
				inRounds(t, name, func(t *testing.T, round int, repository string) {
					s.playRegistry(t, guarded, fault, repository)
					s.retry(t, guarded, repository)
					if round > 0 {
						return
					}
					s.playRegistry(t, stock, fault, repository+"-stock")
					if fault.fails != "" {
						s.playRegistry(t, guarded, fault, repository+"-ignored", "ignore-error=true")
					}
				})
			})
		}
	})
	s.restartRegistry(t)
	if !assert.Eventually(t, func() bool {
		now, err := guarded.Goroutines(t.Context())
		return err == nil && now <= before
	}, waitFor, tick, "more than %d goroutines", before) {
		stacks, err := guarded.Debug(t.Context(), "/debug/pprof/goroutine?debug=1")
		t.Log(stacks, err)
	}
}

// restartRegistry ends all connections to the registry, also those that nobody
// uses any more.
func (s *scene) restartRegistry(t *testing.T) {
	t.Helper()
	require.NoError(t, s.registry.Kill(t.Context()))
	require.NoError(t, s.registry.Restart(t.Context()))
}

// playRegistry exports with a fault, and holds what the client is told.
func (s *scene) playRegistry(t *testing.T, d *harness.Daemon, f registryFault, repository string, attributes ...string) {
	t.Helper()
	f.begin(t)
	result, err := exportWhile(t, d, s.to(f.host, repository, attributes...), f.during)
	f.end(t)
	s.checkWhole(t, repository)
	if f.fails == "" {
		require.NoError(t, err)
		return
	}
	out := result.Output
	if len(attributes) == 0 {
		var failed *harness.BuildError
		require.ErrorAs(t, err, &failed)
		out = failed.Output
	} else {
		require.NoError(t, err)
	}
	assert.Regexp(t, f.fails, out)
}

func (s *scene) registryFaults(t *testing.T) map[string]registryFault {
	t.Helper()
	toxi := startProxies(t)
	proxy := func(name string) *harness.Proxy {
		p, err := toxi.Proxy(t.Context(), name, s.registry.Host)
		require.NoError(t, err)
		return p
	}
	cut, slow, dying := proxy("cut"), proxy("slow"), proxy("dying")
	failingProxy := func() *harness.FailingProxy {
		p, err := harness.StartFailingProxy(s.registry.Host)
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, p.Stop()) })
		return p
	}
	failing, once := failingProxy(), failingProxy()
	heal := func(p *harness.Proxy) func(*testing.T) {
		return func(t *testing.T) { require.NoError(t, p.Heal(t.Context())) }
	}
	nothing := func(context.Context) error { return nil }
	return map[string]registryFault{
		"killed": {
			host:  dying.Host,
			begin: func(t *testing.T) { require.NoError(t, dying.Slow(t.Context(), slowly)) },
			during: func(context.Context) error {
				time.Sleep(rand.N(10 * slowly))
				return s.registry.Kill(t.Context())
			},
			end: func(t *testing.T) {
				require.NoError(t, s.registry.Restart(t.Context()))
				heal(dying)(t)
			},
			fails: "ERROR: error writing (layer blob|config blob|manifest|cache image): ",
			alone: true,
		},
		"cut": {
			host:   cut.Host,
			begin:  func(t *testing.T) { require.NoError(t, cut.Cut(t.Context(), rand.N(2*cutAfter))) },
			during: nothing,
			end:    heal(cut),
			fails:  "ERROR: error writing layer blob: ",
		},
		"answering 500": {
			host:   failing.Host,
			begin:  func(*testing.T) { failing.Fail(rand.N[int64](20), math.MaxInt64) },
			during: nothing,
			end:    func(*testing.T) { failing.Fail(0, 0) },
			fails:  "ERROR: error writing layer blob: .*500 Internal Server Error",
		},
		"answering 500 once": {
			host:   once.Host,
			begin:  func(*testing.T) { once.Fail(rand.N[int64](20), 1) },
			during: nothing,
			end:    func(*testing.T) { once.Fail(0, 0) },
		},
		"slow": {
			host:   slow.Host,
			begin:  func(t *testing.T) { require.NoError(t, slow.Slow(t.Context(), rand.N(5*slowly))) },
			during: nothing,
			end:    heal(slow),
		},
	}
}

package test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

var soakFile = flag.String("soak", "", "export 2,000 times instead of a few, and write what the daemon holds to this CSV `file`")

const (
	soakAtOnce = 4
	// soakHeap and soakResident are how much more a daemon may hold at the end of a soak than
	// after its first quarter, of live objects and of resident memory. The latter is where the
	// live objects lie: from one rest to the next that of stock, too, goes up and down by up to
	// 9%.
	soakHeap, soakResident = 0.02, 0.10
	// soakConfig switches the history of builds off. It would have an entry for
	// every build of the last minutes at least, with upstream as here.
	soakConfig = "history.maxEntries = 0\n"
	// soakRest is how long nothing is exported before memory counts.
	// Upstream keeps what it has pushed with for each client, and lets go of it
	// every five minutes (util/resolver/pool.go).
	soakRest = 5*time.Minute + 30*time.Second
)

// soakEnv is the environment of a soaked daemon.
var soakEnv = []string{
	// Traces are off, those of clients too. Upstream keeps all of them for one to
	// two minutes (util/tracing/detect): as much as was built meanwhile.
	"OTEL_TRACES_SAMPLER=always_off",
	// Garbage is collected ten times as often as by default, and no heap profile
	// is taken: resident memory otherwise is mostly where garbage was, and grows
	// with the stacks that the profiler has seen.
	"GOGC=10",
	"GODEBUG=memprofilerate=0",
}

// soak is a series of exports, and what the daemon holds in between.
type soak struct {
	name    string // of the daemon, as in docs/benchmarks
	daemon  *harness.Daemon
	host    string   // to export to
	images  []string // Dockerfiles
	dirs    []string // one for each export at a time
	samples []soakSample
}

type soakSample struct {
	exports int
	harness.Vitals
}

// TestSoak exports the caches of several images to a registry, inline and to a
// directory, four at a time, and holds that the daemon does not hold more and
// more, and no ref in the end. What stock holds beside it is only written.
func TestSoak(t *testing.T) {
	t.Parallel()
	exports, every, rest := 60, 12, time.Duration(0)
	guarded := newSoak(t, "guarded", binaries(t).Guarded)
	soaks := []*soak{guarded}
	if *soakFile != "" {
		exports, every, rest = 2000, 100, soakRest
		soaks = append(soaks, newSoak(t, "stock", binaries(t).Stock))
	}
	for done := 0; done < exports; {
		var eg errgroup.Group
		for _, s := range soaks {
			for worker := range soakAtOnce {
				eg.Go(func() error {
					for n := done + worker; n < done+every; n += soakAtOnce {
						if err := s.export(t, n, worker); err != nil {
							return fmt.Errorf("%s: %w", s.name, err)
						}
					}
					return nil
				})
			}
		}
		require.NoError(t, eg.Wait())
		done += every
		if done == exports/4 || done == exports {
			time.Sleep(rest)
		}
		for _, s := range soaks {
			eg.Go(func() error { return s.sample(t, done) })
		}
		require.NoError(t, eg.Wait())
	}
	if *soakFile != "" {
		writeSoaks(t, soaks)
		soaks[1].growth(t, exports/4/every-1)
		heap, resident := guarded.growth(t, exports/4/every-1)
		assert.LessOrEqual(t, heap, soakHeap, "live bytes")
		assert.LessOrEqual(t, resident, soakResident, "resident memory")
	}
	requireNothingInUse(t, guarded.daemon)
	// One more or less for each export at a time is none that is left behind.
	guarded.holdLevel(t, "goroutines", soakAtOnce, func(v harness.Vitals) int64 { return int64(v.Goroutines) })
	guarded.holdLevel(t, "files", soakAtOnce, func(v harness.Vitals) int64 { return int64(v.Files) })
}

func newSoak(t *testing.T, name, binary string) *soak {
	t.Helper()
	registry := parts.Registry(t)
	// The registry would keep idle connections for as long as the daemon does,
	// which is two minutes: so many that they hide everything else.
	proxy, err := harness.StartFailingProxy(registry.Host)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, proxy.Stop()) })
	s := &soak{name: name, host: proxy.Host}
	options := harness.DaemonOptions{
		Binary:     binary,
		Registries: []string{proxy.Host},
		Config:     soakConfig,
		Env:        soakEnv,
	}
	s.daemon = startDaemon(t, options)
	for _, base := range []harness.Base{{Layers: 4}, {Layers: 6, Zstd: true}, {Layers: 8}, {Layers: 10, Zstd: true}} {
		image, err := registry.PushBase(t.Context(), base)
		require.NoError(t, err)
		dockerfile := harness.RunSteps(strings.Replace(image, registry.Host, proxy.Host, 1), steps)
		require.NoError(t, s.daemon.MixCompressions(t.Context(), dockerfile, proxy.Host+"/image"))
		s.images = append(s.images, dockerfile)
	}
	for range soakAtOnce {
		s.dirs = append(s.dirs, t.TempDir())
	}
	return s
}

// export exports the cache of one image, for the n-th time in all.
func (s *soak) export(t *testing.T, n, worker int) error {
	place := fmt.Sprintf("%s/soak-%d:latest", s.host, worker)
	build := harness.Build{Dockerfile: s.images[n%len(s.images)]}
	switch n % 3 {
	case 0:
		build.ExportCache = []string{"type=registry,mode=max,ref=" + place}
	case 1:
		build.ExportCache = []string{"type=local,mode=max,compression=zstd,dest=" + s.dirs[worker]}
	case 2:
		build.ExportCache = []string{"type=inline"}
		build.Output = harness.PushOutput(place)
	}
	_, err := s.daemon.Build(t.Context(), build)
	return err
}

// sample takes down what the daemon holds after so many exports. It prunes nothing
// before, as upstream holds on to a lease of every image that a build has looked
// up until the next prune, whatever that is for (Controller.Prune).
func (s *soak) sample(t *testing.T, exports int) error {
	if _, err := s.daemon.Buildctl(t.Context(), "prune", "--filter", "id==none"); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	v, err := s.daemon.Vitals(t.Context())
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	s.samples = append(s.samples, soakSample{exports, v})
	t.Logf("%s: %4d exports: %.1f MiB resident, %.1f MiB heap, %d goroutines, %d files",
		s.name, exports, float64(v.RSS)/(1<<20), float64(v.Heap)/(1<<20), v.Goroutines, v.Files)
	return nil
}

// growth is how much more the daemon holds in the last sample than in an early one, of live
// objects and of resident memory, as shares of what it held.
func (s *soak) growth(t *testing.T, early int) (heap, resident float64) {
	t.Helper()
	first, last := s.samples[early], s.samples[len(s.samples)-1]
	t.Logf("%s: at rest: %d live bytes, %d resident after %d exports, %d and %d after %d",
		s.name, first.Heap, first.RSS, first.exports, last.Heap, last.RSS, last.exports)
	return float64(last.Heap)/float64(first.Heap) - 1, float64(last.RSS)/float64(first.RSS) - 1
}

// holdLevel compares the samples from the first quarter on with the last ones,
// the median of a fifth of all with that of another. The last may exceed the
// first by so many.
func (s *soak) holdLevel(t *testing.T, what string, most int64, of func(harness.Vitals) int64) {
	t.Helper()
	middle := func(samples []soakSample) int64 {
		var values []int64
		for _, sample := range samples {
			values = append(values, of(sample.Vitals))
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	quarter, fifth := len(s.samples)/4-1, len(s.samples)/5
	first, last := middle(s.samples[quarter:quarter+fifth]), middle(s.samples[len(s.samples)-fifth:])
	t.Logf("%s: %d at first, %d at last", what, first, last)
	assert.LessOrEqual(t, last, first+most, what)
}

// writeSoaks writes the samples, and beside them what they were measured with.
func writeSoaks(t *testing.T, soaks []*soak) {
	t.Helper()
	table := "daemon,export,rss_bytes,heap_bytes,goroutines,files\n"
	for _, s := range soaks {
		for _, sample := range s.samples {
			table += fmt.Sprintf("%s,%d,%d,%d,%d,%d\n", s.name, sample.exports, sample.RSS, sample.Heap, sample.Goroutines, sample.Files)
		}
	}
	require.NoError(t, os.WriteFile(*soakFile, []byte(table), 0o644))
	note := fmt.Sprintf("make soak, %s: %s\n", time.Now().UTC().Format(time.DateOnly), strings.Join(append(daemons(t),
		runtime.Version(), "linux/"+runtime.GOARCH, processor(t), fmt.Sprintf("%d cores", runtime.NumCPU()),
	), ", "))
	require.NoError(t, os.WriteFile(strings.TrimSuffix(*soakFile, filepath.Ext(*soakFile))+".txt", []byte(note), 0o644))
}

// processor is the model of the processor, as far as the kernel knows.
func processor(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/cpuinfo")
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}

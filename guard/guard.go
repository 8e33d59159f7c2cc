// Package guard keeps the export of build cache from exhausting the memory of a
// buildkit daemon.
//
// Upstream builds one remote for every combination of the compressions that the
// layers of an image exist in: c^n remotes for n layers in c compressions
// (moby/buildkit issue 6088). The guard keeps the same knowledge as a table of
// c*n blobs, and chooses the one chain that is written when it is known what
// for. It decorates two public seams, and both work alone:
//
//   - the workers ([Guard.Worker]) hand out all remotes of a record up to the
//     limits, and a single chain beyond them;
//   - the cache exporters ([Guard.Control]) write one chain for each record: the
//     image's own blobs inline, the requested compression elsewhere.
//
// # Use
//
// A daemon makes one guard with [New], adds its workers as [Guard.Worker] returns
// them, and makes its controller with the options that [Guard.Control] returns.
// The example of the package shows it, examples/daemon is a whole daemon, and
// docs/embedding.md describes what meets the guard and what does not.
//
// A failure of the guard never fails a build and never loses cache: the layer
// concerned is exported as it is, and [Guard.Status], the metrics and the log say
// so. The library logs through buildkit's logger, reads no environment and never
// exits.
//
// # Stability
//
// Below version 1.0, a minor version may break what is exported here and in
// package config, and a patch does not. Each version is for one release of
// buildkit, that in go.mod.
//
// The data flows worker -> finding -> provider -> exporter -> choice, and the files
// are named after these. What knows nothing of a guard is in internal/.
package guard

import (
	"fmt"
	"maps"
	"runtime"
	"sync"
	"time"

	"github.com/moby/buildkit/cache/remotecache"
	"github.com/moby/buildkit/control"
	"github.com/moby/buildkit/worker"
	"golang.org/x/time/rate"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/internal/conversions"
	"github.com/bkguard/bkguard/internal/killswitch"
	"github.com/bkguard/bkguard/internal/memory"
)

// Version is the version of the guard.
const Version = "0.2.0"

// Revision is the commit that the guard was built from, empty if that is not known. It is set
// when a program is linked, as upstream's is (version/version.go), and never changed after.
var Revision string

// conversionsPerCPU is how many layers are converted at a time for each CPU: one
// compresses while another reads or writes.
const conversionsPerCPU = 2

// Guard decorates the workers and cache exporters of a daemon. One guard is for
// a whole process: its memory budget covers all that it decorates. Guards are
// made by New. A nil guard guards nothing: it hands back what it is given, and
// its mode is off. It is safe for concurrent use.
type Guard struct {
	config     config.Config
	limits     limits
	killSwitch *killswitch.Switch // nil without a switch file
	stats      stats
	holdings   holdings
	// conversions counts the compressors of all exports.
	conversions conversions.Stats
	measured    sync.Once
	// inline is what all inline exports have observed.
	inline         *export
	observedInline rate.Sometimes

	mu sync.Mutex
	// onMode is told of the mode, nil without OnMode; protected by mu.
	onMode func(config.Mode)
}

// New returns a guard. Zero fields of the configuration mean their defaults; the
// guard keeps a copy of it. The memory budget is fixed here: a percentage refers
// to the memory limit of the process at this moment. With a switch file, the
// guard watches it until Close.
//
// The error is that of an invalid configuration, naming the key, or of finding
// the memory limit.
func New(c config.Config) (*Guard, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.WithDefaults()
	c.Exporters = maps.Clone(c.Exporters)
	limit, err := memory.Limit()
	if err != nil {
		return nil, fmt.Errorf("find the memory limit: %w", err)
	}
	g := &Guard{config: c, inline: newExport("inline", ""), observedInline: rate.Sometimes{Interval: time.Second}}
	g.limits.maxRemotes = uint64(c.MaxRemotes)
	g.limits.gate = memory.NewGate(c.MaxMemory.Of(limit), conversionsPerCPU*runtime.GOMAXPROCS(0), g.stats.waited)
	if c.SwitchFile != "" {
		g.killSwitch = killswitch.New(c.SwitchFile, g.switched)
	}
	return g, nil
}

// OnMode calls a function with the mode of all exporters that have none of their
// own: now, and whenever the kill-switch changes it, until Close. The calls do not
// overlap. The function must not call OnMode. A later call replaces the function.
func (g *Guard) OnMode(f func(config.Mode)) {
	if g == nil {
		f(config.ModeOff)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.onMode = f
	mode, _ := g.Mode("")
	f(mode)
}

// switched takes note of a mode that has changed.
func (g *Guard) switched() {
	g.limits.gate.Recheck()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.onMode != nil {
		mode, _ := g.Mode("")
		g.onMode(mode)
	}
}

// Close stops watching the switch file; the mode stays as it is. What the guard
// has decorated goes on working, and it may decorate more. Closing twice is
// fine. The error is always nil.
func (g *Guard) Close() error {
	if g != nil {
		g.killSwitch.Close()
	}
	return nil
}

// Config returns a copy of the configuration with its defaults filled in. That
// of a nil guard has ModeOff.
func (g *Guard) Config() config.Config {
	if g == nil {
		return config.Config{Mode: config.ModeOff}.WithDefaults()
	}
	c := g.config
	c.Exporters = maps.Clone(c.Exporters)
	return c
}

// Budget is the memory in bytes that all exports may hold together: remotes,
// conversions and uploads.
func (g *Guard) Budget() uint64 {
	if g == nil {
		return 0
	}
	return g.limits.gate.Budget()
}

// Worker decorates a worker; add the result to the worker controller instead of
// the worker itself. A nil worker stays nil, and a worker that is decorated
// already is returned as it is.
//
// Ops that the worker resolves keep the worker itself. That is right: only
// cached results are exported, and these come through the controller
// (worker/cacheresult.go).
func (g *Guard) Worker(w worker.Worker) worker.Worker {
	if g == nil || w == nil {
		return w
	}
	if decorated, ok := w.(*guardedWorker); ok {
		return decorated
	}
	g.holdings.add(w)
	return &guardedWorker{Worker: w, guard: g}
}

// Control decorates the cache exporters of a daemon, and its frontends if the
// configuration says WarnImages; pass the result to control.NewController. The
// given options are left as they are. The workers are in their controller by
// then: decorate them before, with [Guard.Worker].
//
// What the guard does is measured with opt.MeterProvider; without one it is not.
// A process with several controllers calls Control for each: the first provider
// measures the exports of all of them.
func (g *Guard) Control(opt control.Opt) control.Opt {
	if g == nil {
		return opt
	}
	g.measure(opt.MeterProvider)
	opt.ResolveCacheExporterFuncs = g.CacheExporters(opt.ResolveCacheExporterFuncs)
	// A nil store of upstream's type is no nil for Frontends.
	if g.config.WarnImages && opt.ContentStore != nil {
		opt.Frontends = g.Frontends(opt.Frontends, opt.ContentStore)
	}
	return opt
}

// CacheExporters decorates cache exporters by their type, for daemons
// without a controller of upstream's. The given map is left as it is.
func (g *Guard) CacheExporters(funcs map[string]remotecache.ResolveCacheExporterFunc) map[string]remotecache.ResolveCacheExporterFunc {
	if g == nil {
		return funcs
	}
	decorated := make(map[string]remotecache.ResolveCacheExporterFunc, len(funcs))
	for exporterType, f := range funcs {
		decorated[exporterType] = g.cacheExporter(exporterType, f)
	}
	return decorated
}

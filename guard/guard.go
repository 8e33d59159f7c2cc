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
// The data flows worker -> variants -> limits -> remotes -> exporter, and the
// files are named after these.
package guard

import (
	"fmt"
	"time"

	"github.com/moby/buildkit/cache/remotecache"
	"github.com/moby/buildkit/control"
	"github.com/moby/buildkit/worker"
	"golang.org/x/time/rate"

	"github.com/bkguard/bkguard/config"
)

// Version is the version of the guard.
const Version = "0.1.0"

// Guard decorates the workers and cache exporters of a daemon. One guard is for
// a whole process: its memory budget covers all that it decorates. It is safe
// for concurrent use.
type Guard struct {
	config         config.Config
	limits         limits
	modeSwitch     *modeSwitch // nil without a switch file
	stats          stats
	observedInline rate.Sometimes
}

// New returns a guard. Zero fields of the configuration mean their defaults.
// The memory budget is fixed here: a percentage refers to the memory limit of
// the process at this moment. With a switch file, the guard watches it until
// Close. The error is that of finding the memory limit.
func New(c config.Config) (*Guard, error) {
	c = c.WithDefaults()
	limit, err := processLimit()
	if err != nil {
		return nil, fmt.Errorf("find the memory limit: %w", err)
	}
	g := &Guard{config: c, observedInline: rate.Sometimes{Interval: time.Second}}
	g.limits.maxRemotes = uint64(c.MaxRemotes)
	g.limits.budget.max = c.MaxMemory.Of(limit)
	if c.SwitchFile != "" {
		g.modeSwitch = newSwitch(c.SwitchFile)
	}
	return g, nil
}

// Close stops watching the switch file; the mode stays as it is. What the guard
// has decorated goes on working. Closing twice is fine.
func (g *Guard) Close() error {
	g.modeSwitch.close()
	return nil
}

// Config returns the configuration with its defaults filled in.
func (g *Guard) Config() config.Config { return g.config }

// Budget is the memory in bytes that all built remotes may take together.
func (g *Guard) Budget() uint64 { return g.limits.budget.max }

// Worker decorates a worker; add the result to the worker controller instead of
// the worker itself. A nil worker stays nil, and a worker that is decorated
// already is returned as it is.
//
// Ops that the worker resolves keep the worker itself. That is right: only
// cached results are exported, and these come through the controller
// (worker/cacheresult.go).
func (g *Guard) Worker(w worker.Worker) worker.Worker {
	if w == nil {
		return nil
	}
	if decorated, ok := w.(*guardedWorker); ok {
		return decorated
	}
	return &guardedWorker{Worker: w, guard: g}
}

// Control decorates the cache exporters of a daemon, and its frontends if the
// configuration says WarnImages; pass the result to control.NewController. The
// given options are left as they are. The workers are in their controller by
// then: decorate them before, with [Guard.Worker].
//
// What the guard does is measured with opt.MeterProvider; without one it is not.
func (g *Guard) Control(opt control.Opt) control.Opt {
	g.measure(opt.MeterProvider)
	opt.ResolveCacheExporterFuncs = g.CacheExporters(opt.ResolveCacheExporterFuncs)
	if g.config.WarnImages && opt.ContentStore != nil {
		opt.Frontends = g.Frontends(opt.Frontends, opt.ContentStore)
	}
	return opt
}

// CacheExporters decorates cache exporters by their type, for daemons
// without a controller of upstream's. The given map is left as it is.
func (g *Guard) CacheExporters(funcs map[string]remotecache.ResolveCacheExporterFunc) map[string]remotecache.ResolveCacheExporterFunc {
	decorated := make(map[string]remotecache.ResolveCacheExporterFunc, len(funcs))
	for exporterType, f := range funcs {
		decorated[exporterType] = g.cacheExporter(exporterType, f)
	}
	return decorated
}

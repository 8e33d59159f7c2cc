// Package seam is what the woven buildkitd calls: its main loads the
// configuration, adds workers and makes the controller through the three
// functions here (see package weave).
//
// The functions share the guard of the process in a variable of the package, as
// upstream's main offers nothing to hand it on with.
package seam

import (
	"cmp"
	"context"
	"expvar"
	"os"
	"sync"

	"github.com/moby/buildkit/cmd/buildkitd/config"
	"github.com/moby/buildkit/control"
	"github.com/moby/buildkit/util/bklog"
	"github.com/moby/buildkit/version"
	"github.com/moby/buildkit/worker"
	"github.com/sirupsen/logrus"

	guardconfig "github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/guard"
)

// daemon is the state of the process. LoadFile sets it before main starts any
// goroutine that uses it; afterwards it is only read.
var daemon struct {
	guard *guard.Guard
	limit memoryLimit
}

// product is the name of the guard in the User-Agent of the daemon, beside
// buildkit's.
const product = "bkguard"

// LoadFile is upstream's function of the same name, for a file that may have a
// [guard] table. It makes the guard and sets the memory limit of the Go runtime
// too, and takes the mode from the environment. The error is a single line.
// Nothing else of the daemon exists yet.
func LoadFile(path string) (config.Config, error) {
	table, err := guardconfig.LoadFile(path)
	if err != nil {
		return config.Config{}, err
	}
	if table.Override, err = guardconfig.ParseOverride(os.Getenv(guardconfig.ModeVariable)); err != nil {
		return config.Config{}, err
	}
	limit := findMemoryLimit(table.MemoryLimit)
	limit.apply(cmp.Or(table.Override, table.Mode)) // before the guard takes a share of it
	g, err := guard.New(table)
	if err != nil {
		return config.Config{}, err
	}
	g.OnMode(limit.apply)
	version.SetUserAgentProduct(product, func() string { return guard.Version })
	daemon.guard, daemon.limit = g, limit
	return config.LoadFile(path)
}

// Worker decorates a worker before main adds it to the controller.
func Worker(w worker.Worker) worker.Worker {
	return daemon.guard.Worker(w)
}

// Control decorates the cache exporters and says in the log that the guard is
// there: the logger is set up by now.
func Control(opt control.Opt) control.Opt {
	logReady(daemon.guard, daemon.limit)
	publishStatus()
	return daemon.guard.Control(opt)
}

// publishStatus shows the status under /debug/vars of upstream's debug address.
var publishStatus = sync.OnceFunc(func() {
	expvar.Publish("bkguard", expvar.Func(func() any { return daemon.guard.Status() }))
})

func logReady(g *guard.Guard, limit memoryLimit) {
	mode, source := g.Mode("")
	entry := bklog.G(context.Background()).WithFields(logrus.Fields{
		"guard":             guard.Version,
		"buildkit":          version.Version,
		"mode":              mode,
		"modeSource":        source,
		"maxRemotes":        g.Config().MaxRemotes,
		"budget":            g.Budget(),
		"memoryLimit":       limit.bytes,
		"memoryLimitSource": limit.source,
	})
	if limit.err != nil {
		entry = entry.WithError(limit.err)
	}
	entry.Info("guard ready")
}

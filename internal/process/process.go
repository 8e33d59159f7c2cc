// Package process is what the guard of a whole daemon has beside the guard itself: the
// mode of the environment, the memory limit of the Go runtime, the line of the log that
// says that it is there, and its status.
package process

import (
	"cmp"
	"context"
	"expvar"
	"os"
	"sync"
	"sync/atomic"

	"github.com/moby/buildkit/util/bklog"
	"github.com/moby/buildkit/version"
	"github.com/sirupsen/logrus"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/guard"
)

// product is the name of the guard in the User-Agent of the daemon, beside buildkit's.
const product = "bkguard"

// Process is the guard of a daemon. It is not changed after it was made.
type Process struct {
	Guard *guard.Guard
	limit memoryLimit
}

// New makes the guard of a daemon from its [guard] table, and sets the memory limit of the
// Go runtime too. The mode of the environment wins over the table's. The error is a single
// line, and leaves everything as it was.
func New(table config.Config) (*Process, error) {
	var err error
	if table.Override, err = config.ParseOverride(os.Getenv(config.ModeVariable)); err != nil {
		return nil, err
	}
	limit := findMemoryLimit(table.MemoryLimit)
	limit.apply(cmp.Or(table.Override, table.Mode)) // before the guard takes a share of it
	g, err := guard.New(table)
	if err != nil {
		return nil, err
	}
	g.OnMode(limit.apply)
	version.SetUserAgentProduct(product, func() string { return guard.Version })
	return &Process{Guard: g, limit: limit}, nil
}

// Ready says in the log that the guard is there, with more fields of the daemon, and shows
// its status under /debug/vars of the daemon's debug address. The logger is set up by then.
func (p *Process) Ready(more logrus.Fields) {
	mode, source := p.Guard.Mode("")
	entry := bklog.G(context.Background()).WithFields(logrus.Fields{
		"guard":             guard.Version,
		"mode":              mode,
		"modeSource":        source,
		"maxRemotes":        p.Guard.Config().MaxRemotes,
		"budget":            p.Guard.Budget(),
		"memoryLimit":       p.limit.bytes,
		"memoryLimitSource": p.limit.source,
	}).WithFields(more)
	if guard.Revision != "" {
		entry = entry.WithField("revision", guard.Revision)
	}
	if p.limit.err != nil {
		entry = entry.WithError(p.limit.err)
	}
	entry.Info("guard ready")
	published.Store(p)
	publish()
}

// published is the process whose status is shown.
var published atomic.Pointer[Process]

// publish shows the status. A name can be published once in a process.
var publish = sync.OnceFunc(func() {
	expvar.Publish("bkguard", expvar.Func(func() any { return published.Load().Guard.Status() }))
})

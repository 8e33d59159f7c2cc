// Package seam is what the woven buildkitd calls: its main loads the
// configuration, adds workers and makes the controller through the three
// functions here (see package weave).
//
// The functions share the guard of the process in a variable of the package, as
// upstream's main offers nothing to hand it on with.
package seam

import (
	"github.com/moby/buildkit/cmd/buildkitd/config"
	"github.com/moby/buildkit/control"
	"github.com/moby/buildkit/version"
	"github.com/moby/buildkit/worker"
	"github.com/sirupsen/logrus"

	guardconfig "github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/internal/process"
)

// daemon is the guard of the process. LoadFile sets it before main starts any
// goroutine that uses it; afterwards it is only read.
var daemon *process.Process

// LoadFile is upstream's function of the same name, for a file that may have a
// [guard] table. It makes the guard, too. The error is a single line. Nothing else of the
// daemon exists yet.
func LoadFile(path string) (config.Config, error) {
	table, err := guardconfig.LoadFile(path)
	if err != nil {
		return config.Config{}, err
	}
	p, err := process.New(table)
	if err != nil {
		return config.Config{}, err
	}
	daemon = p
	return config.LoadFile(path)
}

// Worker decorates a worker before main adds it to the controller.
func Worker(w worker.Worker) worker.Worker {
	return daemon.Guard.Worker(w)
}

// Control decorates the cache exporters and says in the log that the guard is
// there: the logger is set up by now.
func Control(opt control.Opt) control.Opt {
	daemon.Ready(logrus.Fields{"buildkit": version.Version})
	return daemon.Guard.Control(opt)
}

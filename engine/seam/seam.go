// Package seam is what the woven Docker Engine calls: dockerd loads its configuration, adds
// a worker and makes the controller of its builder through the three functions here (see
// package weave of the daemon). It has a worker and a controller for each of its two image
// stores, and makes those of one.
//
// The functions share the guard of the process in a variable of the package, as the engine
// offers nothing to hand it on with.
package seam

import (
	"context"
	"runtime/debug"

	"github.com/moby/buildkit/control"
	"github.com/moby/buildkit/util/bklog"
	"github.com/moby/buildkit/worker"
	"github.com/sirupsen/logrus"
	"go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/internal/process"
)

// engine is the guard of the process. Config sets it before the engine starts any goroutine
// that uses it; afterwards it is only read.
var engine *process.Process

// Config takes what the engine has made of its own configuration, and hands it on if the
// guard has a configuration, too. The error is a single line. Nothing else of the engine
// exists yet.
func Config[C any](c C, err error) (C, error) {
	if err != nil {
		return c, err
	}
	var none C
	table, err := config.LoadEngine()
	if err != nil {
		return none, err
	}
	p, err := process.New(table)
	if err != nil {
		return none, err
	}
	engine = p
	return c, nil
}

// Worker decorates the worker before it is added to the controller.
func Worker(w worker.Worker) worker.Worker {
	return engine.Guard.Worker(w)
}

// Control decorates the cache exporters and says in the log that the guard is there: the
// logger is set up by now. What the guard counts stands with the engine's own figures under
// its metrics-addr; buildkit's stay out of these, as they do upstream.
func Control(opt control.Opt) control.Opt {
	engine.Ready(logrus.Fields{"buildkit": buildkitVersion()})
	measured := opt
	if reader, err := prometheus.New(prometheus.WithoutTargetInfo()); err != nil {
		bklog.G(context.Background()).WithError(err).Warn("cache guard is not measured")
	} else {
		measured.MeterProvider = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	}
	decorated := engine.Guard.Control(measured)
	decorated.MeterProvider = opt.MeterProvider
	return decorated
}

// buildkitVersion is that of the module that the engine was built with. The engine does not set
// the one of buildkit's own package, and its module is replaced (see go.mod).
func buildkitVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, module := range info.Deps {
		if module.Path != "github.com/moby/buildkit" {
			continue
		}
		if module.Replace != nil {
			return module.Replace.Version
		}
		return module.Version
	}
	return ""
}

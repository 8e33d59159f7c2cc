package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/bkguard/bkguard/test/harness"
)

// outcome is what became of a daemon and its exports.
type outcome struct {
	// Done is the number of exports that came to their end.
	Done   int  `csv:"done"`
	Killed bool `csv:"killed"`
	// Peak is the most memory that the daemon's process has held, from its
	// start to its end.
	Peak int64 `csv:"peak_rss_bytes"`
	// Seconds is how long the builds that export took, or until the daemon was
	// killed, be it in a build before.
	Seconds float64 `csv:"seconds"`
}

// exportsAtOnce starts all exports at the same moment, and stops the daemon afterwards.
func exportsAtOnce(ctx context.Context, d *harness.Daemon, exports []harness.Build) (outcome, error) {
	began := time.Now()
	errs := make([]error, len(exports))
	var running sync.WaitGroup
	for n, build := range exports {
		running.Go(func() { _, errs[n] = d.Build(ctx, build) })
	}
	running.Wait()
	return ending(ctx, d, began, errs...)
}

// ending stops a daemon whose builds began at the same moment and have ended, with an error
// or with none. That the daemon was killed for its memory is an outcome, not an error.
func ending(ctx context.Context, d *harness.Daemon, began time.Time, errs ...error) (outcome, error) {
	o := outcome{Seconds: float64(time.Since(began).Milliseconds()) / 1000}
	for _, err := range errs {
		if err == nil {
			o.Done++
		}
	}
	exit, err := d.Stop(ctx)
	if err != nil {
		return outcome{}, err
	}
	o.Killed, o.Peak = exit.OOMKilled(), exit.PeakRSS
	if o.Killed {
		return o, nil
	}
	return o, errors.Join(errs...)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bkguard/bkguard/test/harness"
)

// outcome is how one daemon fared with layers of one size.
type outcome struct {
	daemon    string
	layerSize int64
	// took is how long each build took that the daemon has finished, in the
	// order of builds.
	took []time.Duration
	// exit is how the daemon that made the builds has ended.
	exit harness.Exit
	// cached is the number of steps that a fresh daemon found in the cache, if
	// one was exported at all.
	cached int
}

// builds are those of the issue, which a daemon makes one after the other. The
// first two give it every layer in two compressions. The second compresses every
// layer anew, and the third is the one that the issue is about.
var builds = []string{"gzip build", "forced zstd build", "cache export"}

// cacheExport is the place of the last build in builds.
const cacheExport = 2

// reached tells whether the daemon has begun one of the builds.
func (o outcome) reached(n int) bool { return n <= len(o.took) }

// lastBuild is the one that the daemon has begun last. A daemon that was killed
// has ended in it.
func (o outcome) lastBuild() string { return builds[min(len(o.took), cacheExport)] }

// player is a daemon with a base image.
type player struct {
	*scenario
	daemon, binary string
	layerSize      int64
	registry, base string
}

// play makes the builds on one daemon, and repeats the last one on a daemon that
// knows nothing but the cache.
func (p *player) play(ctx context.Context) (outcome, error) {
	o := outcome{daemon: p.daemon, layerSize: p.layerSize}
	if err := p.makeBuilds(ctx, &o); err != nil {
		return outcome{}, err
	}
	if !o.reached(cacheExport) {
		return o, nil
	}
	if err := p.importCache(ctx, &o); err != nil {
		return outcome{}, fmt.Errorf("import the cache into a fresh daemon: %w", err)
	}
	return o, nil
}

// makeBuilds makes the builds until the daemon is killed for its memory, which
// is an outcome and not an error.
func (p *player) makeBuilds(ctx context.Context, o *outcome) error {
	return p.withDaemon(ctx, func(daemon builder) (err error) {
		var failed error
		for n, b := range p.builds() {
			var took time.Duration
			took, failed = p.step(builds[n], func() error {
				_, err := daemon.build(ctx, b)
				return err
			})
			if failed != nil {
				break
			}
			o.took = append(o.took, took)
		}
		if o.exit, err = daemon.Stop(ctx); err != nil {
			return err
		}
		if o.exit.OOMKilled() {
			return nil
		}
		return failed
	})
}

func (p *player) builds() []build {
	image := p.place("image")
	return []build{
		{dockerfile: p.dockerfile(), output: harness.PushOutput(image+"-gzip", "compression=gzip")},
		{dockerfile: p.dockerfile(), output: harness.PushOutput(image+"-zstd", "compression=zstd", "force-compression=true")},
		{dockerfile: p.dockerfile(), exportCache: p.cache() + ",mode=max"},
	}
}

// importCache repeats the build on a daemon that knows nothing but the cache.
func (p *player) importCache(ctx context.Context, o *outcome) error {
	return p.withDaemon(ctx, func(daemon builder) error {
		_, err := p.step("import the cache into a fresh daemon", func() error {
			result, err := daemon.build(ctx, build{dockerfile: p.dockerfile(), importCache: p.cache()})
			o.cached = result.Cached
			return err
		})
		return err
	})
}

func (p *player) dockerfile() string { return harness.RunSteps(p.base, steps) }

func (p *player) cache() string { return "type=registry,ref=" + p.place("cache") }

// place is a name in the registry that no other player uses.
func (p *player) place(repository string) string {
	return fmt.Sprintf("%s/%s:%s-%d", p.registry, repository, p.daemon, p.layerSize)
}

func (p *player) step(what string, f func() error) (time.Duration, error) {
	return p.progress.Step(fmt.Sprintf("%s, %s: %s", p.daemon, p.describe(p.layerSize), what), f)
}

// withDaemon runs f with a new daemon, which is gone afterwards.
func (p *player) withDaemon(ctx context.Context, f func(builder) error) (err error) {
	daemon, err := p.start(ctx)
	if err != nil {
		return err
	}
	defer func() {
		_, stopErr := daemon.Stop(context.WithoutCancel(ctx))
		err = errors.Join(err, stopErr, daemon.Remove())
	}()
	return f(daemon)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bkguard/bkguard/test/harness"
)

// measureEngines builds images of more and more layers on Docker Engines, in gzip and in
// zstd, and exports their cache.
func measureEngines(ctx context.Context, b *bench) (any, error) {
	var all []export
	for round := range rounds {
		for _, layers := range []int{16, 20, 30, 64, 127} {
			for _, kind := range []string{stock, guarded} {
				e := export{setting: setting{kind, limit, layers, 2, 1}, Round: round + 1}
				if err := b.step(fmt.Sprintf("round %d of %d: %v", e.Round, rounds, e), func() error { return b.engine(ctx, &e) }); err != nil {
					return nil, fmt.Errorf("%v: %w", e.setting, err)
				}
				all = append(all, e)
			}
		}
	}
	return all, nil
}

// engine fills in e with an engine of its own, whose containerd shares the limit. That the
// engine is killed for its memory in one of the builds is an outcome, not an error.
func (b *bench) engine(ctx context.Context, e *export) (err error) {
	base, err := b.base(ctx, harness.Base{Layers: e.Layers - steps, LayerSize: layerSize})
	if err != nil {
		return err
	}
	ours, others, err := harness.FindEngines()
	if err != nil {
		return err
	}
	o := harness.EngineOptions{Binary: others, MemoryLimit: e.Limit}
	if e.Daemon == guarded {
		o.Binary = ours
	}
	engine, err := harness.StartEngine(ctx, o)
	if err != nil {
		return err
	}
	defer func() {
		_, stopErr := engine.Stop(context.WithoutCancel(ctx))
		err = errors.Join(err, stopErr, engine.Remove())
	}()
	dockerfile := harness.WithoutNetwork(harness.RunSteps(base, steps))
	for _, build := range []harness.BuildxBuild{
		{Output: harness.PushOutput(b.place())},
		{Output: harness.PushOutput(b.place(), "compression=zstd", "force-compression=true")},
		{CacheTo: []string{"type=registry,mode=max,ref=" + b.place()}},
	} {
		build.Dockerfile = dockerfile
		began := time.Now()
		if _, err = engine.Build(ctx, build); err != nil {
			break
		}
		e.Seconds = time.Since(began).Seconds()
	}
	exit, stopErr := engine.Stop(ctx)
	e.Peak, e.Killed = exit.PeakRSS, exit.OOMKilled()
	if e.Killed {
		return stopErr
	}
	e.Done = 1
	return errors.Join(err, stopErr)
}

// EnginesTable is over layers.
func (d *data) EnginesTable() string {
	return exportTable(d.Engines, "layers", func(s setting) int { return s.Layers }, setting.combinations)
}

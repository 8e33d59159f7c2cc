package main

import (
	"context"
	"errors"
	"fmt"

	units "github.com/docker/go-units"

	"github.com/bkguard/bkguard/test/harness"
)

const (
	// steps is the number of RUN steps on the base image.
	steps = 3
	// smallLayer is so small that even stock has the memory to compress all
	// layers at once, and gets as far as the cache export.
	smallLayer = 8 << 10

	stock   = "stock"
	guarded = "guarded"
)

// scenario is one run of the demo.
type scenario struct {
	layers    int   // of the base image
	layerSize int64 // in bytes
	memory    int64 // limit of a daemon in bytes
	docker    bool  // play it on Docker Engines instead of on buildkitd
	programs  harness.Binaries
	progress  *harness.Progress
}

// play lets each daemon do the same, in turn, with small layers and with large
// ones. All that it makes is gone when it returns, also when ctx has ended.
func (s *scenario) play(ctx context.Context) (outcomes []outcome, err error) {
	var registry *harness.Registry
	_, err = s.progress.Step("start a registry", func() (err error) {
		registry, err = harness.StartRegistry(ctx, s.programs.Registry)
		return err
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		err = errors.Join(err, registry.Stop(context.WithoutCancel(ctx)), registry.Remove())
	}()
	bases := map[int64]string{}
	for _, size := range []int64{smallLayer, s.layerSize} {
		_, err := s.progress.Step("push a base image of "+s.describe(size), func() (err error) {
			bases[size], err = registry.PushBase(ctx, harness.Base{Layers: s.layers, LayerSize: int(size)})
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	for _, p := range []player{
		{daemon: stock, binary: s.programs.Stock, layerSize: smallLayer},
		{daemon: stock, binary: s.programs.Stock, layerSize: s.layerSize},
		{daemon: guarded, binary: s.programs.Guarded, layerSize: smallLayer},
		{daemon: guarded, binary: s.programs.Guarded, layerSize: s.layerSize},
	} {
		p.scenario, p.registry, p.base = s, registry.Host, bases[p.layerSize]
		o, err := p.play(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s daemon, %s: %w", p.daemon, s.describe(p.layerSize), err)
		}
		outcomes = append(outcomes, o)
	}
	return outcomes, nil
}

// describe says how many layers of a size the base image has.
func (s *scenario) describe(layerSize int64) string {
	return fmt.Sprintf("%d layers of %s", s.layers, size(layerSize))
}

// size is a number of bytes as a person reads it.
func size(bytes int64) string { return units.BytesSize(float64(bytes)) }

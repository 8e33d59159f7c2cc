package main

import (
	"cmp"
	"context"
	"fmt"
	"strconv"

	"github.com/bkguard/bkguard/test/harness"
)

const (
	// none is no memory limit.
	none = 0
	// defaultLevel is the level of zstd that upstream takes if none is asked for.
	defaultLevel = 3
)

// conversion is how a daemon fared with an image whose layers it has to convert, once.
type conversion struct {
	Daemon string `csv:"daemon"`
	Limit  int64  `csv:"limit_bytes"` // 0 is none
	Layers int    `csv:"layers"`      // of the image, RUN steps included
	Level  int    `csv:"level"`
	Round  int    `csv:"round"`
	outcome
}

func (c conversion) String() string {
	return fmt.Sprintf("%v, %d layers to zstd at level %d", column{c.Daemon, c.Limit}, c.Layers, c.Level)
}

func layersOf(c conversion) int { return c.Layers }
func levelOf(c conversion) int  { return c.Level }

// over are conversions as exports, with another of their numbers in place of the layers.
func over(all []conversion, of func(conversion) int) []export {
	var exports []export
	for _, c := range all {
		exports = append(exports, export{setting: setting{c.Daemon, c.Limit, of(c), 1, 1}, Round: c.Round, outcome: c.outcome})
	}
	return exports
}

// measureConversions converts more and more layers.
func measureConversions(ctx context.Context, b *bench) (any, error) {
	var settings []conversion
	for _, layers := range []int{16, 64, 127} {
		settings = append(settings, conversion{Layers: layers, Level: defaultLevel})
	}
	return b.convertAll(ctx, settings)
}

// measureLevels converts layers at higher and higher levels.
func measureLevels(ctx context.Context, b *bench) (any, error) {
	var settings []conversion
	for _, level := range []int{1, defaultLevel, 7, 22} {
		settings = append(settings, conversion{Layers: 64, Level: level})
	}
	return b.convertAll(ctx, settings)
}

// convertAll measures every setting in every round, on both daemons, with a limit and
// without.
func (b *bench) convertAll(ctx context.Context, settings []conversion) ([]conversion, error) {
	var all []conversion
	for round := range rounds {
		for _, c := range settings {
			for _, of := range []column{{stock, limit}, {guarded, limit}, {stock, none}, {guarded, none}} {
				c.Daemon, c.Limit, c.Round = of.daemon, of.limit, round+1
				what := fmt.Sprintf("round %d of %d: %v", c.Round, rounds, c)
				if err := b.step(what, func() error { return b.convert(ctx, &c) }); err != nil {
					return nil, fmt.Errorf("%v: %w", c, err)
				}
				all = append(all, c)
			}
		}
	}
	return all, nil
}

// convert fills in c with a daemon of its own. That it is killed for its memory is an
// outcome, not an error.
func (b *bench) convert(ctx context.Context, c *conversion) error {
	base, err := b.base(ctx, harness.Base{Layers: c.Layers - steps, LayerSize: layerSize})
	if err != nil {
		return err
	}
	return b.withDaemon(ctx, c.Daemon, c.Limit, func(d *harness.Daemon) error {
		build := harness.Build{Dockerfile: harness.RunSteps(base, steps)}
		if _, err := d.Build(ctx, build); err != nil {
			return err
		}
		build.Output = harness.PushOutput(b.place(), "compression=zstd", "force-compression=true", "compression-level="+strconv.Itoa(c.Level))
		c.outcome, err = exportsAtOnce(ctx, d, []harness.Build{build})
		return err
	})
}

// ConversionsTable is over layers, a column for each daemon and limit.
func (d *data) ConversionsTable() string {
	return exportTable(over(d.Conversions, layersOf), "layers", func(s setting) int { return s.Layers }, nil)
}

// LevelsTable is over levels.
func (d *data) LevelsTable() string {
	return exportTable(over(d.Levels, levelOf), "level", func(s setting) int { return s.Layers }, nil)
}

// conversionClaim is what became of a conversion on both daemons, with the limit and
// without.
func (d *data) conversionClaim(layers int) []string {
	row := []string{fmt.Sprintf("image of %d layers of 1 MiB converted to zstd", layers), "", ""}
	var seconds [2]float64
	for _, s := range summarize(over(d.Conversions, layersOf)) {
		if s.Layers != layers {
			continue
		}
		n := cmp.Compare(s.Daemon, guarded) // guarded 0, stock 1
		if s.Limit == none {
			seconds[n] = s.seconds
		} else {
			row[2-n] = s.text()
		}
	}
	row[2] += fmt.Sprintf("; without a limit %s", ratio(seconds[0]/seconds[1]))
	return row
}

package test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moby/buildkit/util/compression"

	"github.com/bkguard/bkguard/test/harness"
)

// workerState is what a worker holds before it exports.
type workerState struct {
	// stages makes a Dockerfile of two stages, with COPY --from, COPY --link
	// and the merges and diffs that come of them; else it is RUN steps.
	stages bool
	// layers is the number of layers of the base image, base their compression
	// and that of the first build.
	layers int
	base   compression.Type
	// others is the number of compressions that the image was built in besides.
	others int
}

// variants are the compressions that the image was built in besides its own.
func (s workerState) variants() []compression.Type {
	order := []compression.Type{compression.Zstd, compression.EStargz, compression.Uncompressed}
	if s.base == compression.Zstd {
		order[0] = compression.Gzip
	}
	return order[:s.others]
}

func (s workerState) String() string {
	kind := "RUN steps"
	if s.stages {
		kind = "Two stages"
	}
	names := []string{s.base.String()}
	for _, t := range s.variants() {
		names = append(names, t.String())
	}
	return fmt.Sprintf("%s on %d layers in %s", kind, s.layers, strings.Join(names, "+"))
}

// build is the Dockerfile with its context.
func (s workerState) build(base string) harness.Build {
	if !s.stages {
		return harness.Build{Dockerfile: harness.RunSteps(base, steps)}
	}
	return harness.TwoStages(base)
}

// steps is the number of steps that the build has.
func (s workerState) steps() int {
	if s.stages {
		return 6
	}
	return steps
}

// imageLayers is the number of layers that the image has.
func (s workerState) imageLayers() int {
	if s.stages {
		return s.layers + 4 // three COPY and a RUN
	}
	return s.layers + steps
}

// cell is one export from a worker in a state.
type cell struct {
	state     workerState
	exporter  string
	mode      string // empty for inline
	requested compression.Type
}

func (c cell) String() string {
	name := c.exporter + " in " + c.requested.String()
	if c.mode != "" {
		name += " mode " + c.mode
	}
	return name
}

// possible is the number of layers that can be written as requested: all of the
// image or none. Inline there is no choice, the image has its blobs already.
func (c cell) possible() int {
	if c.exporter == "inline" || (c.requested != c.state.base && !slices.Contains(c.state.variants(), c.requested)) {
		return 0
	}
	return c.state.imageLayers()
}

// allCells is the whole matrix.
func allCells() []cell {
	var cells []cell
	for _, s := range []workerState{
		{layers: 12, base: compression.Gzip},
		{layers: 12, base: compression.Zstd},
		{layers: 12, base: compression.Gzip, stages: true},
		{layers: 61, base: compression.Gzip},
		{layers: 61, base: compression.Zstd},
	} {
		for _, s.others = range []int{0, 1, 3} {
			cells = append(cells, exportsOf(s)...)
		}
	}
	return cells
}

// exportsOf is all that a worker in a state is asked for. An image with its cache
// inline has no mode.
func exportsOf(s workerState) []cell {
	var cells []cell
	for _, exporter := range []string{"registry", "local", "s3", "azblob", "inline"} {
		requests := []compression.Type{compression.Gzip, compression.Zstd, compression.EStargz}
		modes := []string{"min", "max"}
		if exporter == "inline" {
			modes = []string{""}
		}
		for _, requested := range requests {
			for _, mode := range modes {
				cells = append(cells, cell{state: s, exporter: exporter, mode: mode, requested: requested})
			}
		}
	}
	return cells
}

// someCells is the part of the matrix that is always tested.
func someCells() []cell {
	var (
		two    = workerState{layers: 12, base: compression.Gzip, others: 1}
		four   = workerState{layers: 12, base: compression.Zstd, others: 3}
		long   = workerState{layers: 61, base: compression.Zstd, others: 1}
		stages = workerState{layers: 12, base: compression.Gzip, others: 1, stages: true}
	)
	return []cell{
		{two, "registry", "max", compression.Zstd},
		{two, "local", "min", compression.Gzip},
		{two, "s3", "max", compression.Zstd},
		{two, "azblob", "min", compression.Zstd},
		{two, "inline", "", compression.Zstd},
		{four, "registry", "min", compression.EStargz},
		{long, "registry", "max", compression.Gzip},
		{long, "local", "max", compression.Zstd},
		{long, "s3", "min", compression.Gzip},
		{long, "azblob", "max", compression.Gzip},
		{long, "inline", "", compression.Gzip},
		{stages, "registry", "max", compression.Zstd},
		{stages, "registry", "min", compression.Zstd},
		{stages, "inline", "", compression.Zstd},
	}
}

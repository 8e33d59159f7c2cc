// Command demo plays moby/buildkit issue 6088 on the stock daemon and on the
// guarded one, side by side, with the same images and the same memory limit:
//
//	go run ./test/demo
//	go run ./test/demo -docker
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"

	units "github.com/docker/go-units"

	"github.com/bkguard/bkguard/test/harness"
)

func main() { harness.Main("demo", run) }

// run plays the demo; its result goes to stdout and its progress to stderr. The
// error is flag.ErrHelp when only the help was asked for.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s, err := parse(args, stdout)
	if err != nil {
		return err
	}
	if err := s.check(ctx); err != nil {
		return err
	}
	s.progress = harness.NewProgress(stderr)
	outcomes, err := s.play(ctx)
	if ctx.Err() != nil {
		err = fmt.Errorf("stopped before the end: %w", context.Cause(ctx))
	}
	if err := errors.Join(err, harness.CheckClean()); err != nil {
		return err
	}
	return s.report(stdout, outcomes)
}

const usage = `Usage: go run ./test/demo [flags]

Plays moby/buildkit issue 6088 on stock buildkitd and on the guarded one: the
same image is built in gzip and, with force-compression=true, in zstd, then the
build cache is exported, and a fresh daemon imports it. Each daemon does so with
layers of %[4]s, which leave stock the memory to come to the cache export, and
with layers of real size. All daemons run in a cgroup with a memory limit. Needs
root, the programs that make builds, and in the temporary directory four times
as much room as the layers take.

With -docker, the daemons are Docker Engines, stock and guarded, which build with
docker buildx. That needs the programs that make demo-docker builds.

Flags:
  -layers N         layers of the base image (default %[1]d)
  -layer-size SIZE  size of a layer of the large base image, in binary units
                    (default %[2]s)
  -memory SIZE      memory limit of a daemon, in binary units (default %[3]s)
  -docker           play it on dockerd instead of on buildkitd

Examples:
  go run ./test/demo
  go run ./test/demo -layers 127 -layer-size 1MB
  go run ./test/demo -layers 30 -memory 1GB
  go run ./test/demo -docker
`

const (
	defaultLayers    = 61
	defaultLayerSize = "8MB"
	defaultMemory    = "512MB"
	// Docker takes no image with more layers.
	maxLayers = 127
	// Layers of the large base image are larger than those of the small one, and
	// not so large that 127 of them fill a disk.
	minLayerSize = 2 * smallLayer
	maxLayerSize = 256 << 20
	// With less, a daemon has no room for its ordinary work.
	minMemory = 256 << 20
)

// parse reads the flags. Help goes to stdout, as it was asked for.
func parse(args []string, stdout io.Writer) (scenario, error) {
	var (
		s                 scenario
		layerSize, memory string
		flags             = flag.NewFlagSet("demo", flag.ContinueOnError)
	)
	flags.IntVar(&s.layers, "layers", defaultLayers, "")
	flags.StringVar(&layerSize, "layer-size", defaultLayerSize, "")
	flags.BoolVar(&s.docker, "docker", false, "")
	flags.StringVar(&memory, "memory", defaultMemory, "")
	err := harness.ParseFlags(flags, args, fmt.Sprintf(usage, defaultLayers, defaultLayerSize, defaultMemory, size(smallLayer)), stdout)
	if err != nil {
		return scenario{}, err
	}
	if flags.NArg() > 0 {
		return scenario{}, fmt.Errorf("unexpected argument %q (-h shows the flags)", flags.Arg(0))
	}
	if s.layers < 1 || s.layers > maxLayers {
		return scenario{}, fmt.Errorf("-layers %d is out of range (allowed: 1 to %d)", s.layers, maxLayers)
	}
	if s.layerSize, err = units.RAMInBytes(layerSize); err != nil || s.layerSize < minLayerSize || s.layerSize > maxLayerSize {
		return scenario{}, fmt.Errorf("-layer-size %q is not a size of %s to %s, such as %q",
			layerSize, size(minLayerSize), size(maxLayerSize), defaultLayerSize)
	}
	if s.memory, err = units.RAMInBytes(memory); err != nil || s.memory < minMemory {
		return scenario{}, fmt.Errorf("-memory %q is not a size of at least %s, such as %q", memory, size(minMemory), defaultMemory)
	}
	return s, nil
}

// check finds out whether the demo can be played here, and with which programs.
func (s *scenario) check(ctx context.Context) error {
	if err := harness.CheckLimits(ctx); err != nil {
		return err
	}
	programs, err := harness.FindBinaries()
	if err == nil && s.docker {
		programs.Guarded, programs.Stock, err = harness.FindEngines()
	}
	s.programs = programs
	return err
}

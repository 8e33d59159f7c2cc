package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v3"
)

// errNoFit ends estimate --fail-unless-fits with an exit code of its own.
var errNoFit = errors.New("do not fit")

// What --layers and --compressions may be.
const (
	maxLayers       = 10000
	maxCompressions = 100
)

const estimateDescription = `Says how many remotes an export of build cache makes of an image, the memory
that stock buildkitd would need for them at least, and what a guarded daemon
does instead. The images come from one of

   --layers N        a number of layers
   IMAGE...          references, or directories with an OCI layout
   --dockerfile FILE the stages of a Dockerfile: the layers of their base image
                     and one for every RUN, COPY, ADD and WORKDIR

--compressions is an assumption: that the worker holds every layer in so many
compressions. A manifest cannot tell, as it has one. A worker gets a second one
when an image is built in gzip and again with
compression=zstd,force-compression=true; estargz would be a third. Layers that
exist in fewer make fewer remotes. The topmost layer counts once, as its blob
is fixed: n layers in c compressions make c^(n-1) remotes.

VERDICTS:
   fits       within the limits
   spared     one chain of layers is exported for a record, its combinations are not built
   blocked    nothing is exported, the mode is block
   unguarded  beyond the limits, but mode off or observe leaves it to stock

The limits are those of [guard] in --config, and of its defaults without. The
mode is the one that a daemon on this machine would be in: the switch file and
BKGUARD_MODE count. maxMemory is a share of --memory.

EXAMPLES:
   bkguard estimate --layers 61 --compressions 2
   bkguard estimate golang:1.26 ./image.oci --compressions 3
   bkguard estimate --dockerfile Dockerfile --build-arg GO=1.26 --platform linux/arm64
   bkguard estimate --dockerfile - --config buildkitd.toml --fail-unless-fits <Dockerfile

With --fail-unless-fits the exit code is 2 unless everything fits.`

// estimateOptions are the flags of estimate.
type estimateOptions struct {
	layers, compressions int
	dockerfile           string
	buildArgs            []string
	platform             string
	insecure             bool
	limits               limitOptions
	failUnlessFits       bool
}

func estimateCommand(out *output) *cli.Command {
	var o estimateOptions
	return &cli.Command{
		Name:        "estimate",
		Usage:       "tell what an export of cache would need, and what the guard makes of it",
		UsageText:   "bkguard estimate [options] --layers N | IMAGE... | --dockerfile FILE",
		Description: estimateDescription,
		Flags: append([]cli.Flag{
			&cli.IntFlag{Name: "layers", Usage: "estimate for `N` layers", HideDefault: true, Destination: &o.layers, Validator: between(1, maxLayers)},
			&cli.IntFlag{Name: "compressions", Usage: "every layer exists in `C` compressions", Value: 2, Destination: &o.compressions, Validator: between(1, maxCompressions)},
			&cli.StringFlag{Name: "dockerfile", Usage: "estimate for the stages of `FILE`, \"-\" for standard input", Destination: &o.dockerfile, TakesFile: true},
			&cli.StringSliceFlag{Name: "build-arg", Usage: "an argument of the Dockerfile, as `KEY=VALUE`", Destination: &o.buildArgs},
			&cli.StringFlag{Name: "platform", Usage: "only images for `OS/ARCH`, all by default", Destination: &o.platform},
			&cli.BoolFlag{Name: "insecure", Usage: "speak plain HTTP with registries", Destination: &o.insecure},
			&cli.BoolFlag{Name: "fail-unless-fits", Usage: "exit with 2 unless everything fits", Destination: &o.failUnlessFits},
		}, o.limits.flags()...),
		Action: func(ctx context.Context, c *cli.Command) error {
			report, err := o.estimate(ctx, c.Args().Slice(), c.Root().Reader)
			if err != nil {
				return err
			}
			if err := out.print(c.Root().Writer, report, report.text); err != nil {
				return err
			}
			if n := report.beyond(); o.failUnlessFits && n > 0 {
				return fmt.Errorf("%d of %d %w", n, len(report.Estimates), errNoFit)
			}
			return nil
		},
	}
}

// between refuses a number out of a range.
func between(least, most int) func(int) error {
	return func(n int) error {
		if n < least || n > most {
			return fmt.Errorf("out of range (allowed: %d to %d)", least, most)
		}
		return nil
	}
}

// estimate makes the report for the one kind of input that is given.
func (o *estimateOptions) estimate(ctx context.Context, names []string, stdin io.Reader) (estimateReport, error) {
	kinds := 0
	for _, given := range []bool{o.layers > 0, len(names) > 0, o.dockerfile != ""} {
		if given {
			kinds++
		}
	}
	if kinds != 1 {
		return estimateReport{}, errors.New("give one of --layers, --dockerfile or images (see bkguard estimate --help)")
	}
	l, err := o.limits.find()
	if err != nil {
		return estimateReport{}, err
	}
	report := estimateReport{limits: l}
	source := imageSource{insecure: o.insecure}
	switch {
	case o.layers > 0:
		report.add("", image{}, o.layers, o.compressions)
	case o.dockerfile != "":
		err = o.addStages(ctx, &report, &source, stdin)
	default:
		for _, imageName := range names {
			if err = report.addImages(ctx, &source, stage{base: imageName, platform: o.platform}, o.compressions); err != nil {
				break
			}
		}
	}
	return report, err
}

// addStages adds the stages of the Dockerfile to a report.
func (o *estimateOptions) addStages(ctx context.Context, report *estimateReport, source *imageSource, stdin io.Reader) error {
	arguments := make(map[string]string)
	for _, word := range o.buildArgs {
		key, value, ok := strings.Cut(word, "=")
		if !ok || key == "" {
			return fmt.Errorf("--build-arg %q is not of the form KEY=VALUE", word)
		}
		arguments[key] = value
	}
	text, file := stdin, "Dockerfile"
	if o.dockerfile != "-" {
		f, err := os.Open(o.dockerfile)
		if err != nil {
			return err
		}
		defer f.Close()
		text, file = f, o.dockerfile
	}
	stages, err := parseStages(file, text, arguments, o.platform)
	if err != nil {
		return err
	}
	for _, s := range stages {
		if err := report.addImages(ctx, source, s, o.compressions); err != nil {
			return err
		}
	}
	return nil
}

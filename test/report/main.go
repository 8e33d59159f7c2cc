// Command report measures the guarded daemon beside stock, and writes
// docs/benchmarks.md with its plots from what it has measured:
//
//	go run ./test/report
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bkguard/bkguard/test/harness"
)

func main() { harness.Main("report", run) }

const usage = `Usage: go run ./test/report [flags]

Measures stock buildkitd and the guarded one side by side, section by section,
and writes docs/benchmarks.md, its plots and docs/proof.md. What was measured is kept in
docs/benchmarks, so that the page can be written again without measuring, and
one section measured without the others. The page also takes in soak.csv and
identity.csv, which make soak and make identity write there, and floor.md, which
is written by hand. Needs root, the
programs that make builds, and to be run where go.mod is.

Flags:
  -only NAMES  the sections to measure, separated by commas (default: all of
               %s);
               page measures nothing, and writes the page

Examples:
  go run ./test/report
  go run ./test/report -only layers,compressions
  go run ./test/report -only page
`

// run measures and writes; help goes to stdout and progress to stderr. The error
// is flag.ErrHelp when only the help was asked for.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	chosen, err := parse(args, stdout)
	if err != nil {
		return err
	}
	if len(chosen) > 0 {
		err := measure(ctx, chosen, harness.NewProgress(stderr))
		if ctx.Err() != nil {
			err = fmt.Errorf("stopped before the end: %w", context.Cause(ctx))
		}
		if err := errors.Join(err, harness.CheckClean()); err != nil {
			return err
		}
	}
	return write(".")
}

// parse returns the sections to measure. Help goes to stdout, as it was asked
// for.
func parse(args []string, stdout io.Writer) ([]section, error) {
	var names []string
	for _, s := range sections {
		names = append(names, s.name)
	}
	flags := flag.NewFlagSet("report", flag.ContinueOnError)
	only := flags.String("only", strings.Join(names, ","), "")
	if err := harness.ParseFlags(flags, args, fmt.Sprintf(usage, strings.Join(names, ",")), stdout); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q (-h shows the flags)", flags.Arg(0))
	}
	if *only == "page" {
		return nil, nil
	}
	var chosen []section
	for name := range strings.SplitSeq(*only, ",") {
		n := slices.Index(names, name)
		if n < 0 {
			return nil, fmt.Errorf("-only %q is no section (allowed: %s, or page)", name, strings.Join(names, ", "))
		}
		chosen = append(chosen, sections[n])
	}
	return chosen, nil
}

// write writes the pages and the plots into the project in a directory, from the
// data that is there.
func write(project string) error {
	d, err := load(filepath.Join(project, dataDir))
	if err != nil {
		return err
	}
	return errors.Join(
		d.writeCharts(filepath.Join(project, dataDir)),
		d.writePage(filepath.Join(project, "docs", "benchmarks.md")),
		d.writeProof(filepath.Join(project, "docs", "proof.md")),
	)
}

// Command mutants changes the code in one place at a time and looks whether a test fails:
//
//	go run ./test/mutants ./internal/...                          # one line for each survivor
//	go run ./test/mutants -write docs/mutants.md ./guard ./cost   # as a page
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/bkguard/bkguard/guard"
	"github.com/bkguard/bkguard/test/harness"
)

func main() { harness.Main("mutants", run) }

const usage = `Usage: go run ./test/mutants [flags] PACKAGE...

Changes the code of each PACKAGE, such as ./guard or ./internal/..., in one place at a
time, and runs the tests of the package that run through that place. A mutant with which all
of them pass survives. The error names survivors that are not explained in
test/mutants/explanations.go, and explanations of what does not survive. The checkout
stays as it is.

Flags:
  -parallel N   how many tests run at the same time (default: 2)
  -patience D   how long a test may take, beside 20 times what it takes without a
                mutant, until it counts as one that does not end (default: 10s)
  -write FILE   write the results to a page

Exit codes: 0 if every survivor is explained, 1 otherwise.
`

// options are what the command line asks for.
type options struct {
	parallel int
	patience time.Duration
	page     string
	packages []string
}

// parse reads the command line. Help goes to stdout, as it was asked for.
func parse(args []string, stdout io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	flags.IntVar(&o.parallel, "parallel", 2, "")
	flags.DurationVar(&o.patience, "patience", 10*time.Second, "")
	flags.StringVar(&o.page, "write", "", "")
	if err := harness.ParseFlags(flags, args, usage, stdout); err != nil {
		return options{}, err
	}
	if o.parallel < 1 {
		return options{}, fmt.Errorf("-parallel %d is too few (allowed: 1 and more)", o.parallel)
	}
	if o.patience <= 0 {
		return options{}, fmt.Errorf("-patience %s is too short (allowed: more than 0, such as 30s)", o.patience)
	}
	if o.packages = flags.Args(); len(o.packages) == 0 {
		return options{}, errors.New("which packages? such as ./guard or ./internal/... (-h shows the flags)")
	}
	return o, nil
}

// run tries the mutants; survivors go to stderr as they are found, and the totals to stdout.
// The error is flag.ErrHelp when only the help was asked for.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stdout)
	if err != nil {
		return err
	}
	commit, err := harness.Commit(ctx, ".")
	if err != nil {
		return err
	}
	found, untested, err := subjects(ctx, ".", o.packages)
	if err != nil {
		return err
	}
	var (
		names []string
		all   []tried
	)
	for _, s := range found {
		some, err := try(ctx, s, o, stderr)
		if err != nil {
			return err
		}
		names = append(names, s.name)
		all = append(all, some...)
	}
	why, unexplained := explain(all, names, explanations)
	if o.page != "" {
		p := page{
			command:   "go run ./test/mutants -write " + o.page + " " + strings.Join(o.packages, " "),
			lastRun:   harness.LastRun("bkguard-" + guard.Version + "-" + commit),
			goVersion: runtime.Version(), untested: untested,
		}
		if err := os.WriteFile(o.page, []byte(p.write(names, all, why)), 0o644); err != nil {
			return errors.Join(unexplained, fmt.Errorf("write the results: %w", err))
		}
	}
	var b strings.Builder
	counts(&b, "all", all)
	if _, err := io.WriteString(stdout, b.String()); err != nil {
		return err
	}
	return unexplained
}

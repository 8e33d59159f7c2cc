package main

import (
	"flag"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/bkguard/bkguard/test/harness"
)

const usage = `Usage: go run ./test/conformance [flags] [PACKAGE...]

Compiles the integration tests of the release of buildkit that the guard is built with,
runs them with stock buildkitd and with the guarded one, and says which verdicts
differ. Needs root, a static busybox, and what make conformance builds; no network.
The error names the tests that are worse with the guard.

A PACKAGE is one of (default: all)
  %s

Flags:
  -run PATTERN    only the tests whose name matches, such as Cache or ^TestMergeOp$
  -workers NAMES  the workers, separated by commas: oci, containerd (default: both);
                  frontend/dockerfile has so many tests that they run with the first
                  one only, as upstream runs them with one
  -parallel N     how many tests run at the same time (default: 2)
  -write FILE     write the results to a page, too
  -events DIR     keep what the tests write there, as go tool test2json has it

Exit codes: 0 if no verdict is worse with the guard, 1 otherwise.
`

// options are what the command line asks for.
type options struct {
	suites   []string
	tests    string
	workers  []string
	parallel int
	page     string
	events   string
}

// allWorkers are the workers that can be had here. Upstream's others are rootless, or need
// a snapshotter of their own.
var allWorkers = []string{"oci", "containerd"}

// parse reads the command line. Help goes to stdout, as it was asked for.
func parse(args []string, stdout io.Writer) (options, error) {
	var (
		o       options
		workers string
		flags   = flag.NewFlagSet("conformance", flag.ContinueOnError)
	)
	flags.StringVar(&o.tests, "run", "", "")
	flags.StringVar(&workers, "workers", strings.Join(allWorkers, ","), "")
	flags.IntVar(&o.parallel, "parallel", 2, "")
	flags.StringVar(&o.page, "write", "", "")
	flags.StringVar(&o.events, "events", "", "")
	if err := harness.ParseFlags(flags, args, fmt.Sprintf(usage, strings.Join(suites, ", ")), stdout); err != nil {
		return options{}, err
	}
	if _, err := regexp.Compile(o.tests); err != nil {
		return options{}, fmt.Errorf("-run %q is no pattern: %w", o.tests, err)
	}
	if strings.Contains(o.tests, "/") {
		return options{}, fmt.Errorf("-run %q has a slash: it is matched with the name of a test alone, such as TestMergeOp", o.tests)
	}
	if o.parallel < 1 {
		return options{}, fmt.Errorf("-parallel %d is too few (allowed: 1 and more)", o.parallel)
	}
	o.workers = strings.Split(workers, ",")
	for _, w := range o.workers {
		if !slices.Contains(allWorkers, w) {
			return options{}, fmt.Errorf("-workers %q is no worker (allowed: %s)", w, strings.Join(allWorkers, ", "))
		}
	}
	if o.suites = flags.Args(); len(o.suites) == 0 {
		o.suites = suites
	}
	for _, s := range o.suites {
		if !slices.Contains(suites, s) {
			return options{}, fmt.Errorf("%q has no tests that run against a daemon (allowed: %s)", s, strings.Join(suites, ", "))
		}
	}
	return o, nil
}

// pattern is what -test.run takes: the functions that upstream's integration tests are
// called from, a test, and the workers.
func (o options) pattern(suite string) string {
	workers := o.workers
	if suite == manyTests {
		workers = workers[:1]
	}
	return fmt.Sprintf("Integration$/(?:%s)/^worker=(%s)$", o.tests, strings.Join(workers, "|"))
}

// command is how to write the same page again.
func (o options) command() string {
	words := []string{"go run ./test/conformance"}
	if o.tests != "" {
		words = append(words, fmt.Sprintf("-run '%s'", o.tests))
	}
	if !slices.Equal(o.workers, allWorkers) {
		words = append(words, "-workers "+strings.Join(o.workers, ","))
	}
	if !slices.Equal(o.suites, suites) {
		words = append(words, o.suites...)
	}
	if len(words) == 1 {
		return "make conformance"
	}
	return strings.Join(words, " ")
}

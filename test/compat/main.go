// Command compat tries the guard with other releases of buildkit and of the Docker Engine
// than those that it is built with, in temporary copies of the modules:
//
//	go run ./test/compat                            # all releases
//	go run ./test/compat v0.33.1                    # one of buildkit
//	go run ./test/compat v2.0.0-beta.23             # one of the engine
//	go run ./test/compat -write docs/compat.md      # all, as a page
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"

	"golang.org/x/mod/semver"

	"github.com/bkguard/bkguard/test/harness"
)

func main() { harness.Main("compat", run) }

const usage = `Usage: go run ./test/compat [-write FILE] [RELEASE...]

Compiles the guard, runs its tests, weaves and builds the daemon, and lets it
export, with each release of buildkit or, from v2 on, of the Docker Engine's module;
without arguments with those in test/compat/releases.go. The checkout stays as it is. Needs root, and the
programs that make builds. The error names the releases that are promised to work
and do not.

Flags:
  -write FILE  write the results to a page, too
`

// run tries the releases; the result goes to stdout and the progress to stderr.
// The error is flag.ErrHelp when only the help was asked for.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var (
		page  string
		flags = flag.NewFlagSet("compat", flag.ContinueOnError)
	)
	flags.StringVar(&page, "write", "", "")
	if err := harness.ParseFlags(flags, args, usage, stdout); err != nil {
		return err
	}
	root, err := findCheckout(ctx)
	if err != nil {
		return err
	}
	chosen, err := choose(root, flags.Args())
	if err != nil {
		return err
	}
	var trials []trial
	for i, r := range chosen {
		fmt.Fprintf(stderr, "%s, %d of %d\n", r.version, i+1, len(chosen))
		t, err := root.try(ctx, r, stderr)
		if err != nil {
			return fmt.Errorf("try %s: %w", r.version, err)
		}
		trials = append(trials, t)
		if page == "" {
			continue
		}
		if err := os.WriteFile(page, []byte(report(root, trials)), 0o644); err != nil {
			return fmt.Errorf("write the results: %w", err)
		}
	}
	if _, err := io.WriteString(stdout, report(root, trials)); err != nil {
		return err
	}
	return broken(trials)
}

// choose returns the releases that were asked for; none means all of the list.
func choose(c checkout, versions []string) ([]release, error) {
	all := slices.Concat(withPinned(releases, c.buildkit), withPinned(engines, c.engine))
	if len(versions) == 0 {
		return all, nil
	}
	var chosen []release
	for _, version := range versions {
		if semver.Canonical(version) != version {
			return nil, fmt.Errorf("%q is not a release, such as %q", version, c.buildkit)
		}
		r := release{version: version}
		for _, listed := range all {
			if listed.version == version {
				r = listed
			}
		}
		chosen = append(chosen, r)
	}
	return chosen, nil
}

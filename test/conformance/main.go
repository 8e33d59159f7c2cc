// Command conformance runs upstream's own integration tests against stock buildkitd and
// against the guarded one, and compares the verdicts:
//
//	go run ./test/conformance                                # all
//	go run ./test/conformance -run Cache client              # those of one package
//	go run ./test/conformance -write docs/conformance.md     # all, as a page
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/bkguard/bkguard/test/harness"
)

func main() { harness.Main("conformance", run) }

// run runs and compares; the result goes to stdout and the progress to stderr. The error
// is flag.ErrHelp when only the help was asked for.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stdout)
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("needs root: daemons mount and run containers")
	}
	if o.events != "" {
		if err := os.MkdirAll(o.events, 0o755); err != nil {
			return fmt.Errorf("keep the events: %w", err)
		}
	}
	dir, err := harness.TempDir()
	if err != nil {
		return err
	}
	err = conform(ctx, o, dir, stdout, stderr)
	return errors.Join(err, os.RemoveAll(dir), harness.CheckClean())
}

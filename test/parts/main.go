// Package parts starts what tests need, and stops it with the test.
package parts

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/bkguard/bkguard/test/harness"
)

// Main runs the tests of a package, then what removes what they share, and ends the process. A
// test that has left a file, a mount, a cgroup or a goroutine behind is a failure.
func Main(m *testing.M, remove ...func() error) {
	code := m.Run()
	var failures []error
	for _, f := range remove {
		failures = append(failures, f())
	}
	if err := errors.Join(append(failures, harness.CheckClean(), goleak.Find())...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

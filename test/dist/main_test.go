// Package dist tests what make dist makes: it makes a release twice, installs the packages,
// and runs what is in them.
package dist

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/bkguard/bkguard/test/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := errors.Join(removeReleases(), harness.CheckClean(), goleak.Find()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// Package deploy tests the files under deploy/ with the programs that they are
// for.
package deploy

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
	if err := errors.Join(harness.CheckClean(), goleak.Find()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

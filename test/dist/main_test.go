// Package dist tests what make dist makes: it makes a release twice, installs the packages,
// and runs what is in them.
package dist

import (
	"testing"

	"github.com/bkguard/bkguard/test/parts"
)

func TestMain(m *testing.M) { parts.Main(m, removeReleases) }

// Package deploy tests the files under deploy/ with the programs that they are
// for.
package deploy

import (
	"testing"

	"github.com/bkguard/bkguard/test/parts"
)

func TestMain(m *testing.M) { parts.Main(m) }

package conversions

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// Upstream leaves a goroutine behind when an estargz layer fails, as at a level that
	// gzip does not have (util/compression/estargz.go).
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/moby/buildkit/util/compression.calculateBlobInfo.func1"))
}

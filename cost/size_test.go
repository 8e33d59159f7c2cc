package cost

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSizesAreReadable(t *testing.T) {
	for bytes, want := range map[uint64]string{
		0:                  "nothing",
		1200 << 20:         "at least 1.172GiB",
		math.MaxUint64 - 1: "at least 16EiB",
		math.MaxUint64:     "over 16EiB",
	} {
		assert.Equal(t, want, AtLeast(bytes))
	}
}

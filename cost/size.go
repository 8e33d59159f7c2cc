package cost

import (
	"math"

	units "github.com/docker/go-units"
)

// Size is a number of bytes for people, in binary units. The highest number,
// where an Estimate stops counting, is "over 16EiB".
func Size(bytes uint64) string {
	if bytes == math.MaxUint64 {
		return "over 16EiB"
	}
	return units.BytesSize(float64(bytes))
}

// AtLeast is the Size of a lower bound.
func AtLeast(bytes uint64) string {
	switch bytes {
	case 0:
		return "nothing"
	case math.MaxUint64:
		return Size(bytes)
	}
	return "at least " + Size(bytes)
}

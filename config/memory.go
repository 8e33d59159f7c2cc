package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	units "github.com/docker/go-units"
)

// Memory is an amount of memory: a number of bytes, a share of the memory
// limit, or off. The zero value stands for "not set".
type Memory struct {
	// Bytes is an absolute amount.
	Bytes int64
	// Percent is a share of the memory limit, above 0 and at most 100.
	Percent float64
	// Off is set by the word "off".
	Off bool
}

// ParseMemory reads a size such as "512MB" or a percentage such as "5%". Units
// are binary: 1KB is 1024 bytes, as in upstream's config/gcpolicy.go.
func ParseMemory(s string) (Memory, error) {
	if number, ok := strings.CutSuffix(s, "%"); ok {
		p, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || math.IsNaN(p) || p <= 0 || p > 100 {
			return Memory{}, fmt.Errorf("%q is not a percentage above 0%% and up to 100%%", s)
		}
		return Memory{Percent: p}, nil
	}
	n, err := units.RAMInBytes(s)
	// What does not fit is the lowest number on one machine, the highest on another.
	if err != nil || n <= 0 || n == math.MaxInt64 {
		return Memory{}, fmt.Errorf("%q is neither a size above zero such as \"512MB\" nor a percentage such as \"5%%\"", s)
	}
	return Memory{Bytes: n}, nil
}

// sizeUnits are those that ParseMemory reads.
var sizeUnits = []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}

// Of returns the amount in bytes, given the memory limit in bytes that a
// percentage refers to. Off is 0.
func (m Memory) Of(limit uint64) uint64 {
	switch {
	case m.Off:
		return 0
	case m.Percent > 0:
		return uint64(float64(limit) * m.Percent / 100)
	default:
		return uint64(max(m.Bytes, 0))
	}
}

// String returns the amount in the form that ParseMemory reads.
func (m Memory) String() string {
	switch {
	case m.Off:
		return "off"
	case m.Percent > 0:
		return strconv.FormatFloat(m.Percent, 'f', -1, 64) + "%"
	default:
		return units.CustomSize("%.4g%s", float64(m.Bytes), 1024, sizeUnits)
	}
}

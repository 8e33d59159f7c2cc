package seam

import (
	"errors"
	"math"
	"os"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"github.com/bkguard/bkguard/config"
)

// memoryLimit is the memory limit of the Go runtime and who set it.
type memoryLimit struct {
	// bytes is 0 without a limit.
	bytes int64
	// source is environment, config, cgroup, off or none.
	source string
	// err is why the limit of the cgroup could not be read.
	err error
}

// setMemoryLimit sets the memory limit of the Go runtime, unless the operator
// has done so in the environment.
func setMemoryLimit(m config.Memory) memoryLimit {
	// The runtime, too, takes an empty variable for none.
	if os.Getenv("GOMEMLIMIT") != "" {
		limit := debug.SetMemoryLimit(-1)
		if limit == math.MaxInt64 {
			limit = 0
		}
		return memoryLimit{bytes: limit, source: "environment"}
	}
	if m.Off {
		return memoryLimit{source: "off"}
	}
	limit, source := uint64(0), "config"
	if m.Percent > 0 {
		var err error
		limit, err = memlimit.FromCgroup()
		if errors.Is(err, memlimit.ErrNoLimit) {
			return memoryLimit{source: "none"}
		}
		if err != nil {
			return memoryLimit{source: "none", err: err}
		}
		source = "cgroup"
	}
	bytes := int64(min(m.Of(limit), math.MaxInt64))
	debug.SetMemoryLimit(bytes)
	return memoryLimit{bytes: bytes, source: source}
}

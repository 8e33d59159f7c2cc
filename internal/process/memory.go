package process

import (
	"errors"
	"math"
	"os"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"github.com/bkguard/bkguard/config"
)

// memoryLimit is the memory limit that the guard gives to the Go runtime, and who
// set it.
type memoryLimit struct {
	// bytes is 0 without a limit.
	bytes int64
	// source is environment, config, cgroup, off or none.
	source string
	// err is why the limit of the cgroup could not be read.
	err error
}

// findMemoryLimit finds the limit for a setting. What the operator has set in the
// environment wins, and is in force already.
func findMemoryLimit(m config.Memory) memoryLimit {
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
	return memoryLimit{bytes: int64(min(m.Of(limit), math.MaxInt64)), source: source}
}

// apply gives the limit to the Go runtime, unless it is the operator's. In ModeOff
// the runtime has none, as upstream leaves it.
func (l memoryLimit) apply(mode config.Mode) {
	if l.source != "config" && l.source != "cgroup" {
		return
	}
	limit := l.bytes
	if mode == config.ModeOff {
		limit = math.MaxInt64
	}
	debug.SetMemoryLimit(limit)
}

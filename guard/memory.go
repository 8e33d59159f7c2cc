package guard

import (
	"math"
	"runtime/debug"
	"runtime/metrics"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// processLimit is the memory in bytes that this process can use: the limit of
// the Go runtime where one is set, else that of the cgroup, else the memory of
// the machine.
func processLimit() (uint64, error) {
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
		return uint64(limit), nil
	}
	return memlimit.ApplyFallback(memlimit.FromCgroup, memlimit.FromSystem)()
}

// hasRoom reports whether the process can take n more bytes without passing the
// memory limit of the Go runtime. Garbage that is not collected yet counts, as
// it does for the runtime.
func hasRoom(n uint64) bool {
	limit := debug.SetMemoryLimit(-1)
	if limit == math.MaxInt64 {
		return true
	}
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	used := samples[0].Value.Uint64() - samples[1].Value.Uint64()
	return addSaturating(used, n) <= uint64(limit)
}

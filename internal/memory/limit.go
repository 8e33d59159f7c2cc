// Package memory bounds what the exports of a process take: it knows the memory
// limit of the process, and hands out a budget to the work that has to wait for
// memory. It knows nothing of what the work is for.
package memory

import (
	"math"
	"math/bits"
	"runtime/debug"
	"runtime/metrics"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// Limit is the memory in bytes that this process can use: the limit of the Go
// runtime where one is set, else that of the cgroup, else the memory of the
// machine. The error is that of reading these.
func Limit() (uint64, error) {
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
		return uint64(limit), nil
	}
	return memlimit.ApplyFallback(memlimit.FromCgroup, memlimit.FromSystem)()
}

// HasRoom reports whether the process can take n more bytes without passing the
// memory limit of the Go runtime. Garbage that is not collected yet counts, as it
// does for the runtime.
func HasRoom(n uint64) bool {
	limit := debug.SetMemoryLimit(-1)
	if limit == math.MaxInt64 {
		return true
	}
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	used := samples[0].Value.Uint64() - samples[1].Value.Uint64()
	sum, carry := bits.Add64(used, n, 0)
	return carry == 0 && sum <= uint64(limit)
}

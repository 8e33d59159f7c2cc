package guard

import (
	"math"
	"runtime/debug"

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

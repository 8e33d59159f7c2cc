// Package cost says what a cache export costs that builds the product of a
// chain: one remote for every combination of the blobs of its layers.
//
// It is apart from package guard so that a program which only wants the numbers,
// such as a frontend, need not link a daemon.
package cost

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"unsafe"

	"github.com/moby/buildkit/solver"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/bkguard/bkguard/config"
)

// upstreamRemoteBytes is what upstream keeps alive for one remote of the
// product: its descriptors and a map of providers of its own (cache/remote.go,
// appendRemote). It grows in steps with the number of layers; this is the least
// that BenchmarkUpstreamLiveBytes of package guard measures.
const upstreamRemoteBytes = 1200

// Estimate is the size of the product of a chain: one remote for every
// combination of the blobs of the layers below the topmost one. The topmost
// blob is fixed, it is the one in the requested compression. Counts that do not
// fit are held at the highest number, they never wrap around.
type Estimate struct {
	// Layers is the length of the chain.
	Layers int
	// Compressions is the number of blobs of the layer that has the most.
	Compressions int
	// Remotes is the number of combinations, at most math.MaxUint64.
	Remotes uint64
	// Log2 is the binary logarithm of the number of combinations; it is exact
	// enough to print where Remotes is not.
	Log2 float64
}

// NewEstimate returns the estimate for a chain with the given number of blobs
// for each of its layers, bottom layer first. A layer always has its own blob,
// so less than one counts as one. The cost is linear in the number of layers.
func NewEstimate(blobs []int) Estimate {
	e := Estimate{Layers: len(blobs), Remotes: 1}
	for i, n := range blobs {
		n = max(n, 1)
		e.Compressions = max(e.Compressions, n)
		if i < len(blobs)-1 {
			e.Remotes = mulSaturating(e.Remotes, uint64(n))
			e.Log2 += math.Log2(float64(n))
		}
	}
	return e
}

// Bytes is what the guard needs to build the product.
func (e Estimate) Bytes() uint64 {
	return mulSaturating(e.Remotes, remoteBytes(e.Layers))
}

// UpstreamBytes is what upstream needs for the same product, at least.
func (e Estimate) UpstreamBytes() uint64 {
	return mulSaturating(e.Remotes, upstreamRemoteBytes)
}

// Refused reports whether a mode, a cap on the remotes and a budget in bytes rule
// out the product, whatever else is going on in the process.
func (e Estimate) Refused(mode config.Mode, maxRemotes, budget uint64) bool {
	if mode == config.ModeSingle || mode == config.ModeBlock {
		return e.Remotes > 1
	}
	return e.Remotes > maxRemotes || e.Bytes() > budget
}

// Combinations returns the number of combinations for people: exact where that
// is readable, as a power such as "2^60" beyond.
func (e Estimate) Combinations() string {
	if e.Remotes < 1<<16 {
		return strconv.FormatUint(e.Remotes, 10)
	}
	return fmt.Sprintf("2^%.4g", e.Log2)
}

// remoteBytes is the size of one remote of a product built by the guard: the
// remote and its own descriptors. The provider is shared by all of them.
func remoteBytes(layers int) uint64 {
	return uint64(unsafe.Sizeof(solver.Remote{})) + uint64(layers)*uint64(unsafe.Sizeof(ocispecs.Descriptor{}))
}

// AddSaturating adds numbers of bytes. What does not fit is math.MaxUint64.
func AddSaturating(a, b uint64) uint64 {
	sum, carry := bits.Add64(a, b, 0)
	if carry != 0 {
		return math.MaxUint64
	}
	return sum
}

func mulSaturating(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	if hi != 0 {
		return math.MaxUint64
	}
	return lo
}

package guard

import (
	"fmt"
	"math"
	"math/bits"
	"sync/atomic"
	"unsafe"

	"github.com/moby/buildkit/solver"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// upstreamRemoteBytes is what upstream keeps alive for one remote of the
// product, measured by BenchmarkUpstreamLiveBytes. Each has its descriptors and
// a map of providers of its own (cache/remote.go, appendRemote).
const upstreamRemoteBytes = 1800

// Estimate is the size of the product of a chain: one remote for every
// combination of the blobs of its layers. Counts that do not fit are held at
// the highest number, they never wrap around.
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
// for each of its layers. A layer always has its own blob, so less than one
// counts as one. The cost is linear in the number of layers.
func NewEstimate(blobs []int) Estimate {
	e := Estimate{Layers: len(blobs), Remotes: 1}
	for _, n := range blobs {
		n = max(n, 1)
		e.Compressions = max(e.Compressions, n)
		e.Remotes = mulSaturating(e.Remotes, uint64(n))
		e.Log2 += math.Log2(float64(n))
	}
	return e
}

// Bytes is what the guard needs to build the product.
func (e Estimate) Bytes() uint64 {
	return mulSaturating(e.Remotes, remoteBytes(e.Layers))
}

// UpstreamBytes is what upstream needs for the same product, about.
func (e Estimate) UpstreamBytes() uint64 {
	return mulSaturating(e.Remotes, upstreamRemoteBytes)
}

// String returns the number of combinations: exact where that is readable, and
// "2^60 (1.15e18)" beyond.
func (e Estimate) String() string {
	if e.Remotes < 1<<20 {
		return fmt.Sprint(e.Remotes)
	}
	power := fmt.Sprintf("2^%.4g", e.Log2)
	decimal := e.Log2 * math.Log10(2)
	exponent := math.Floor(decimal)
	return fmt.Sprintf("%s (%.2fe%d)", power, math.Pow(10, decimal-exponent), int(exponent))
}

// remoteBytes is the size of one remote of a product built by the guard: the
// remote and its own descriptors. The provider is shared by all of them.
func remoteBytes(layers int) uint64 {
	return uint64(unsafe.Sizeof(solver.Remote{})) + uint64(layers)*uint64(unsafe.Sizeof(ocispecs.Descriptor{}))
}

func mulSaturating(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	if hi != 0 {
		return math.MaxUint64
	}
	return lo
}

// limits decides whether the product of a record is built. It is safe for
// concurrent use.
type limits struct {
	maxRemotes uint64
	budget     budget
}

// allow reports whether the product of an estimate may be built, and if so
// charges it to the budget; free gives it back.
func (l *limits) allow(e Estimate) (free func(), ok bool) {
	if e.Remotes > l.maxRemotes {
		return nil, false
	}
	return l.budget.take(e.Bytes())
}

// budget is the memory that all built products of the process share. Nothing
// waits for it: what does not fit is refused at once.
type budget struct {
	max  uint64
	used atomic.Uint64
}

func (b *budget) take(n uint64) (free func(), ok bool) {
	for {
		used := b.used.Load()
		if n > b.max || used > b.max-n {
			return nil, false
		}
		if b.used.CompareAndSwap(used, used+n) {
			return func() { b.used.Add(-n) }, true
		}
	}
}

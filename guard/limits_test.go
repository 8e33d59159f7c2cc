package guard

import (
	"math"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"

	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/config"
)

// table makes variants with the given number of blobs for each layer.
func table(blobs []int) variants {
	v := make(variants, len(blobs))
	for i, n := range blobs {
		for j := range n {
			v[i] = append(v[i], own(string(rune('a'+i))+string(rune('a'+j))))
		}
	}
	return v
}

func TestEstimateIsTheNumberOfCombinations(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 100 {
		blobs := make([]int, 1+random.IntN(6))
		for i := range blobs {
			blobs[i] = 1 + random.IntN(4)
		}
		v := table(blobs)
		e := NewEstimate(blobs)
		// The product leaves out the main chain, which is one of them.
		require.Equal(t, uint64(len(product(v, v[len(v)-1][0], nil))+1), e.Remotes, blobs)
		require.InDelta(t, math.Log2(float64(e.Remotes)), e.Log2, 1e-9)
		require.Equal(t, len(blobs), e.Layers)
	}
}

func TestEstimateSaturates(t *testing.T) {
	blobs := make([]int, 1000)
	for i := range blobs {
		blobs[i] = 4
	}
	e := NewEstimate(blobs)
	assert.Equal(t, uint64(math.MaxUint64), e.Remotes)
	assert.Equal(t, uint64(math.MaxUint64), e.Bytes())
	assert.Equal(t, uint64(math.MaxUint64), e.UpstreamBytes())
	assert.Equal(t, "2^1998", e.Combinations())
	assert.Zero(t, testing.AllocsPerRun(10, func() { NewEstimate(blobs) }))

	assert.Equal(t, uint64(1)<<62, NewEstimate(blobs[:32]).Remotes, "the last that fits")
	assert.Equal(t, uint64(math.MaxUint64), NewEstimate(blobs[:33]).Remotes)
	assert.Equal(t, Estimate{Remotes: 1}, NewEstimate(nil))
	assert.Equal(t, Estimate{Layers: 2, Compressions: 1, Remotes: 1}, NewEstimate([]int{0, -1}))
}

func TestCombinationsAreReadable(t *testing.T) {
	for want, blobs := range map[string][]int{
		"1":      {3},
		"8":      {2, 2, 2, 2},
		"2^20":   repeat(2, 21),
		"2^60":   repeat(2, 61),
		"2^95.1": repeat(3, 61),
	} {
		assert.Equal(t, want, NewEstimate(blobs).Combinations())
	}
}

func repeat(n, times int) []int {
	all := make([]int, times)
	for i := range all {
		all[i] = n
	}
	return all
}

// TestProductTakesWhatIsCharged compares the budget with the heap.
func TestProductTakesWhatIsCharged(t *testing.T) {
	blobs := repeat(2, 12)
	v := table(blobs)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.GC() // pools hold what they have, of other tests too, over one
	runtime.ReadMemStats(&before)
	remotes := product(v, v[11][0], nil)
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(remotes)
	runtime.KeepAlive(v)
	charged := float64(NewEstimate(blobs).Bytes())
	assert.InEpsilon(t, float64(after.HeapAlloc-before.HeapAlloc), charged, 0.2)
}

func TestLimitsRefuse(t *testing.T) {
	e := NewEstimate([]int{2, 2, 2, 2}) // 8 remotes
	roomy := limits{maxRemotes: 8, budget: budget{max: e.Bytes()}}
	assert.False(t, roomy.refuse(config.ModeEnforce, e))
	assert.True(t, roomy.refuse(config.ModeSingle, e))
	assert.False(t, roomy.refuse(config.ModeSingle, NewEstimate([]int{1, 1, 2})))
	assert.True(t, (&limits{maxRemotes: 7, budget: budget{max: e.Bytes()}}).refuse(config.ModeEnforce, e))
	assert.True(t, (&limits{maxRemotes: 8, budget: budget{max: e.Bytes() - 1}}).refuse(config.ModeEnforce, e))
}

func TestBudgetIsNeverExceeded(t *testing.T) {
	b := budget{max: 10}
	_, ok := b.take(math.MaxUint64)
	assert.False(t, ok)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				if free, ok := b.take(3); ok {
					assert.LessOrEqual(t, b.used.Load(), b.max)
					free()
				}
			}
		})
	}
	wg.Wait()
	assert.Zero(t, b.used.Load())
}

func TestProductHasEveryCombinationOnce(t *testing.T) {
	v := table([]int{2, 3, 2})
	top := v[2][1]
	remotes := product(v, top, nil)
	var got []string
	for _, r := range remotes {
		key := ""
		for _, desc := range r.Descriptors {
			key += desc.Digest.String()
		}
		got = append(got, key)
	}
	var want []string
	for _, bottom := range v[0] {
		for _, middle := range v[1] {
			want = append(want, bottom.Digest.String()+middle.Digest.String()+top.Digest.String())
		}
	}
	assert.Equal(t, want, got, "in the order of the variants")
	assert.Len(t, product(v, v[2][0], nil), len(want)-1, "the main chain is left out")
	assert.Empty(t, product(variants{{own("a")}}, own("a"), nil))
	assert.Equal(t, []ocispecs.Descriptor{own("b")}, product(variants{{own("a"), own("b")}}, own("b"), nil)[0].Descriptors)
}

// TestNothingIsBuiltNearTheMemoryLimit sets the memory limit of the runtime to
// what is in use.
func TestNothingIsBuiltNearTheMemoryLimit(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	debug.SetMemoryLimit(math.MaxInt64)
	e := NewEstimate(repeat(2, 8))
	l := limits{maxRemotes: math.MaxUint64, budget: budget{max: math.MaxInt64}}
	free, ok := l.allow(config.ModeEnforce, e)
	require.True(t, ok)
	free()
	debug.SetMemoryLimit(1 << 40)
	_, ok = l.allow(config.ModeEnforce, e)
	require.True(t, ok)
	debug.SetMemoryLimit(1 << 20)
	_, ok = l.allow(config.ModeEnforce, e)
	require.False(t, ok)
}

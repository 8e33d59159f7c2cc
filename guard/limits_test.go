package guard

import (
	"math"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"testing"

	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/internal/memory"
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

func repeat(n, times int) []int {
	all := make([]int, times)
	for i := range all {
		all[i] = n
	}
	return all
}

// TestProductTakesWhatIsCharged compares the budget with all that is allocated
// for a product, most of which lives as long as it does. What is live at one
// moment would depend on the garbage of other tests.
func TestProductTakesWhatIsCharged(t *testing.T) {
	blobs := repeat(2, 14)
	v := table(blobs)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	remotes := product(v, v[13][0], nil)
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(remotes)
	charged := float64(NewEstimate(blobs).Bytes())
	assert.InEpsilon(t, charged, float64(after.TotalAlloc-before.TotalAlloc), 0.2)
}

// limitsOf are limits with a memory budget in bytes.
func limitsOf(maxRemotes, budget uint64) *limits {
	return &limits{maxRemotes: maxRemotes, gate: memory.NewGate(budget, 1, nil)}
}

func TestLimitsRefuse(t *testing.T) {
	e := NewEstimate([]int{2, 2, 2, 2}) // 8 remotes
	roomy := limitsOf(8, e.Bytes())
	assert.False(t, roomy.refuse(config.ModeEnforce, e))
	assert.True(t, roomy.refuse(config.ModeSingle, e))
	assert.False(t, roomy.refuse(config.ModeSingle, NewEstimate([]int{1, 1, 2})))
	assert.True(t, limitsOf(7, e.Bytes()).refuse(config.ModeEnforce, e))
	assert.True(t, limitsOf(8, e.Bytes()-1).refuse(config.ModeEnforce, e))
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
	l := limitsOf(math.MaxUint64, math.MaxInt64)
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

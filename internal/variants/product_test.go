package variants

import (
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/cost"
)

// table makes a table with the given number of blobs for each layer.
func table(blobs []int) Table {
	v := make(Table, len(blobs))
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
		e := cost.NewEstimate(blobs)
		// The product leaves out the main chain, which is one of them.
		require.Equal(t, uint64(len(v.Product(v[len(v)-1][0], nil))+1), e.Remotes, blobs)
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
	remotes := v.Product(v[13][0], nil)
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(remotes)
	charged := float64(cost.NewEstimate(blobs).Bytes())
	assert.InEpsilon(t, charged, float64(after.TotalAlloc-before.TotalAlloc), 0.2)
}

func TestProductHasEveryCombinationOnce(t *testing.T) {
	v := table([]int{2, 3, 2})
	top := v[2][1]
	remotes := v.Product(top, nil)
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
	assert.Len(t, v.Product(v[2][0], nil), len(want)-1, "the main chain is left out")
	assert.Empty(t, Table{{own("a")}}.Product(own("a"), nil))
	assert.Equal(t, []ocispecs.Descriptor{own("b")}, Table{{own("a"), own("b")}}.Product(own("b"), nil)[0].Descriptors)
}

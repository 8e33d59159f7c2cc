package cost

import (
	"bytes"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/moby/buildkit/solver"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/config"
)

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

func TestSumSaturates(t *testing.T) {
	assert.Equal(t, uint64(3), AddSaturating(1, 2))
	assert.Equal(t, uint64(math.MaxUint64), AddSaturating(math.MaxUint64-1, 1), "the last that fits")
	assert.Equal(t, uint64(math.MaxUint64), AddSaturating(math.MaxUint64, 1))
	assert.Equal(t, uint64(math.MaxUint64), AddSaturating(1<<63, 1<<63+1))
}

func TestCombinationsAreReadable(t *testing.T) {
	for want, blobs := range map[string][]int{
		"1":      {3},
		"8":      {2, 2, 2, 2},
		"32768":  slices.Repeat([]int{2}, 16),
		"2^16":   slices.Repeat([]int{2}, 17),
		"2^20":   slices.Repeat([]int{2}, 21),
		"2^60":   slices.Repeat([]int{2}, 61),
		"2^95.1": slices.Repeat([]int{3}, 61),
	} {
		assert.Equal(t, want, NewEstimate(blobs).Combinations())
	}
}

func TestRemoteGrowsWithItsDescriptors(t *testing.T) {
	remote, descriptor := uint64(unsafe.Sizeof(solver.Remote{})), uint64(unsafe.Sizeof(ocispecs.Descriptor{}))
	assert.Equal(t, remote, NewEstimate(nil).Bytes())
	assert.Equal(t, remote+descriptor, NewEstimate([]int{2}).Bytes())
	assert.Equal(t, 2*remote+4*descriptor, NewEstimate([]int{2, 2}).Bytes())
}

// FuzzEstimate compares with numbers that do not run out of bits. A byte is a
// layer with so many blobs, less 8.
func FuzzEstimate(f *testing.F) {
	f.Add([]byte{}, uint64(256), uint64(1<<20))
	f.Add([]byte{9}, uint64(1), uint64(0))
	f.Add([]byte{0, 7, 8, 9, 10}, uint64(1), uint64(1<<10))
	f.Add(bytes.Repeat([]byte{10}, 17), uint64(1<<16), uint64(math.MaxUint64))
	f.Add(bytes.Repeat([]byte{10}, 61), uint64(256), uint64(math.MaxUint64))
	f.Add(bytes.Repeat([]byte{10}, 65), uint64(math.MaxUint64), uint64(math.MaxUint64))
	f.Add(bytes.Repeat([]byte{255}, 127), uint64(math.MaxUint64), uint64(math.MaxUint64))
	f.Fuzz(func(t *testing.T, layers []byte, maxRemotes, budget uint64) {
		blobs := make([]int, len(layers))
		remotes, widest := big.NewInt(1), 0
		for i, b := range layers {
			blobs[i] = int(b) - 8
			n := max(blobs[i], 1)
			widest = max(widest, n)
			if i < len(layers)-1 {
				remotes.Mul(remotes, big.NewInt(int64(n)))
			}
		}
		saturated := func(n *big.Int) uint64 {
			if !n.IsUint64() {
				return math.MaxUint64
			}
			return n.Uint64()
		}
		times := func(bytes uint64) uint64 {
			return saturated(new(big.Int).Mul(remotes, new(big.Int).SetUint64(bytes)))
		}

		e := NewEstimate(blobs)
		require.Equal(t, len(layers), e.Layers)
		require.Equal(t, widest, e.Compressions)
		require.Equal(t, saturated(remotes), e.Remotes)
		require.Equal(t, times(remoteBytes(len(layers))), e.Bytes())
		require.Equal(t, times(upstreamRemoteBytes), e.UpstreamBytes())

		mantissa := new(big.Float)
		exponent := new(big.Float).SetInt(remotes).MantExp(mantissa)
		fraction, _ := mantissa.Float64()
		require.InDelta(t, float64(exponent)+math.Log2(fraction), e.Log2, 1e-6)
		if power, ok := strings.CutPrefix(e.Combinations(), "2^"); ok {
			printed, err := strconv.ParseFloat(power, 64)
			require.NoError(t, err)
			require.InEpsilon(t, e.Log2, printed, 1e-3, "four digits are printed")
			require.GreaterOrEqual(t, e.Remotes, uint64(1<<16))
		} else {
			require.Equal(t, remotes.String(), e.Combinations())
		}

		want := saturated(remotes) > maxRemotes || times(remoteBytes(len(layers))) > budget
		require.Equal(t, want, e.Refused(config.ModeEnforce, maxRemotes, budget))
		for _, mode := range []config.Mode{config.ModeSingle, config.ModeBlock} {
			require.Equal(t, remotes.Cmp(big.NewInt(1)) > 0, e.Refused(mode, maxRemotes, budget))
		}
		if !want {
			require.False(t, e.Refused(config.ModeEnforce, maxRemotes|maxRemotes<<1, budget), "a higher limit refuses nothing more")
			require.False(t, e.Refused(config.ModeEnforce, maxRemotes, budget|budget<<1), "a higher limit refuses nothing more")
		}
	})
}

package conversions

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/containerd/containerd/v2/pkg/namespaces"
	units "github.com/docker/go-units"
	"github.com/moby/buildkit/util/compression"
	"github.com/stretchr/testify/require"
)

// BenchmarkCompressorLiveBytes measures what a compressor holds when it has read a
// whole layer and is not closed yet, by type, level and size of the layer. The
// table of Cost is made of its figures. What is live at one moment is divided by
// a number of compressors, so that other garbage does not matter.
func BenchmarkCompressorLiveBytes(b *testing.B) {
	const compressors = 2
	for _, c := range []struct {
		t      compression.Type
		levels []int // -1 is the default
	}{
		{compression.Uncompressed, []int{-1}},
		{compression.Gzip, []int{-1, 1, 9}},
		{compression.EStargz, []int{-1, 1, 9}},
		{compression.Zstd, []int{-1, 1, 3, 7, 11, 22}},
	} {
		for _, level := range c.levels {
			for _, size := range []int{64 << 10, 1 << 20, 8 << 20, 32 << 20} {
				b.Run(fmt.Sprintf("%s/level=%d/layer=%s", c.t, level, units.BytesSize(float64(size))), func(b *testing.B) {
					comp := compression.New(c.t)
					if level >= 0 {
						comp = comp.SetLevel(level)
					}
					layer := layerOf(b, size)
					for b.Loop() {
						before := liveBytes()
						open := make([]io.WriteCloser, compressors)
						for i := range open {
							compress, _ := c.t.Compress(context.Background(), comp)
							w, err := compress(io.Discard, c.t.MediaType())
							require.NoError(b, err)
							_, err = w.Write(layer)
							require.NoError(b, err)
							open[i] = w
						}
						b.ReportMetric(float64(liveBytes()-before)/compressors, "live-B/op")
						for _, w := range open {
							require.NoError(b, w.Close())
						}
					}
				})
			}
		}
	}
}

// BenchmarkDecompressorLiveBytes measures what reading a layer holds that is to be
// converted, before its last byte.
func BenchmarkDecompressorLiveBytes(b *testing.B) {
	const decompressors = 2
	for _, from := range []compression.Type{compression.Uncompressed, compression.Gzip, compression.EStargz, compression.Zstd} {
		for _, size := range []int{1 << 20, 32 << 20} {
			b.Run(fmt.Sprintf("%s/layer=%s", from, units.BytesSize(float64(size))), func(b *testing.B) {
				store := newStore(b)
				layer := layerOf(b, size)
				desc := store.write(b, compression.New(from), layer)
				for b.Loop() {
					before := liveBytes()
					open := make([]io.ReadCloser, decompressors)
					for i := range open {
						r, err := from.Decompress(namespaces.WithNamespace(b.Context(), "test"), store, desc)
						require.NoError(b, err)
						_, err = io.CopyN(io.Discard, r, int64(len(layer)-1))
						require.NoError(b, err)
						open[i] = r
					}
					b.ReportMetric(float64(liveBytes()-before)/decompressors, "live-B/op")
					for _, r := range open {
						require.NoError(b, r.Close())
					}
				}
			})
		}
	}
}

// liveBytes is what the heap holds after a collection.
func liveBytes() int64 {
	runtime.GC()
	runtime.GC() // pools are emptied by the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// layerOf is a layer of one file as a tar, half of it random.
func layerOf(tb testing.TB, size int) []byte {
	tb.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	file := make([]byte, size)
	for i := range file {
		if i%64 < 32 {
			file[i] = byte(random.Uint32())
		}
	}
	return tarOf(tb, file)
}

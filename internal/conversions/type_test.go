package conversions

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/klauspost/compress/zstd"
	"github.com/moby/buildkit/util/compression"
	"github.com/moby/buildkit/util/converter"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/internal/memory"
)

// allTypes are those that upstream has without build tags.
var allTypes = []compression.Type{compression.Uncompressed, compression.Gzip, compression.EStargz, compression.Zstd}

// newGate is a gate with memory for one conversion to any type.
func newGate() *memory.Gate { return memory.NewGate(Cost(compression.Zstd, new(22)), 4, nil) }

// open makes a compressor of a type.
func open(ctx context.Context, t compression.Type) (io.WriteCloser, error) {
	compress, _ := t.Compress(ctx, compression.New(t))
	return compress(io.Discard, t.MediaType())
}

// convert converts a layer with upstream's converter and returns its blob.
func convert(tb testing.TB, from compression.Type, to compression.Config, layer []byte) (ocispecs.Descriptor, error) {
	tb.Helper()
	s := newStore(tb)
	ctx := namespaces.WithNamespace(tb.Context(), "test")
	desc := s.write(tb, compression.New(from), layer)
	f, err := converter.New(ctx, s, desc, to)
	require.NoError(tb, err)
	require.NotNil(tb, f)
	converted, err := f(ctx, s, desc)
	if err != nil {
		return ocispecs.Descriptor{}, err
	}
	return *converted, nil
}

// TestBlobsAreThoseOfUpstream converts a layer to every type and level with and without
// the wait.
func TestBlobsAreThoseOfUpstream(t *testing.T) {
	layer := layerOf(t, 140<<10) // more than a block of zstd
	gate := newGate()
	for _, to := range allTypes {
		from := compression.Type(compression.Gzip)
		if to == from {
			from = compression.Zstd
		}
		for _, level := range []*int{nil, new(1), new(9), new(22), new(-7)} {
			plain := compression.Config{Type: to, Level: level}
			waits := compression.Config{Type: Waiting(to, gate.Line(nil), &Stats{}, NewProgress()), Level: level}
			name := fmt.Sprint(to, " at ", level)
			if level != nil {
				name = fmt.Sprint(to, " at ", *level)
			}
			want, wantErr := convert(t, from, plain, layer)
			got, err := convert(t, from, waits, layer)
			assert.Equal(t, want, got, name)
			if wantErr != nil {
				assert.EqualError(t, err, wantErr.Error(), "%s: upstream's own error", name)
			}
		}
	}
	assert.Zero(t, gate.Status().Held)
}

func TestWaitingTypesAreLikeTheirInnerOnes(t *testing.T) {
	for _, inner := range allTypes {
		once := Waiting(inner, nil, &Stats{}, nil)
		twice := Waiting(once, newGate().Line(nil), &Stats{}, nil)
		assert.Equal(t, inner, Unwrap(once))
		assert.Equal(t, inner, Unwrap(twice), "it waits once")
		assert.Equal(t, inner, Unwrap(inner))
		assert.Equal(t, inner.String(), once.String())
		assert.Equal(t, inner.MediaType(), once.MediaType())
	}
}

// broken is a type whose compressors fail or panic.
type broken struct {
	compression.Type
	open  func() error
	write func() (int, error)
	close func() error
}

func (b broken) Compress(context.Context, compression.Config) (compression.Compressor, compression.Finalizer) {
	return func(io.Writer, string) (io.WriteCloser, error) {
		if b.open != nil {
			return nil, b.open()
		}
		return b, nil
	}, nil
}

func (b broken) Write(p []byte) (int, error) {
	if b.write != nil {
		return b.write()
	}
	return len(p), nil
}

func (b broken) Close() error {
	if b.close != nil {
		return b.close()
	}
	return nil
}

// TestBrokenCompressorsHoldNothing has compressors that fail or panic wherever they can:
// the layer has an error, and the next one goes on.
func TestBrokenCompressorsHoldNothing(t *testing.T) {
	failure := errors.New("no such level")
	for name, tc := range map[string]struct {
		broken           broken
		failed, panicked int64
	}{
		"fails when it is made":  {broken{open: func() error { return failure }}, 1, 0},
		"panics when it is made": {broken{open: func() error { panic(failure) }}, 1, 1},
		"fails in Write":         {broken{write: func() (int, error) { return 0, failure }}, 0, 0},
		"panics in Write":        {broken{write: func() (int, error) { panic(failure) }}, 0, 1},
		"fails in Close":         {broken{close: func() error { return failure }}, 0, 0},
		"panics in Close":        {broken{close: func() error { panic(failure) }}, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			gate, stats := newGate(), &Stats{}
			tc.broken.Type = compression.Zstd
			w, err := open(t.Context(), Waiting(tc.broken, gate.Line(nil), stats, NewProgress()))
			if err == nil {
				assert.NotZero(t, gate.Status().Held)
				_, err = w.Write([]byte("x"))
				err = errors.Join(err, w.Close())
			}
			require.ErrorContains(t, err, failure.Error())
			assert.Zero(t, gate.Status().Held)
			assert.Equal(t, tc.failed, stats.Failed())
			assert.Equal(t, tc.panicked, stats.Panicked())

			w, err = open(t.Context(), Waiting(compression.Zstd, gate.Line(nil), stats, nil))
			require.NoError(t, err)
			require.NoError(t, w.Close())
			require.NoError(t, w.Close(), "closing twice is upstream's habit (cache/blobs_linux.go)")
			assert.Zero(t, gate.Status().Held)
		})
	}
}

// TestCompressorThatIsNeverClosed loses its memory when it makes no progress.
func TestCompressorThatIsNeverClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := newGate()
		dear := Waiting(compression.Zstd, gate.Line(nil), &Stats{}, nil)
		compress, _ := dear.Compress(t.Context(), compression.Config{Type: dear, Level: new(22)})
		w, err := compress(io.Discard, dear.MediaType())
		require.NoError(t, err)
		start := time.Now()
		next, err := compress(io.Discard, dear.MediaType())
		require.NoError(t, err)
		assert.GreaterOrEqual(t, time.Since(start), 5*time.Minute)
		assert.EqualValues(t, 1, gate.Status().Expired)
		require.NoError(t, w.Close())
		require.NoError(t, next.Close())
		assert.Zero(t, gate.Status().Held)
	})
}

// TestCompressorThatIsSlow keeps its memory as long as it writes.
func TestCompressorThatIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := newGate()
		w, err := open(t.Context(), Waiting(compression.Gzip, gate.Line(nil), &Stats{}, nil))
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, err := gate.Line(nil).Acquire(ctx, memory.Upload, gate.Budget())
			assert.ErrorIs(t, err, context.Canceled)
		}()
		for range 4 {
			time.Sleep(4 * time.Minute)
			_, err := w.Write([]byte("x"))
			require.NoError(t, err)
		}
		cancel()
		synctest.Wait()
		assert.Zero(t, gate.Status().Expired)
		require.NoError(t, w.Close())
		assert.Zero(t, gate.Status().Held)
	})
}

// TestCancelledLayersLeaveTheQueue has a build that goes away while a layer waits.
func TestCancelledLayersLeaveTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate, progress := newGate(), NewProgress()
		hold, err := gate.Line(nil).Acquire(t.Context(), memory.Upload, gate.Budget())
		require.NoError(t, err)
		gone := errors.New("client is gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		result := make(chan error)
		go func() {
			_, err := open(ctx, Waiting(compression.Zstd, gate.Line(nil), &Stats{}, progress))
			result <- err
		}()
		synctest.Wait()
		assert.Equal(t, 1, gate.Status().Waiting[memory.Conversion])
		cancel(gone)
		require.ErrorIs(t, <-result, gone)
		assert.Zero(t, gate.Status().Waiting[memory.Conversion])
		assert.Zero(t, progress.all)
		hold.Release()
	})
}

func TestCostGrowsWithTheLevel(t *testing.T) {
	last := uint64(0)
	for _, level := range []int{1, 3, 7, 11} {
		cost := Cost(compression.Zstd, &level)
		assert.Greater(t, cost, last, level)
		last = cost
	}
	assert.Equal(t, Cost(compression.Zstd, new(3)), Cost(compression.Zstd, nil), "the default level")
	for compressor, to := range map[uint64]compression.Type{0: compression.Uncompressed, gzipBytes: compression.Gzip, estargzBytes: compression.EStargz} {
		assert.Greater(t, Cost(to, nil), zstdReaderBytes+compressor, "%s of a layer in zstd", to)
	}
	for _, known := range allTypes {
		assert.GreaterOrEqual(t, Cost(broken{Type: unknown{}}, nil), Cost(known, new(22)), "an unknown type costs most")
	}
}

// unknown is a type of an embedder.
type unknown struct{ compression.Type }

func (unknown) String() string { return "brotli" }

// TestClosedCompressorsCanBeCollected has a caller that keeps the compressor which it
// has closed, as upstream does for a while.
func TestClosedCompressorsCanBeCollected(t *testing.T) {
	w, err := open(t.Context(), Waiting(compression.Zstd, newGate().Line(nil), &Stats{}, nil))
	require.NoError(t, err)
	inner := weak.Make(w.(*compressor).inner.(*zstd.Encoder))
	require.NoError(t, w.Close())
	runtime.GC()
	assert.Nil(t, inner.Value())
	_, err = w.Write(nil)
	assert.ErrorIs(t, err, os.ErrClosed)
	assert.NoError(t, w.Close())
}

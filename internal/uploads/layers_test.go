package uploads

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/moby/buildkit/util/contentutil"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/internal/memory"
)

// layerBytes is what each layer of the tests costs.
const layerBytes = 100

func fixedCost(int64) (reading, sending uint64) { return layerBytes, layerBytes }

// blobs are a provider with so many layers, and their descriptors.
func blobs(tb testing.TB, layers int) (content.Provider, []ocispecs.Descriptor) {
	tb.Helper()
	buffer := contentutil.NewBuffer()
	var descs []ocispecs.Descriptor
	for n := range layers {
		data := fmt.Appendf(nil, "layer %d", n)
		desc := ocispecs.Descriptor{Digest: digest.FromBytes(data), Size: int64(len(data))}
		w, err := buffer.Writer(tb.Context(), content.WithRef(desc.Digest.String()), content.WithDescriptor(desc))
		require.NoError(tb, err)
		_, err = w.Write(data)
		require.NoError(tb, err)
		require.NoError(tb, w.Commit(tb.Context(), desc.Size, desc.Digest))
		descs = append(descs, desc)
	}
	return buffer, descs
}

func readAll(ra content.ReaderAt) error {
	_, err := io.Copy(io.Discard, content.NewReader(ra))
	return err
}

// TestExportersThatCloseLateOrNeverGoOn sends layers as upstream does it for s3, where a
// goroutine closes its readers after its last layer, and for azblob, where nobody does.
// There is memory for one layer.
func TestExportersThatCloseLateOrNeverGoOn(t *testing.T) {
	for name, tc := range map[string]struct {
		parallel int
		closes   bool
	}{"s3": {4, true}, "azblob": {1, false}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gate := memory.NewGate(layerBytes, 1, nil)
				provider, descs := blobs(t, 20)
				layers := New(gate.Line(nil), fixedCost, tc.parallel)
				tasks := make(chan ocispecs.Descriptor, len(descs))
				for _, desc := range descs {
					tasks <- desc
				}
				close(tasks)
				var workers sync.WaitGroup
				for range tc.parallel {
					workers.Go(func() {
						for desc := range tasks {
							ra, err := layers.ReaderAt(t.Context(), provider, desc)
							if !assert.NoError(t, err) {
								return
							}
							if tc.closes {
								defer ra.Close() // in a loop, as upstream has it
							}
							assert.NoError(t, readAll(ra))
						}
					})
				}
				workers.Wait()
				layers.Release()
				assert.Zero(t, gate.Status().Held)
				assert.Zero(t, gate.Status().Expired, "nobody had to wait for a lease to end")
			})
		})
	}
}

// TestNoMoreIsSentThanThereIsMemoryFor has two goroutines and memory for one layer.
func TestNoMoreIsSentThanThereIsMemoryFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := memory.NewGate(layerBytes, 1, nil)
		provider, descs := blobs(t, 2)
		layers := New(gate.Line(nil), fixedCost, 2)
		first, err := layers.ReaderAt(t.Context(), provider, descs[0])
		require.NoError(t, err)
		second := make(chan content.ReaderAt)
		go func() {
			ra, err := layers.ReaderAt(t.Context(), provider, descs[1])
			assert.NoError(t, err)
			second <- ra
		}()
		synctest.Wait()
		assert.Equal(t, 1, gate.Status().Waiting[memory.Upload], "the first may still be under way")
		require.NoError(t, first.Close())
		require.NoError(t, (<-second).Close())
		assert.Zero(t, gate.Status().Held)
		assert.Empty(t, layers.open, "what is closed is not taken for under way")
	})
}

// TestLayersThatWereReadAreReleasedFirst has three goroutines, one of which asks for the
// next layer.
func TestLayersThatWereReadAreReleasedFirst(t *testing.T) {
	gate := memory.NewGate(3*layerBytes, 1, nil)
	provider, descs := blobs(t, 4)
	layers := New(gate.Line(nil), fixedCost, 3)
	var open []*layer
	for _, desc := range descs[:3] {
		ra, err := layers.ReaderAt(t.Context(), provider, desc)
		require.NoError(t, err)
		open = append(open, ra.(*layer))
	}
	_, err := open[0].ReadAt(make([]byte, 1), 0)
	require.NoError(t, err)
	require.NoError(t, readAll(open[1]))
	last, err := layers.ReaderAt(t.Context(), provider, descs[3])
	require.NoError(t, err)
	assert.Equal(t, []*layer{open[0], open[2], last.(*layer)}, layers.open)
	layers.Release()
	layers.Release()
	assert.Zero(t, gate.Status().Held)
	require.NoError(t, last.Close())
}

// closing is a reader that tells whether it was closed.
type closing struct {
	content.ReaderAt
	closed *bool
}

func (c closing) Close() error {
	*c.closed = true
	return c.ReaderAt.Close()
}

type providerFunc func() (content.ReaderAt, error)

func (f providerFunc) ReaderAt(context.Context, ocispecs.Descriptor) (content.ReaderAt, error) {
	return f()
}

func TestFailedUploadsHoldNothing(t *testing.T) {
	gate := memory.NewGate(layerBytes, 1, nil)
	provider, descs := blobs(t, 1)
	layers := New(gate.Line(nil), fixedCost, 1)
	missing := errors.New("blob is missing")
	_, err := layers.ReaderAt(t.Context(), providerFunc(func() (content.ReaderAt, error) { return nil, missing }), descs[0])
	require.ErrorIs(t, err, missing)

	other, err := gate.Line(nil).Acquire(t.Context(), memory.Conversion, layerBytes)
	require.NoError(t, err)
	gone := errors.New("client is gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	var closed bool
	_, err = layers.ReaderAt(ctx, providerFunc(func() (content.ReaderAt, error) {
		ra, err := provider.ReaderAt(t.Context(), descs[0])
		return closing{ra, &closed}, err
	}), descs[0])
	require.ErrorIs(t, err, gone)
	assert.True(t, closed)
	other.Release()
	assert.Zero(t, gate.Status().Held)
	assert.Zero(t, layers.asking)
	assert.Empty(t, layers.open)
}

func TestReadersAreThoseOfTheProvider(t *testing.T) {
	provider, descs := blobs(t, 1)
	layers := New(nil, fixedCost, 1)
	var closed bool
	ra, err := layers.ReaderAt(t.Context(), providerFunc(func() (content.ReaderAt, error) {
		ra, err := provider.ReaderAt(t.Context(), descs[0])
		return closing{ra, &closed}, err
	}), descs[0])
	require.NoError(t, err)
	read, err := io.ReadAll(content.NewReader(ra))
	require.NoError(t, err)
	assert.Equal(t, "layer 0", string(read))
	assert.False(t, closed)
	require.NoError(t, ra.Close())
	assert.True(t, closed)
}

// TestLayersThatAreReadKeepTheirMemory has one that is sent so slowly that a lease would
// end, if it were not read.
func TestLayersThatAreReadKeepTheirMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := memory.NewGate(layerBytes, 1, nil)
		provider, descs := blobs(t, 1)
		layers := New(gate.Line(nil), fixedCost, 1)
		ra, err := layers.ReaderAt(t.Context(), provider, descs[0])
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, err := gate.Line(nil).Acquire(ctx, memory.Upload, 1)
			assert.ErrorIs(t, err, context.Canceled)
		}()
		for range 4 {
			time.Sleep(4 * time.Minute)
			_, err := ra.ReadAt(make([]byte, 1), 0)
			require.NoError(t, err)
		}
		cancel()
		synctest.Wait()
		assert.Zero(t, gate.Status().Expired)
		require.NoError(t, ra.Close())
	})
}

func TestExportersThatStreamCostNothing(t *testing.T) {
	provider, descs := blobs(t, 1)
	for _, exporterType := range []string{"registry", "local", "inline", "gha", "mine"} {
		cost, parallel := Of(exporterType, nil)
		layers := New(nil, cost, parallel)
		require.Nil(t, layers)
		ra, err := layers.ReaderAt(t.Context(), provider, descs[0])
		require.NoError(t, err)
		_, counted := ra.(*layer)
		assert.False(t, counted)
		require.NoError(t, ra.Close())
		layers.Release()
	}
}

func TestCosts(t *testing.T) {
	s3, parallel := Of("s3", nil)
	assert.Equal(t, 4, parallel)
	azblob, parallel := Of("azblob", nil)
	assert.Equal(t, 1, parallel)
	for _, tc := range []struct {
		cost             Cost
		size             int64
		reading, sending uint64
	}{
		{s3, 1 << 20, 2 << 20, 2 << 20},
		{s3, s3Small - 1, 2 * (s3Small - 1), 2 * (s3Small - 1)},
		{s3, s3Small, s3Large, s3Parts},
		{s3, math.MaxInt64, s3Large, s3Parts},
		{s3, 0, 0, 0},
		{s3, -1, 0, 0}, // no size is no reason to panic
		{azblob, 1 << 20, 1 << 20, 1 << 20},
		{azblob, 128 << 20, 128 << 20, 128 << 20},
		{azblob, math.MaxInt64, 128 << 20, 128 << 20},
		{azblob, -1, 0, 0},
	} {
		reading, sending := tc.cost(tc.size)
		assert.Equal(t, [2]uint64{tc.reading, tc.sending}, [2]uint64{reading, sending}, tc.size)
	}
	for value, want := range map[string]int{"8": 8, "1": 1, "0": 4, "x": 4, "": 4} {
		_, parallel = Of("s3", map[string]string{s3WorkersKey: value})
		assert.Equal(t, want, parallel, value)
	}
}

// TestLayersThatWereReadHoldLess reads a layer of which less is held then.
func TestLayersThatWereReadHoldLess(t *testing.T) {
	gate := memory.NewGate(10, 1, nil)
	provider, descs := blobs(t, 1)
	layers := New(gate.Line(nil), func(int64) (reading, sending uint64) { return 10, 4 }, 1)
	ra, err := layers.ReaderAt(t.Context(), provider, descs[0])
	require.NoError(t, err)
	assert.EqualValues(t, 10, gate.Status().Held)
	require.NoError(t, readAll(ra))
	assert.EqualValues(t, 4, gate.Status().Held)
	require.NoError(t, ra.Close())
	assert.Zero(t, gate.Status().Held)
}

// brokenReader fails to read and to close.
type brokenReader struct{ content.ReaderAt }

var errRead, errClose = errors.New("cannot read"), errors.New("cannot close")

func (brokenReader) ReadAt([]byte, int64) (int, error) { return 0, errRead }
func (brokenReader) Close() error                      { return errClose }
func (brokenReader) Size() int64                       { return 1 }

// brokenProvider has broken readers.
type brokenProvider struct{}

func (brokenProvider) ReaderAt(context.Context, ocispecs.Descriptor) (content.ReaderAt, error) {
	return brokenReader{}, nil
}

func TestErrorsOfReadersPass(t *testing.T) {
	layers := New(memory.NewGate(layerBytes, 1, nil).Line(nil), fixedCost, 1)
	ra, err := layers.ReaderAt(t.Context(), brokenProvider{}, ocispecs.Descriptor{})
	require.NoError(t, err)
	_, err = ra.ReadAt(make([]byte, 1), 0)
	require.ErrorIs(t, err, errRead)
	require.ErrorIs(t, ra.Close(), errClose)
}

func TestLayersOfS3AtATime(t *testing.T) {
	for value, want := range map[string]int{"": 4, "2": 2, "0": 4, "-1": 4, "many": 4, "99999999999999999999": 4} {
		_, parallel := Of("s3", map[string]string{"upload_parallelism": value})
		assert.Equal(t, want, parallel, value)
	}
}

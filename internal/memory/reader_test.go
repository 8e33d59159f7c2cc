package memory

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fakeReader is a layer of two bytes that counts how often it is closed.
type fakeReader struct {
	closed int
	err    error
}

func (r *fakeReader) ReadAt(p []byte, _ int64) (int, error) { return copy(p, "ab"), io.EOF }

func (r *fakeReader) Size() int64 { return 2 }

func (r *fakeReader) Close() error {
	r.closed++
	return r.err
}

func TestReaderHoldsMemoryUntilItIsClosed(t *testing.T) {
	g := NewGate(10, 1, nil)
	inner := &fakeReader{err: errors.New("cannot close")}
	r, err := NewReaders(g.Line(nil), Upload, 7).Open(t.Context(), "a", inner)
	require.NoError(t, err)
	assert.EqualValues(t, 7, g.Status().Held)
	assert.EqualValues(t, 2, r.Size())
	p := make([]byte, 3)
	n, err := r.ReadAt(p, 0)
	assert.Equal(t, 2, n)
	assert.Equal(t, io.EOF, err)
	assert.EqualValues(t, 7, g.Status().Held)
	assert.Equal(t, inner.err, r.Close())
	requireIdle(t, g)
	assert.Equal(t, inner.err, r.Close(), "closed twice")
	requireIdle(t, g)
	assert.Equal(t, 2, inner.closed)
}

func TestReadingRenewsTheHold(t *testing.T) {
	captureLog(t)
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(10, 1, nil)
		l := g.Line(nil)
		r, err := NewReaders(l, Upload, 7).Open(t.Context(), "a", &fakeReader{})
		require.NoError(t, err)
		w := acquire(t.Context(), l, Upload, 7)
		for range 4 {
			time.Sleep(lease - time.Second)
			_, _ = r.ReadAt(nil, 0)
		}
		assert.False(t, w.running())
		time.Sleep(lease + lookInterval)
		synctest.Wait()
		assert.True(t, w.running(), "nobody reads any more")
		require.NoError(t, r.Close())
		w.release()
	})
}

// TestReaderIsClosedIfTheWaitFails finds both errors.
func TestReaderIsClosedIfTheWaitFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(10, 1, nil)
		running := acquire(t.Context(), g.Line(nil), Upload, 10)
		gone := errors.New("the client went away")
		ctx, cancel := context.WithCancelCause(t.Context())
		inner := &fakeReader{err: errors.New("cannot close")}
		var err error
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, err = NewReaders(g.Line(nil), Upload, 1).Open(ctx, "a", inner)
		}()
		synctest.Wait()
		assert.Zero(t, inner.closed)
		cancel(gone)
		<-done
		assert.ErrorIs(t, err, gone)
		assert.ErrorIs(t, err, inner.err)
		assert.ErrorContains(t, err, "wait for the memory of a reader: the client went away")
		assert.Equal(t, 1, inner.closed)
		running.release()
		requireIdle(t, g)
	})
}

func TestReaderOfAnExemptLineHoldsNothing(t *testing.T) {
	g := NewGate(10, 1, nil)
	r, err := NewReaders(g.Line(func() bool { return true }), Upload, 7).Open(t.Context(), "a", &fakeReader{})
	require.NoError(t, err)
	requireIdle(t, g)
	_, err = r.ReadAt(nil, 0)
	assert.Equal(t, io.EOF, err)
	assert.NoError(t, r.Close())
}

// TestReadersOfOneBlobShareAHold opens two of them with memory for one, as upstream
// does: the second must not wait for the first.
func TestReadersOfOneBlobShareAHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		g := NewGate(10, 1, nil)
		readers := NewReaders(g.Line(nil), Conversion, 7)
		inner := &fakeReader{}
		first, err := readers.Open(t.Context(), "a", inner)
		require.NoError(t, err)
		second, err := readers.Open(t.Context(), "a", &fakeReader{})
		require.NoError(t, err)
		assert.EqualValues(t, 7, g.Status().Held)
		other := make(chan content.ReaderAt)
		go func() {
			ra, err := readers.Open(t.Context(), "b", &fakeReader{})
			assert.NoError(t, err)
			other <- ra
		}()
		synctest.Wait()
		assert.Equal(t, 1, g.Status().Waiting[Conversion], "another blob waits")
		require.NoError(t, first.Close())
		require.NoError(t, first.Close())
		assert.Equal(t, 2, inner.closed)
		synctest.Wait()
		assert.Equal(t, 1, g.Status().Waiting[Conversion], "the second reader is still open")
		p := make([]byte, 2)
		_, err = second.ReadAt(p, 0)
		assert.Equal(t, io.EOF, err)
		assert.Equal(t, "ab", string(p))
		require.NoError(t, second.Close())
		require.NoError(t, (<-other).Close())
		assert.Zero(t, time.Since(start))
		requireIdle(t, g)
		again, err := readers.Open(t.Context(), "a", &fakeReader{})
		require.NoError(t, err)
		assert.EqualValues(t, 7, g.Status().Held)
		require.NoError(t, again.Close())
		requireIdle(t, g)
	})
}

// TestReadersThatWaitTogetherHoldUntilTheLast has two goroutines that read the same
// blob.
func TestReadersThatWaitTogetherHoldUntilTheLast(t *testing.T) {
	captureLog(t)
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(10, 2, nil)
		l := g.Line(nil)
		running := acquire(t.Context(), l, Upload, 10)
		readers := NewReaders(l, Conversion, 5)
		opened := make(chan content.ReaderAt, 2)
		for range 2 {
			go func() {
				ra, err := readers.Open(t.Context(), "a", &fakeReader{})
				assert.NoError(t, err)
				opened <- ra
			}()
		}
		synctest.Wait()
		assert.Equal(t, 2, g.Status().Waiting[Conversion])
		running.release()
		first, second := <-opened, <-opened
		assert.EqualValues(t, 10, g.Status().Held)
		require.NoError(t, first.Close())
		assert.EqualValues(t, 10, g.Status().Held)
		waiting := acquire(t.Context(), l, Upload, 10)
		for range 3 {
			time.Sleep(lease - time.Second)
			_, _ = second.ReadAt(nil, 0)
		}
		assert.False(t, waiting.running(), "a read renews both holds")
		require.NoError(t, second.Close())
		synctest.Wait()
		assert.True(t, waiting.running())
		waiting.release()
		requireIdle(t, g)
	})
}

// TestReaderThatCannotWaitIsClosed finds both errors.
func TestReaderThatCannotWaitIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(10, 1, nil)
		running := acquire(t.Context(), g.Line(nil), Upload, 10)
		gone := errors.New("the client went away")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(gone)
		inner := &fakeReader{err: errors.New("cannot close")}
		readers := NewReaders(g.Line(nil), Conversion, 1)
		_, err := readers.Open(ctx, "a", inner)
		assert.ErrorIs(t, err, gone)
		assert.ErrorIs(t, err, inner.err)
		assert.Equal(t, 1, inner.closed)
		running.release()
		requireIdle(t, g)
		ra, err := readers.Open(t.Context(), "a", inner)
		require.NoError(t, err)
		assert.EqualValues(t, 1, g.Status().Held, "nothing of it is left")
		assert.Equal(t, inner.err, ra.Close())
	})
}

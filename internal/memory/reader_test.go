package memory

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

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
	r, err := AcquireReader(t.Context(), g.Line(nil), Upload, 7, inner)
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
		r, err := AcquireReader(t.Context(), l, Upload, 7, &fakeReader{})
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
			_, err = AcquireReader(ctx, g.Line(nil), Upload, 1, inner)
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
	r, err := AcquireReader(t.Context(), g.Line(func() bool { return true }), Upload, 7, &fakeReader{})
	require.NoError(t, err)
	requireIdle(t, g)
	_, err = r.ReadAt(nil, 0)
	assert.Equal(t, io.EOF, err)
	assert.NoError(t, r.Close())
}

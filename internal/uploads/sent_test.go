package uploads

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moby/buildkit/util/progress"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/internal/memory"
	"github.com/bkguard/bkguard/internal/steps"
)

// TestLayersThatWereSentHoldNothing sends two layers in one goroutine of four, as
// upstream does when the others have found theirs in the bucket and have ended. There
// is memory for one layer, and nobody asks for a third.
func TestLayersThatWereSentHoldNothing(t *testing.T) {
	for _, failure := range []error{nil, errors.New("cannot send")} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			gate := memory.NewGate(layerBytes, 1, nil)
			provider, descs := blobs(t, 2)
			layers := New(gate.Line(nil), fixedCost, 4)
			ctx, done := steps.Watch(t.Context(), layers.Step)
			for _, desc := range descs {
				layerDone := progress.OneOff(ctx, "writing layer "+desc.Digest.String())
				ra, err := layers.ReaderAt(ctx, provider, desc)
				require.NoError(t, err)
				require.NoError(t, readAll(ra))
				assert.EqualValues(t, layerBytes, gate.Status().Held)
				assert.Equal(t, failure, layerDone(failure))
				assert.Zero(t, gate.Status().Held)
			}
			assert.Zero(t, time.Since(start), "no lease had to end")
			done()
			layers.Release()
		})
	}
}

// TestOtherProgressIsOfNoLayer has steps that are no layers, and a layer that begins.
func TestOtherProgressIsOfNoLayer(t *testing.T) {
	gate := memory.NewGate(layerBytes, 1, nil)
	provider, descs := blobs(t, 2)
	layers := New(gate.Line(nil), fixedCost, 1)
	ctx, done := steps.Watch(t.Context(), layers.Step)
	defer done()
	_, err := layers.ReaderAt(ctx, provider, descs[0])
	require.NoError(t, err)
	own := descs[0].Digest.String()
	progress.OneOff(ctx, "writing layer "+own)
	for _, step := range []string{"writing layer " + descs[1].Digest.String(), "writing config " + own, own, "writing layer "} {
		require.NoError(t, progress.OneOff(ctx, step)(nil))
	}
	pw, _, _ := progress.NewFromContext(ctx)
	require.NoError(t, pw.Write("writing layer "+own, "a text"))
	assert.EqualValues(t, layerBytes, gate.Status().Held)
	layers.Release()
	require.NoError(t, progress.OneOff(ctx, "writing layer "+own)(nil))
	assert.Zero(t, gate.Status().Held)
}

// TestLayersThatWereSentAreForgotten has layers of which nobody asks for another one.
func TestLayersThatWereSentAreForgotten(t *testing.T) {
	provider, descs := blobs(t, 2)
	layers := New(memory.NewGate(2*layerBytes, 1, nil).Line(nil), fixedCost, 4)
	for _, desc := range descs {
		_, err := layers.ReaderAt(t.Context(), provider, desc)
		require.NoError(t, err)
	}
	layers.Step(steps.WritingLayer+descs[0].Digest.String(), true)
	require.Len(t, layers.open, 1)
	assert.Equal(t, descs[1].Digest, layers.open[0].dgst)
	layers.Release()
	assert.Empty(t, layers.open)
	(*Layers)(nil).Step(steps.WritingLayer+descs[0].Digest.String(), true)
}

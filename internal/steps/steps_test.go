package steps

import (
	"context"
	"fmt"
	"io"
	"testing"
	"testing/synctest"

	"github.com/moby/buildkit/util/progress"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestStepsGoOnToTheClient finds what the exporter says, with the vertex of the export, and
// the end of it.
func TestStepsGoOnToTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader, ctx, closeProgress := progress.NewContext(t.Context())
		export, _, ctx := progress.NewFromContext(ctx, progress.WithMetadata("vertex", "export"))
		var heard []string
		ctx, done := Watch(ctx, func(step string, completed bool) { heard = append(heard, fmt.Sprint(step, ": ", completed)) })
		layerDone := progress.OneOff(ctx, WritingLayer+"x")
		assert.Equal(t, []string{"writing layer x: false"}, heard)
		updates, err := reader.Read(t.Context())
		require.NoError(t, err)
		require.Len(t, updates, 1)
		assert.Nil(t, updates[0].Sys.(progress.Status).Completed)
		require.NoError(t, layerDone(nil))
		assert.Equal(t, []string{"writing layer x: false", "writing layer x: true"}, heard)
		updates, err = reader.Read(t.Context())
		require.NoError(t, err)
		require.Len(t, updates, 1)
		assert.Equal(t, "writing layer x", updates[0].ID)
		assert.NotNil(t, updates[0].Sys.(progress.Status).Completed)
		vertex, _ := updates[0].Meta("vertex")
		assert.Equal(t, "export", vertex)
		pw, _, _ := progress.NewFromContext(ctx)
		require.NoError(t, pw.Write("writing layer x", "a text"))
		assert.Len(t, heard, 2, "a text is no step")
		done()
		require.NoError(t, export.Close())
		closeProgress(nil)
		for err == nil {
			_, err = reader.Read(context.Background())
		}
		assert.Equal(t, io.EOF, err, "nobody writes any more")
	})
}

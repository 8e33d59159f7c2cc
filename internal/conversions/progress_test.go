package conversions

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/util/compression"
	"github.com/moby/buildkit/util/progress"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestProgressIsALineASecond converts four layers, two at a time.
func TestProgressIsALineASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader, ctx, closeProgress := progress.NewContext(context.Background())
		p := NewProgress()
		for range 4 {
			p.wait()
		}
		p.begin()
		p.begin()
		p.end(ctx, "zstd") // less than a second after the beginning
		for range 3 {
			time.Sleep(600 * time.Millisecond)
			p.begin()
			p.end(ctx, "zstd")
		}
		closeProgress(nil)
		assert.Equal(t, []string{"converting layers to zstd: 3 of 4, 2 at a time\n"}, linesOf(reader))
	})
}

// TestWaitingTypesTellTheirProgress converts two layers, beside one that fails.
func TestWaitingTypesTellTheirProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader, ctx, closeProgress := progress.NewContext(context.Background())
		p := NewProgress()
		first, err := open(ctx, Waiting(compression.Gzip, nil, &Stats{}, p))
		require.NoError(t, err)
		second, err := open(ctx, Waiting(compression.Gzip, nil, &Stats{}, p))
		require.NoError(t, err)
		_, err = open(ctx, Waiting(broken{Type: compression.Gzip, open: func() error { return errors.New("broken") }}, nil, &Stats{}, p))
		require.Error(t, err)
		time.Sleep(time.Second)
		require.NoError(t, first.Close())
		require.NoError(t, second.Close())
		require.NoError(t, second.Close())
		time.Sleep(time.Second)
		p.wait()
		p.begin()
		p.end(ctx, "gzip")
		closeProgress(nil)
		assert.Equal(t, []string{
			"converting layers to gzip: 2 of 3, 3 at a time\n",
			"converting layers to gzip: 4 of 4, 3 at a time\n",
		}, linesOf(reader))
		assert.Zero(t, p.running)
	})
}

// linesOf are the lines that a client is told.
func linesOf(reader progress.Reader) (lines []string) {
	for {
		updates, err := reader.Read(context.Background())
		if err != nil {
			return lines
		}
		for _, u := range updates {
			if l, ok := u.Sys.(client.VertexLog); ok {
				lines = append(lines, string(l.Data))
			}
		}
	}
}

func TestNilProgressIsSilent(t *testing.T) {
	var p *Progress
	p.wait()
	p.giveUp()
	p.begin()
	p.end(t.Context(), "zstd")
}

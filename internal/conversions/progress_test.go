package conversions

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/util/progress"
	"github.com/stretchr/testify/assert"
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
		var lines []string
		for {
			updates, err := reader.Read(context.Background())
			if err != nil {
				break
			}
			for _, u := range updates {
				if l, ok := u.Sys.(client.VertexLog); ok {
					lines = append(lines, string(l.Data))
				}
			}
		}
		assert.Equal(t, []string{"converting layers to zstd: 3 of 4, 2 at a time\n"}, lines)
	})
}

func TestNilProgressIsSilent(t *testing.T) {
	var p *Progress
	p.wait()
	p.giveUp()
	p.begin()
	p.end(t.Context(), "zstd")
}

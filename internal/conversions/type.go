package conversions

import (
	"context"
	"fmt"
	"io"

	"github.com/moby/buildkit/util/compression"

	"github.com/bkguard/bkguard/internal/memory"
)

// Waiting returns a compression type that is like t but for its compressors, which
// wait in the line for the memory that they hold. Stats counts what becomes of
// them, progress tells the client of the build; a nil progress tells nobody. A
// type that waits already is given the new line instead of waiting twice.
//
// Upstream calls the methods of a type and compares it in one place only, where an
// image exporter has its own (exporter/containerimage/writer.go): so the result
// can stand wherever a type is asked for. Every caller of a compressor closes it
// on all paths (cache/blobs_linux.go, util/converter, and the walking differ of
// containerd), which gives the memory back.
func Waiting(t compression.Type, line *memory.Line, stats *Stats, progress *Progress) compression.Type {
	return &waiting{Type: Unwrap(t), line: line, stats: stats, progress: progress}
}

// Unwrap returns the type that Waiting was given, and any other as it is.
func Unwrap(t compression.Type) compression.Type {
	if w, ok := t.(*waiting); ok {
		return w.Type
	}
	return t
}

// waiting is a compression type whose compressors wait for memory.
type waiting struct {
	compression.Type
	line     *memory.Line
	stats    *Stats
	progress *Progress
}

// Compress returns the compressor of the inner type, which waits when it is made.
// Until then it holds nothing. The wait ends with ctx.
func (t *waiting) Compress(ctx context.Context, comp compression.Config) (compression.Compressor, compression.Finalizer) {
	compress, finalize := t.Type.Compress(ctx, comp)
	return func(dest io.Writer, mediaType string) (io.WriteCloser, error) {
		t.progress.wait()
		hold, err := t.line.Acquire(ctx, memory.Conversion, Cost(t.Type, comp.Level))
		if err != nil {
			t.progress.giveUp()
			return nil, fmt.Errorf("wait for the memory of a %s compressor: %w", t.Type, err)
		}
		t.progress.begin()
		c := &compressor{compression: t.String(), stats: t.stats, end: func() {
			hold.Release()
			t.progress.end(ctx, t.String())
		}, renew: hold.Renew}
		if err := c.open(compress, dest, mediaType); err != nil {
			t.stats.failed.Add(1)
			return nil, err
		}
		return c, nil
	}, finalize
}

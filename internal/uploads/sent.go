package uploads

import (
	"context"
	"slices"
	"strings"

	"github.com/moby/buildkit/util/progress"
	digest "github.com/opencontainers/go-digest"
)

// writingLayer begins the name of the step of an exporter that sends a layer; the
// digest of its blob follows (cache/remotecache/s3/s3.go, azblob/exporter.go).
const writingLayer = "writing layer "

// Watch returns a context for the exporter, whose progress tells when each layer was
// sent: its memory is given back then. Without that, a layer would be taken for one
// that is under way until its exporter asks for more of them than it sends at a time.
// The progress goes on to the client. Call done when the export has ended.
func (l *Layers) Watch(ctx context.Context) (_ context.Context, done func()) {
	if l == nil {
		return ctx, func() {}
	}
	client, _, _ := progress.NewFromContext(ctx)
	both := progress.NewMultiWriter()
	both.Add(client)
	both.Add(sentWriter{layers: l})
	return progress.WithProgress(ctx, both), func() { _ = client.Close() }
}

// sent gives back the memory of a layer that was sent. Nobody sends a blob twice at a
// time.
func (l *Layers) sent(dgst digest.Digest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = slices.DeleteFunc(l.open, func(o *layer) bool {
		if o.dgst != dgst {
			return false
		}
		o.hold.Release()
		return true
	})
}

// sentWriter is a progress writer that hears of layers that were sent.
type sentWriter struct{ layers *Layers }

func (w sentWriter) WriteRawProgress(p *progress.Progress) error {
	status, ok := p.Sys.(progress.Status)
	if !ok || status.Completed == nil {
		return nil
	}
	if dgst, ok := strings.CutPrefix(p.ID, writingLayer); ok {
		w.layers.sent(digest.Digest(dgst))
	}
	return nil
}

// Write is that of a progress.Writer; a MultiWriter calls WriteRawProgress instead.
func (w sentWriter) Write(id string, value any) error {
	return w.WriteRawProgress(&progress.Progress{ID: id, Sys: value})
}

func (sentWriter) Close() error { return nil }

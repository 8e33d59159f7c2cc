// Package steps listens to the steps that an exporter of upstream shows to its client. It
// is the only way to learn how far an exporter is.
package steps

import (
	"context"

	"github.com/moby/buildkit/util/progress"
)

// The beginnings of the names of steps; the digest of a blob follows.
const (
	// WritingLayer sends a layer (cache/remotecache/export.go, s3/s3.go,
	// azblob/exporter.go).
	WritingLayer = "writing layer "
	// WritingConfig sends the config of a cache, when all layers were sent and before the
	// manifest is made (cache/remotecache/export.go).
	WritingConfig = "writing config "
)

// Watch returns a context for an exporter, whose steps go on to the client. The function
// is called when a step begins and when it has completed, before the exporter goes on; the
// calls may overlap. Call done when the exporter has ended.
func Watch(ctx context.Context, f func(step string, completed bool)) (_ context.Context, done func()) {
	client, _, _ := progress.NewFromContext(ctx)
	both := progress.NewMultiWriter()
	both.Add(client)
	both.Add(&listener{step: f})
	return progress.WithProgress(ctx, both), func() { _ = client.Close() }
}

// listener is a progress writer that calls a function.
type listener struct {
	step func(step string, completed bool)
}

// WriteRawProgress never fails.
func (l *listener) WriteRawProgress(p *progress.Progress) error {
	if status, ok := p.Sys.(progress.Status); ok {
		l.step(p.ID, status.Completed != nil)
	}
	return nil
}

// Write is that of a progress.Writer; a MultiWriter calls WriteRawProgress instead.
func (l *listener) Write(id string, value any) error {
	return l.WriteRawProgress(&progress.Progress{ID: id, Sys: value})
}

// Close has nothing to close.
func (*listener) Close() error { return nil }

package guard

import (
	"context"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/util/progress"
)

// clientProgress runs f with a progress writer and returns what the client is sent.
func clientProgress(ctx context.Context, f func(context.Context)) (sent []*progress.Progress) {
	reader, watched, closeProgress := progress.NewContext(ctx)
	f(watched)
	closeProgress(nil)
	for {
		updates, err := reader.Read(context.WithoutCancel(ctx))
		if err != nil {
			return sent
		}
		sent = append(sent, updates...)
	}
}

// clientWarnings runs f and returns the warnings that the client sees.
func clientWarnings(ctx context.Context, f func(context.Context)) (warnings []string) {
	for _, p := range clientProgress(ctx, f) {
		if w, ok := p.Sys.(client.VertexWarning); ok {
			warnings = append(warnings, string(w.Short))
		}
	}
	return warnings
}

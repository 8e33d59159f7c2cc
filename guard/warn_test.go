package guard

import (
	"context"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/util/progress"
)

// clientWarnings runs f with a progress writer and returns the warnings that the client sees.
func clientWarnings(ctx context.Context, f func(context.Context)) (warnings []string) {
	reader, watched, closeProgress := progress.NewContext(ctx)
	f(watched)
	closeProgress(nil)
	for {
		updates, err := reader.Read(ctx)
		if err != nil {
			return warnings
		}
		for _, p := range updates {
			if w, ok := p.Sys.(client.VertexWarning); ok {
				warnings = append(warnings, string(w.Short))
			}
		}
	}
}

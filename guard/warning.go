package guard

import (
	"context"
	"fmt"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/identity"
	"github.com/moby/buildkit/util/progress"
)

// warnClient shows a warning to the user of the client, under the step that ctx is of. It
// reports whether there is a client.
func warnClient(ctx context.Context, format string, args ...any) bool {
	pw, ok, _ := progress.NewFromContext(ctx)
	defer pw.Close()
	_ = pw.Write(identity.NewID(), client.VertexWarning{
		Level: 1,
		Short: fmt.Appendf([]byte("cache guard: "), format, args...),
	})
	return ok
}

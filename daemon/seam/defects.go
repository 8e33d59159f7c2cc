package seam

import (
	"context"
	"strings"

	"github.com/bkguard/bkguard/upstream"
)

// upstreamDefects are what the guard makes up for in this buildkit.
type upstreamDefects struct {
	// names are separated by commas; "none" or "unknown" if there are no names.
	names string
	// err is why they are unknown.
	err error
}

// checkUpstream looks for the defects of the buildkit that the daemon is built
// with.
func checkUpstream(ctx context.Context) upstreamDefects {
	found, err := upstream.Check(ctx)
	if err != nil {
		return upstreamDefects{names: "unknown", err: err}
	}
	if len(found) == 0 {
		return upstreamDefects{names: "none"}
	}
	names := make([]string, len(found))
	for i, defect := range found {
		names[i] = string(defect)
	}
	return upstreamDefects{names: strings.Join(names, ",")}
}

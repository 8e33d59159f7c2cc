package baseimage

import (
	"context"
	"fmt"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	gwclient "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/solver/pb"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/bkguard/bkguard/cost"
)

// URL is the page that explains the warnings.
const URL = "https://github.com/bkguard/bkguard/blob/main/docs/frontends.md"

// Build is what a warning goes through: the client of a frontend, or the bridge
// that a daemon gives to one.
type Build interface {
	sourceresolver.MetaResolver
	Warn(ctx context.Context, dgst digest.Digest, msg string, opts gwclient.WarnOpts) error
}

// markPlatform is part of the digest of a mark; any will do.
var markPlatform = ocispecs.Platform{OS: "linux", Architecture: "amd64"}

// Warn warns the client of an image, in one line and with details that it may
// show. A build that does not take warnings goes without.
//
// Clients drop the warning of a step that they do not know, and the plain
// progress shows one only with the next event of its step. So the warning gets a
// step of its own, with an event before it and one after: to resolve a source
// without metadata makes these, and does nothing (solver/llbsolver/bridge.go,
// resolveSourceMetadata; solver.go, inBuilderContext).
func (i Image) Warn(ctx context.Context, b Build, short string, detail ...string) {
	identifier := "local://cache-guard/" + i.Digest.String()
	mark := func() {
		_, _ = b.ResolveSourceMetadata(ctx, &pb.SourceOp{Identifier: identifier}, sourceresolver.Opt{
			LogName:  "[internal] cache guard: " + i.Name,
			ImageOpt: &sourceresolver.ResolveImageOpt{Platform: &markPlatform},
		})
	}
	opts := gwclient.WarnOpts{Level: 1, URL: URL}
	for _, line := range detail {
		opts.Detail = append(opts.Detail, []byte(line))
	}
	mark()
	_ = b.Warn(ctx, digest.FromString(identifier+platforms.FormatAll(markPlatform)), "cache guard: "+short+", see "+URL, opts)
	mark()
}

// Title is the name of the image, with its platform if there are others.
func (i Image) Title(all []Image) string {
	if len(all) < 2 {
		return i.Name
	}
	return fmt.Sprintf("%s for %s", i.Name, platforms.Format(i.Platform))
}

// Unguarded says in words what an export takes without the guard.
func Unguarded(e cost.Estimate) string {
	return fmt.Sprintf("a cache export without the guard takes %s of memory for %s combinations",
		cost.AtLeast(e.UpstreamBytes()), e.Combinations())
}

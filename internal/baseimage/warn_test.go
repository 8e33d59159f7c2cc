package baseimage

import (
	"context"
	"fmt"
	"testing"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	gwclient "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/solver/pb"
	digest "github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
)

// calls is a build that keeps the steps that it was called for, in order.
type calls []string

func (c *calls) ResolveSourceMetadata(_ context.Context, op *pb.SourceOp, opt sourceresolver.Opt) (*sourceresolver.MetaResponse, error) {
	// The digest of the step is made as upstream makes it.
	step := digest.FromString(op.Identifier + platforms.FormatAll(*opt.ImageOpt.Platform))
	*c = append(*c, "event of "+step.String())
	return nil, context.Canceled
}

func (c *calls) Warn(_ context.Context, step digest.Digest, _ string, opts gwclient.WarnOpts) error {
	*c = append(*c, fmt.Sprintf("warning of %s, %s", step, opts.Detail))
	return context.Canceled
}

// TestWarningIsBetweenEvents holds what the plain progress needs in order to
// show a warning.
func TestWarningIsBetweenEvents(t *testing.T) {
	var c calls
	i := Image{Name: "image", Digest: digest.FromString("image")}
	i.Warn(t.Context(), &c, "is large", "and wide")
	step := digest.FromString("local://cache-guard/" + i.Digest.String() + "linux/amd64").String()
	assert.Equal(t, calls{"event of " + step, "warning of " + step + ", [and wide]", "event of " + step}, c)
}

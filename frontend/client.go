package frontend

import (
	"context"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	gwclient "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/solver/pb"
	digest "github.com/opencontainers/go-digest"

	"github.com/bkguard/bkguard/internal/baseimage"
)

// client is a client that notes the images which are resolved with it.
type client struct {
	gwclient.Client
	seen *baseimage.Seen
}

// currentFrontend is an optional method of a client, which frontends in a
// container look for by type assertion (frontend/gateway/grpcclient).
type currentFrontend interface {
	CurrentFrontend() (*llb.State, error)
}

// clientOfContainer is a client with the optional method.
type clientOfContainer struct {
	*client
	currentFrontend
}

// watch wraps a client; the optional method is there if it was before.
func watch(c gwclient.Client, seen *baseimage.Seen) gwclient.Client {
	watching := &client{Client: c, seen: seen}
	if f, ok := c.(currentFrontend); ok {
		return &clientOfContainer{watching, f}
	}
	return watching
}

func (c *client) ResolveImageConfig(ctx context.Context, ref string, opt sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	name, dgst, config, err := c.Client.ResolveImageConfig(ctx, ref, opt)
	if err == nil {
		c.seen.Add(name, dgst, config)
	}
	return name, dgst, config, err
}

func (c *client) ResolveSourceMetadata(ctx context.Context, op *pb.SourceOp, opt sourceresolver.Opt) (*sourceresolver.MetaResponse, error) {
	source, err := c.Client.ResolveSourceMetadata(ctx, op, opt)
	if err == nil {
		c.seen.AddSource(source)
	}
	return source, err
}

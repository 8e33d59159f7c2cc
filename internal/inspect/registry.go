package inspect

import (
	"bytes"
	"context"
	"errors"
	"net/http"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// Registry has the caches under one reference.
type Registry struct {
	ref    name.Reference
	puller *remote.Puller
}

// NewRegistry is for the caches under a reference. The options are for credentials and
// transport; the error is that of an option.
func NewRegistry(ref name.Reference, options ...remote.Option) (*Registry, error) {
	puller, err := remote.NewPuller(options...)
	if err != nil {
		return nil, err
	}
	return &Registry{ref, puller}, nil
}

func (r *Registry) roots(ctx context.Context) ([]root, error) {
	top, err := r.puller.Get(ctx, r.ref)
	if err != nil {
		return nil, err
	}
	return []root{{r.ref.String(), ocispecs.Descriptor{
		MediaType: string(top.MediaType),
		Digest:    digest.Digest(top.Digest.String()),
		Size:      top.Size,
	}}}, nil
}

func (r *Registry) manifest(ctx context.Context, dgst digest.Digest) ([]byte, error) {
	if dgst.Validate() != nil {
		return nil, errMissing
	}
	found, err := r.puller.Get(ctx, r.ref.Context().Digest(dgst.String()))
	if err != nil {
		return nil, missing(err)
	}
	return readVerified(bytes.NewReader(found.Manifest), dgst)
}

func (r *Registry) blob(ctx context.Context, dgst digest.Digest) ([]byte, error) {
	layer, err := r.layer(ctx, dgst)
	if err != nil {
		return nil, err
	}
	content, err := layer.Compressed()
	if err != nil {
		return nil, missing(err)
	}
	defer content.Close()
	return readVerified(content, dgst)
}

func (r *Registry) size(ctx context.Context, dgst digest.Digest) (int64, error) {
	layer, err := r.layer(ctx, dgst)
	if err != nil {
		return 0, err
	}
	size, err := layer.Size()
	return size, missing(err)
}

func (r *Registry) layer(ctx context.Context, dgst digest.Digest) (v1.Layer, error) {
	if dgst.Validate() != nil {
		return nil, errMissing
	}
	return r.puller.Layer(ctx, r.ref.Context().Digest(dgst.String()))
}

// missing replaces the error of a registry that has no such thing.
func missing(err error) error {
	var answer *transport.Error
	if errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound {
		return errMissing
	}
	return err
}

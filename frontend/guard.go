// Package frontend is middleware for frontends of buildkit. It warns whoever
// builds of a base image whose cache export would exhaust the memory of a daemon
// without the guard.
//
//	grpcclient.RunFromEnvironment(ctx, frontend.Guard(build))
//
// It needs no network of its own, no access to the daemon and no setting in it:
// what it knows comes through the client that the frontend is given anyway.
package frontend

import (
	"context"
	"fmt"
	"slices"

	gwclient "github.com/moby/buildkit/frontend/gateway/client"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/cost"
	"github.com/bkguard/bkguard/internal/baseimage"
)

// DefaultCompressions is how many compressions the layers of an image are
// assumed to exist in. An image itself is in one; the danger is a worker that
// comes to hold its layers in a second one, because something was built or
// exported in both (moby/buildkit issue 6088).
const DefaultCompressions = 2

// Option changes what Guard assumes.
type Option func(*middleware)

// WithCompressions sets how many compressions the builds of a worker use, such
// as 3 for gzip, zstd and estargz. With 1 there are no warnings. Less than 1
// means DefaultCompressions.
func WithCompressions(n int) Option {
	return func(m *middleware) {
		if n > 0 {
			m.compressions = n
		}
	}
}

// WithMaxRemotes sets the number of combinations up to which there is no
// warning, maxRemotes in the settings of a guarded daemon. Less than 1 means
// the default of these, config.DefaultMaxRemotes.
func WithMaxRemotes(n int) Option {
	return func(m *middleware) {
		if n > 0 {
			m.maxRemotes = uint64(n)
		}
	}
}

// Guard wraps the function of a frontend. The client that next is given notes
// which images next resolves, and counts their layers in the configurations that
// next has asked for. When next has returned a result, each image is warned of
// if a cache export of it would build too many combinations, assumed that all
// of its layers exist in the compressions of WithCompressions.
//
// An image is what a digest stands for. It is warned of once, whatever the
// number of stages, platforms and names that it is used under, with the numbers
// of the platform with the most layers. Layers of steps on top of it are not
// counted, and whether the build exports cache is not known.
//
// A build without a warning costs nothing more than without Guard, one with a
// warning three calls that the daemon answers by itself. The result and the
// error are those of next, whatever happens here. The returned function is safe
// for concurrent use if next is.
func Guard(next gwclient.BuildFunc, opts ...Option) gwclient.BuildFunc {
	m := &middleware{compressions: DefaultCompressions, maxRemotes: config.DefaultMaxRemotes}
	for _, opt := range opts {
		opt(m)
	}
	return func(ctx context.Context, c gwclient.Client) (*gwclient.Result, error) {
		var seen baseimage.Seen
		result, err := next(ctx, watch(c, &seen))
		if err == nil && baseimage.Built(c.BuildOpts().Opts) {
			for _, group := range seen.ByDigest() {
				m.warn(ctx, c, group)
			}
		}
		return result, err
	}
}

// middleware is what the options have set.
type middleware struct {
	compressions int
	maxRemotes   uint64
}

// warn warns of an image, given its platforms, if one of them needs it.
func (m *middleware) warn(ctx context.Context, c gwclient.Client, group []baseimage.Image) {
	image := slices.MaxFunc(group, func(a, b baseimage.Image) int { return a.Layers - b.Layers })
	e := cost.NewEstimate(slices.Repeat([]int{m.compressions}, image.Layers))
	if e.Remotes <= m.maxRemotes {
		return
	}
	image.Warn(ctx, c,
		fmt.Sprintf("%s has %d layers: on a worker that holds them in %d compressions, %s",
			image.Title(group), e.Layers, e.Compressions, baseimage.Unguarded(e)),
		fmt.Sprintf("It is assumed that the builds of a worker use %d compressions, so that it comes to hold each layer in as many.", e.Compressions),
		"Run a buildkitd with the guard, or let all builds of a worker use one compression.")
}

package guard

import (
	"bytes"
	"context"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/util/compression"
	"github.com/moby/buildkit/util/contentutil"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/internal/cachetest"
)

// pulling is a provider with the optional methods that upstream asks for, as that of an image
// which was not pulled, which needs a registry (source/containerimage). It notes the session of
// each read.
type pulling struct {
	contentutil.Buffer
	group session.Group
	reads *[]session.Group
}

func (p pulling) ReaderAt(ctx context.Context, desc ocispecs.Descriptor) (content.ReaderAt, error) {
	*p.reads = append(*p.reads, p.group)
	return p.Buffer.ReaderAt(ctx, desc)
}

func (p pulling) ProviderForSession(g session.Group) content.Provider {
	p.group = g
	return p
}

func (pulling) UnlazySession(desc ocispecs.Descriptor) session.Group {
	return session.NewGroup(desc.Digest.String())
}

func (pulling) SnapshotLabels(descs []ocispecs.Descriptor, index int) map[string]string {
	return map[string]string{"layer": descs[index].Digest.String()}
}

// TestRouteHasTheOptionalMethodsOfItsProviders has one blob in a provider with these methods and
// another one in a provider without. Upstream asks for them as MultiProvider does
// (util/contentutil).
func TestRouteHasTheOptionalMethodsOfItsProviders(t *testing.T) {
	var reads []session.Group
	lazy, here := pulling{Buffer: contentutil.NewBuffer(), reads: &reads}, contentutil.NewBuffer()
	var descs []ocispecs.Descriptor
	for n, store := range []content.Ingester{lazy, here} {
		desc, data := cachetest.Layer(t, n, compression.Gzip)
		require.NoError(t, content.WriteBlob(t.Context(), store, desc.Digest.String(), bytes.NewReader(data), desc))
		descs = append(descs, desc)
	}
	own := route(func(dgst digest.Digest) content.InfoReaderProvider {
		if dgst == descs[0].Digest {
			return lazy
		}
		return here
	})
	r := contentutil.NewMultiProvider(own)
	assert.Equal(t, session.NewGroup(descs[0].Digest.String()), r.UnlazySession(descs[0]))
	assert.Nil(t, r.UnlazySession(descs[1]))
	assert.Equal(t, map[string]string{"layer": descs[0].Digest.String()}, r.SnapshotLabels(descs, 0))
	assert.Nil(t, r.SnapshotLabels(descs, 1))

	group := session.NewGroup("client")
	for _, desc := range descs {
		// Upstream's own providers take a session only from v0.33 on.
		for _, p := range []content.Provider{r, own.ProviderForSession(group)} {
			data, err := content.ReadBlob(t.Context(), p, desc)
			require.NoError(t, err)
			assert.Equal(t, desc.Digest, digest.FromBytes(data))
		}
	}
	assert.Equal(t, []session.Group{nil, group}, reads)
}

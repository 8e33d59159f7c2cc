package choice

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/pkg/labels"
	cerrdefs "github.com/containerd/errdefs"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// Reason says why a blob is written that its record does not own.
type Reason string

// The reasons.
const (
	// Requested is a blob in the compression that the export asks for.
	Requested Reason = "requested"
	// Smaller is a blob that is smaller than the own one.
	Smaller Reason = "smaller"
	// OfImage is a blob that the image of an inline cache has.
	OfImage Reason = "image"
	// Gone is a blob in the place of one that is not there any more.
	Gone Reason = "gone"
)

// Reasons lists every reason.
func Reasons() []Reason { return []Reason{Requested, Smaller, OfImage, Gone} }

// Choice is what an export writes for the layers of its records. It is made by
// [Pool.Choose]. Provider and Known may be called concurrently once all chains are
// asked for.
type Choice struct {
	pool *Pool
	rule Rule
	// chosen has what was chosen for an own blob, by position where that matters.
	chosen map[occurrence]chosen
	// written has the descriptor that is written for a blob of a layer.
	written map[[2]digest.Digest]ocispecs.Descriptor
	// chains has the chains that are written.
	chains Chains
	// infos are of blobs that are there, gone those that are not.
	infos map[digest.Digest]content.Info
	gone  map[digest.Digest]struct{}
	// providers has where to read each blob that was written or could have been: an
	// exporter may have taken down an own blob before another was chosen.
	providers map[digest.Digest]content.InfoReaderProvider

	// Replaced counts the layers of which another blob than the own one is written.
	Replaced map[Reason]int64
	// Lost counts the layers of which no blob is there.
	Lost int64
	// Err is the first error of a store that could not say whether a blob is there.
	// Such a blob counts as there.
	Err error
}

// occurrence is an own blob in a chain; the position is zero where it does not
// matter.
type occurrence struct {
	own      digest.Digest
	key      digest.Digest
	position int
}

type chosen struct {
	desc ocispecs.Descriptor
	ok   bool
}

// Choose returns what the rule makes of the pool. Chains are asked for with
// [Choice.Chain].
func (p *Pool) Choose(rule Rule) *Choice {
	c := &Choice{
		pool:      p,
		rule:      rule,
		chosen:    make(map[occurrence]chosen),
		written:   make(map[[2]digest.Digest]ocispecs.Descriptor),
		infos:     make(map[digest.Digest]content.Info),
		gone:      make(map[digest.Digest]struct{}),
		providers: make(map[digest.Digest]content.InfoReaderProvider),
		Replaced:  make(map[Reason]int64),
	}
	for _, blobs := range p.blobs {
		for dgst, b := range blobs {
			c.providers[dgst] = b.Provider
		}
	}
	return c
}

// Chain returns the chain that is written for a record, which is shared like those of
// [Chains]. It is false if no blob of one of its layers is there.
func (c *Choice) Chain(ctx context.Context, layers []*Layer) ([]ocispecs.Descriptor, bool) {
	chain := make([]ocispecs.Descriptor, len(layers))
	whole := true
	for i, l := range layers {
		o := occurrence{own: l.Own.Digest, key: key(l.Own.Descriptor)}
		if c.rule.positional {
			o.position = i
		}
		found, ok := c.chosen[o]
		if !ok {
			found.desc, found.ok = c.choose(ctx, l, i)
			c.chosen[o] = found
		}
		chain[i] = found.desc
		whole = whole && found.ok
	}
	if !whole {
		return chain, false
	}
	return c.chains.Keep(chain), true
}

// Layers calls f for each layer that is written: a blob upon those below it. One that is
// in several chains upon the same layers is written once, as upstream has it
// (cache/remotecache/v1/utils.go).
func (c *Choice) Layers(f func(ocispecs.Descriptor)) { c.chains.each(f) }

// choose returns the best blob of a layer that is there.
func (c *Choice) choose(ctx context.Context, l *Layer, position int) (ocispecs.Descriptor, bool) {
	candidates := c.pool.candidates(l)
	if len(candidates) > 1 {
		ranks := make(map[digest.Digest]int64, len(candidates))
		for i, b := range candidates {
			ranks[b.Digest] = c.rule.rank(b, i == 0, position)
		}
		slices.SortStableFunc(candidates, func(a, b Blob) int { return cmp.Compare(ranks[a.Digest], ranks[b.Digest]) })
	}
	best := candidates[0].Digest
	for _, b := range candidates {
		if !c.there(ctx, b) {
			continue
		}
		switch b.Digest {
		case l.Own.Digest:
		case best:
			c.Replaced[c.rule.Reason]++
		default:
			c.Replaced[Gone]++
		}
		return c.describe(b, key(l.Own.Descriptor)), true
	}
	c.Lost++
	return ocispecs.Descriptor{}, false
}

// there reports whether a blob is there. Only an answer that it is not makes it gone:
// a store that cannot be asked has not lost it, and upstream takes a provider that
// cannot tell at its word, too (cache/remotecache/v1/utils.go).
func (c *Choice) there(ctx context.Context, b Blob) bool {
	if _, ok := c.infos[b.Digest]; ok {
		return true
	}
	if _, ok := c.gone[b.Digest]; ok {
		return false
	}
	info, err := b.Provider.Info(ctx, b.Digest)
	switch {
	case err == nil:
		c.infos[b.Digest] = info
	case cerrdefs.IsNotFound(err):
		c.gone[b.Digest] = struct{}{}
		return false
	case !cerrdefs.IsNotImplemented(err) && c.Err == nil:
		c.Err = err
	}
	return true
}

// describe returns a blob's descriptor with the annotations that an export of its
// layer needs, from the own blobs of the layer. The same blob has the same descriptor
// in all chains.
func (c *Choice) describe(b Blob, layer digest.Digest) ocispecs.Descriptor {
	id := [2]digest.Digest{layer, b.Digest}
	if desc, ok := c.written[id]; ok {
		return desc
	}
	desc := b.Descriptor
	desc.Annotations = maps.Clone(desc.Annotations)
	if desc.Annotations == nil {
		desc.Annotations = make(map[string]string, 2)
	}
	delete(desc.Annotations, CreatedAt)
	for _, own := range c.pool.blobs[layer] {
		if !own.own {
			continue
		}
		if created, ok := own.Annotations[CreatedAt]; ok {
			if known, ok := desc.Annotations[CreatedAt]; !ok || created < known {
				desc.Annotations[CreatedAt] = created
			}
		}
		// An estargz blob has an entry of its own, and so a digest of its own.
		if uncompressed, ok := own.Annotations[labels.LabelUncompressed]; ok && desc.Annotations[labels.LabelUncompressed] == "" {
			desc.Annotations[labels.LabelUncompressed] = uncompressed
		}
	}
	c.written[id] = desc
	return desc
}

// Provider returns where to read a blob, nil if no record has it.
func (c *Choice) Provider(dgst digest.Digest) content.InfoReaderProvider { return c.providers[dgst] }

// Known returns what was seen of a blob when it was chosen.
func (c *Choice) Known(dgst digest.Digest) (content.Info, bool) {
	info, ok := c.infos[dgst]
	return info, ok
}

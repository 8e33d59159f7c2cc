package choice

import (
	"maps"
	"slices"

	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// Chains keeps each chain of an export once, and a chain that another one begins with
// as a part of it: the memory of hundreds of records grows with their number and with
// the layers, not with the product of both. The zero value is empty. It is not safe for
// concurrent use.
type Chains struct{ root link }

// link is a place in the chains. What is above it is kept by digest.
type link struct {
	above map[digest.Digest]*link
	// chain ends here; it is part of a longer one that was kept first.
	chain []ocispecs.Descriptor
}

// Keep returns a chain that is equal to the given one. It is shared and must not be
// written to; to append to it is safe.
func (c *Chains) Keep(chain []ocispecs.Descriptor) []ocispecs.Descriptor {
	at, known := &c.root, 0
	for known < len(chain) {
		next, ok := at.above[chain[known].Digest]
		if !ok {
			break
		}
		if !equal(next.chain[known], chain[known]) {
			return chain // another description of the same blob
		}
		at = next
		known++
	}
	if known == len(chain) {
		return at.chain[:known:known]
	}
	kept := slices.Clone(chain)
	copy(kept, at.chain[:known])
	for i := known; i < len(kept); i++ {
		if at.above == nil {
			at.above = make(map[digest.Digest]*link)
		}
		next := &link{chain: kept[: i+1 : i+1]}
		at.above[kept[i].Digest] = next
		at = next
	}
	return kept[:len(kept):len(kept)]
}

// each calls f for each place in the chains with the descriptor that is there.
func (c *Chains) each(f func(ocispecs.Descriptor)) {
	pending := []*link{&c.root}
	for len(pending) > 0 {
		at := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		for _, next := range at.above {
			f(next.chain[len(next.chain)-1])
			pending = append(pending, next)
		}
	}
}

// equal reports whether two descriptors of the same blob are the same.
func equal(a, b ocispecs.Descriptor) bool {
	return a.Size == b.Size && a.MediaType == b.MediaType && slices.Equal(a.URLs, b.URLs) && maps.Equal(a.Annotations, b.Annotations)
}

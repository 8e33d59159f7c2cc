package inspect

import (
	"context"
	"slices"

	digest "github.com/opencontainers/go-digest"
)

// maxChain is the length of the longest chain that is compared with others. No
// snapshotter mounts as many layers.
const maxChain = 1024

// loaded is what an import loads for a record: layers by their uncompressed digest, bottom
// layer first.
type loaded struct {
	record int
	layers []digest.Digest
}

// checkBottoms looks for chains that begin above the layers that they stand on. Upstream
// writes such a chain if a blob goes while the chain is written
// (cache/remotecache/v1/utils.go, marshalRemote), and whatever is loaded from it lacks the
// files below.
//
// A short chain alone can be right: COPY --link and diffs make them. A record is compared
// with its inputs, therefore, and only if all of these have a result.
func (c *Cache) checkBottoms(ctx context.Context) error {
	short := make(map[int]bool)
	for _, record := range c.order {
		if err := ctx.Err(); err != nil {
			return err
		}
		inputs := c.inputs(record)
		for _, own := range c.loaded(record) {
			for n, input := range inputs {
				others := slices.Concat(inputs[:n:n], inputs[n+1:])
				for _, below := range input {
					switch {
					case beginsInside(own.layers, below.layers) && !anyBottom(inputs, own.layers[0]):
						short[record] = true
					case standsInside(below.layers, own.layers) && !anyBottom(others, own.layers[0]):
						short[below.record] = true
					}
				}
			}
		}
	}
	if len(short) > 0 {
		c.find(Broken, "%s without the bottom layers: the files in these are lost", count(len(short), "result is", "results are"))
	}
	return nil
}

// inputs returns what can be loaded for each input of a record, and nothing if there is
// an input for which nothing can be.
func (c *Cache) inputs(record int) [][]loaded {
	var all [][]loaded
	for _, links := range c.config.Records[record].Inputs {
		var input []loaded
		for _, link := range links {
			input = append(input, c.loaded(link.LinkIndex)...)
		}
		if len(input) == 0 {
			return nil
		}
		all = append(all, input)
	}
	return all
}

// loaded returns what can be loaded for a record, without chains that are empty or too
// long.
func (c *Cache) loaded(record int) []loaded {
	var all []loaded
	for _, result := range c.loadable[record] {
		blobs := c.chain(record, result)
		if len(blobs) == 0 || len(blobs) > maxChain {
			continue
		}
		layers := make([]digest.Digest, len(blobs))
		for i, blob := range blobs {
			layers[i] = c.layer(blob)
		}
		all = append(all, loaded{record, layers})
	}
	return all
}

// layer is the uncompressed digest of a blob, or that of the blob if it has none.
func (c *Cache) layer(blob digest.Digest) digest.Digest {
	if layer, err := layerOf(c.byDigest[blob]); err == nil {
		return layer
	}
	return blob
}

// beginsInside tells whether a chain begins in the middle of what it is built upon: with
// the upper layers of that, and more.
func beginsInside(chain, below []digest.Digest) bool {
	at := slices.Index(below, chain[0])
	return at > 0 && len(chain) > len(below)-at && slices.Equal(chain[:len(below)-at], below[at:])
}

// standsInside tells whether a chain is in another one, with other layers below it.
func standsInside(chain, other []digest.Digest) bool {
	at := slices.Index(other, chain[0])
	return at > 0 && len(other)-at >= len(chain) && slices.Equal(chain, other[at:at+len(chain)])
}

// anyBottom tells whether a layer is at the bottom of an input.
func anyBottom(inputs [][]loaded, layer digest.Digest) bool {
	return slices.ContainsFunc(inputs, func(input []loaded) bool {
		return slices.ContainsFunc(input, func(l loaded) bool { return l.layers[0] == layer })
	})
}

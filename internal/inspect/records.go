package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	cacheconfig "github.com/moby/buildkit/cache/remotecache/v1/types"
	digest "github.com/opencontainers/go-digest"
)

// sortRecords orders the records of a config so that the inputs of each come before it.
// The error is what upstream's importer refuses a whole cache for
// (cache/remotecache/v1/parse.go and chains.go).
func (c *Cache) sortRecords() error {
	records := c.config.Records
	users := make([][]int, len(records))
	open := make([]int, len(records))
	for i, record := range records {
		for _, inputs := range record.Inputs {
			if len(inputs) == 0 {
				return fmt.Errorf("record %d has an input without any link", i)
			}
			for _, input := range inputs {
				if input.LinkIndex < 0 || input.LinkIndex >= len(records) {
					return fmt.Errorf("record %d has a link to record %d, and there are %d", i, input.LinkIndex, len(records))
				}
				if strings.HasPrefix(records[input.LinkIndex].Digest.String(), "random:") {
					return fmt.Errorf("record %d has a link to record %d, whose key is random", i, input.LinkIndex)
				}
				users[input.LinkIndex] = append(users[input.LinkIndex], i)
				open[i]++
			}
		}
	}
	order := make([]int, 0, len(records))
	for i := range records {
		if open[i] == 0 {
			order = append(order, i)
		}
	}
	for next := 0; next < len(order); next++ {
		for _, user := range users[order[next]] {
			if open[user]--; open[user] == 0 {
				order = append(order, user)
			}
		}
	}
	if len(order) < len(records) {
		return errors.New("some records are among their own inputs")
	}
	c.order = order
	return nil
}

// layerState says what the importer makes of a chain with a certain layer on top.
type layerState int

const (
	unknown layerState = iota
	// visiting layers are below one that is looked at.
	visiting
	whole
	// dropped chains have a layer that the manifest does not name.
	dropped
)

// checkResults holds that the layers of all results exist, and counts the records whose
// results do. The error is what the importer refuses a whole cache for.
func (c *Cache) checkResults(ctx context.Context) error {
	states := make([]layerState, len(c.config.Layers))
	c.loadable = make([][]int, len(c.config.Records))
	lost := 0
	for i, record := range c.config.Records {
		if err := ctx.Err(); err != nil {
			return err
		}
		for n, result := range record.Results {
			state, err := c.follow(states, result.LayerIndex)
			if err != nil {
				return refusal{fmt.Errorf("record %d: %w", i, err)}
			}
			if state == whole {
				c.loadable[i] = append(c.loadable[i], n)
			}
		}
		for n, chained := range record.ChainedResults {
			state, err := c.listed(chained)
			if err != nil {
				return refusal{fmt.Errorf("record %d: %w", i, err)}
			}
			if state == whole {
				c.loadable[i] = append(c.loadable[i], len(record.Results)+n)
			}
		}
		if all := len(record.Results) + len(record.ChainedResults); len(c.loadable[i]) > 0 {
			c.Results++
		} else if all > 0 {
			lost++
		}
	}
	if lost > 0 {
		c.find(Broken, "%s lost: the manifest does not name all layers of their results", count(lost, "record is", "records are"))
	}
	return nil
}

// count is a number with what is counted.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// refusal is an error of a cache that upstream's importer refuses as a whole.
type refusal struct{ error }

// follow goes down a chain from its top layer, without those that were looked at before.
func (c *Cache) follow(states []layerState, top int) (layerState, error) {
	var path []int
	state := whole
	for i := top; ; i = c.config.Layers[i].ParentIndex {
		if i < 0 || i >= len(states) {
			return unknown, fmt.Errorf("a result names layer %d, and there are %d", i, len(states))
		}
		if states[i] == visiting {
			return unknown, fmt.Errorf("layer %d is below itself", i)
		}
		if states[i] != unknown {
			state = states[i]
			break
		}
		if _, ok := c.byDigest[c.config.Layers[i].Blob]; !ok {
			states[i], state = dropped, dropped
			break
		}
		states[i] = visiting
		path = append(path, i)
		if c.config.Layers[i].ParentIndex == -1 {
			break
		}
	}
	for _, i := range path {
		states[i] = state
	}
	return state, nil
}

// listed looks at the layers of a result that names each of them.
func (c *Cache) listed(result cacheconfig.ChainedResult) (layerState, error) {
	for _, i := range result.LayerIndexes {
		if i < 0 || i >= len(c.config.Layers) {
			return unknown, fmt.Errorf("a result names layer %d, and there are %d", i, len(c.config.Layers))
		}
		if _, ok := c.byDigest[c.config.Layers[i].Blob]; !ok {
			return dropped, nil
		}
	}
	return whole, nil
}

// chain returns the blobs of a result that is loadable, bottom layer first. Of a chain
// that is longer than maxChain, it returns one more than that.
func (c *Cache) chain(record, result int) []digest.Digest {
	r := c.config.Records[record]
	var indexes []int
	if result < len(r.Results) {
		for i := r.Results[result].LayerIndex; i != -1 && len(indexes) <= maxChain; i = c.config.Layers[i].ParentIndex {
			indexes = append(indexes, i)
		}
		slices.Reverse(indexes)
	} else {
		indexes = r.ChainedResults[result-len(r.Results)].LayerIndexes
	}
	blobs := make([]digest.Digest, len(indexes))
	for n, i := range indexes {
		blobs[n] = c.config.Layers[i].Blob
	}
	return blobs
}

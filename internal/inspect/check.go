package inspect

import (
	"context"
	"errors"
)

// check fills in the figures and the findings of a cache that was read. The error is
// that of the place, or of the context.
func (c *Cache) check(ctx context.Context, place Place) error {
	c.countBlobs()
	if err := c.checkStored(ctx, place); err != nil {
		return err
	}
	if !c.parsed {
		return nil
	}
	c.Records = len(c.config.Records)
	err := c.sortRecords()
	if err == nil {
		err = c.checkResults(ctx)
	} else {
		err = refusal{err}
	}
	if refused := (refusal{}); errors.As(err, &refused) {
		c.order, c.loadable, c.Results = nil, nil, 0
		c.find(Broken, "no daemon imports it: %v", refused.error)
		return nil
	}
	if err != nil {
		return err
	}
	switch {
	case c.Results == 0:
		c.find(Broken, "none of %s has a result: nothing can be loaded from it", count(c.Records, "record", "records"))
	case c.Form == Inline:
		c.checkTop()
	}
	if err := c.checkTwice(ctx); err != nil {
		return err
	}
	return c.checkBottoms(ctx)
}

// checkTop holds that an image with inline cache has a result of all its layers, that of
// its last step.
func (c *Cache) checkTop() {
	layers := len(c.config.Layers)
	longest := 0
	for _, record := range c.config.Records {
		for _, result := range record.Results {
			longest = max(longest, result.LayerIndex+1)
		}
		for _, result := range record.ChainedResults {
			longest = max(longest, prefix(result.LayerIndexes))
		}
	}
	if longest < layers {
		c.find(Broken, "the results reach layer %d of the %d of the image: the steps above it are lost", longest, layers)
	}
}

// prefix counts the layers of an image, from the bottom, that a result begins with.
func prefix(indexes []int) int {
	for n, i := range indexes {
		if i != n {
			return n
		}
	}
	return len(indexes)
}

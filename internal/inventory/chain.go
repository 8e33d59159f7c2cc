package inventory

import (
	"slices"
)

// maxLayers is how long a chain may be that is counted. Upstream's longest have 127 layers
// for a step, and merges of these.
const maxLayers = 10000

// chains finds the layers of records.
type chains struct {
	records map[string]*Record
	// open are the records that a walk is in, so that damaged ones cannot lead it round in
	// a circle.
	open map[string]bool
}

// of returns the records that have the layers of a record, bottom layer first, as upstream
// walks them (cache/refs.go, layerWalk). It reports false if one of them is not there, if
// records are their own parents, or if there are too many layers.
func (c *chains) of(id string) ([]*Record, bool) {
	return c.walk(nil, id)
}

func (c *chains) walk(chain []*Record, id string) ([]*Record, bool) {
	r, ok := c.records[id]
	if !ok || c.open[id] || len(chain) >= maxLayers {
		return nil, false
	}
	c.open[id] = true
	defer delete(c.open, id)
	switch {
	case len(r.mergeParents) > 0:
		for _, parent := range r.mergeParents {
			if chain, ok = c.walk(chain, parent); !ok {
				return nil, false
			}
		}
		return chain, true
	case r.lower != "" || r.upper != "":
		if upper := c.records[r.upper]; upper != nil && upper.isLayerOn(r.lower) {
			return append(chain, upper), true
		}
	case r.parent != "":
		if chain, ok = c.walk(chain, r.parent); !ok {
			return nil, false
		}
	}
	return append(chain, r), true
}

// isLayerOn reports whether the record is one layer on another record, or on nothing.
func (r *Record) isLayerOn(parent string) bool {
	return r.parent == parent && len(r.mergeParents) == 0 && r.lower == "" && r.upper == ""
}

// leaves are the records that no other record has all layers of, in the order of their IDs.
func (c *chains) leaves() []string {
	inner := make(map[string]bool)
	for _, r := range c.records {
		inner[r.parent] = true
		for _, parent := range r.mergeParents {
			inner[parent] = true
		}
	}
	var ids []string
	for id := range c.records {
		if !inner[id] {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

package inspect

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	digest "github.com/opencontainers/go-digest"
)

// Difference is in what two caches differ. Each list is sorted; records are named by a
// digest of their key and of all that they are built upon.
type Difference struct {
	// RecordsOnlyInA and RecordsOnlyInB are records that the other one has not.
	RecordsOnlyInA []digest.Digest `json:"recordsOnlyInA"`
	RecordsOnlyInB []digest.Digest `json:"recordsOnlyInB"`
	// Results are records of both whose results are other layers, or none in one of them.
	Results []digest.Digest `json:"results"`
	// LayersOnlyInA and LayersOnlyInB are uncompressed digests.
	LayersOnlyInA []digest.Digest `json:"layersOnlyInA"`
	LayersOnlyInB []digest.Digest `json:"layersOnlyInB"`
	// Blobs are layers of both, by their uncompressed digest, that are in other blobs.
	Blobs []digest.Digest `json:"blobs"`
}

// Same tells that nothing differs.
func (d Difference) Same() bool {
	return len(d.RecordsOnlyInA)+len(d.RecordsOnlyInB)+len(d.Results)+len(d.LayersOnlyInA)+len(d.LayersOnlyInB)+len(d.Blobs) == 0
}

// Compare compares the caches of one place, taken together, with those of another. When
// they were written does not count. The error says that upstream's importer refuses a
// cache, whose records cannot be compared.
func Compare(a, b []*Cache) (Difference, error) {
	inA, err := summarize(a)
	if err != nil {
		return Difference{}, err
	}
	inB, err := summarize(b)
	if err != nil {
		return Difference{}, err
	}
	return Difference{
		RecordsOnlyInA: onlyIn(inA.records, inB.records),
		RecordsOnlyInB: onlyIn(inB.records, inA.records),
		Results:        unequal(inA.records, inB.records),
		LayersOnlyInA:  onlyIn(inA.blobs, inB.blobs),
		LayersOnlyInB:  onlyIn(inB.blobs, inA.blobs),
		Blobs:          unequal(inA.blobs, inB.blobs),
	}, nil
}

// set is a set of digests, which is nil without any.
type set map[digest.Digest]bool

// summary has what can be compared: the results of each record, and the blobs of each layer.
type summary struct {
	records, blobs map[digest.Digest]set
}

func summarize(caches []*Cache) (summary, error) {
	all := summary{make(map[digest.Digest]set), make(map[digest.Digest]set)}
	for _, c := range caches {
		if c.loadable == nil {
			return summary{}, errors.New(c.Name + " cannot be compared: " + c.Verdict())
		}
		for _, desc := range c.blobs {
			put(all.blobs, c.layer(desc.Digest), desc.Digest)
		}
		chains := c.chainIDs()
		for record, key := range c.recordIDs() {
			if all.records[key] == nil {
				all.records[key] = set{}
			}
			for _, result := range c.loadable[record] {
				put(all.records, key, c.resultID(record, result, chains))
			}
		}
	}
	return all, nil
}

func put(sets map[digest.Digest]set, key, member digest.Digest) {
	if sets[key] == nil {
		sets[key] = set{}
	}
	sets[key][member] = true
}

// recordIDs names each record by its key and by its inputs.
func (c *Cache) recordIDs() []digest.Digest {
	ids := make([]digest.Digest, len(c.config.Records))
	for _, i := range c.order {
		text := []string{c.config.Records[i].Digest.String()}
		for n, links := range c.config.Records[i].Inputs {
			var inputs []string
			for _, link := range links {
				inputs = append(inputs, strconv.Itoa(n)+" "+ids[link.LinkIndex].String()+" "+strconv.Quote(link.Selector))
			}
			slices.Sort(inputs)
			text = append(text, slices.Compact(inputs)...)
		}
		ids[i] = digest.FromString(strings.Join(text, "\n"))
	}
	return ids
}

// chainIDs names each chain by its layers. A layer stands for all that are below it.
func (c *Cache) chainIDs() []digest.Digest {
	ids := make([]digest.Digest, len(c.config.Layers))
	var path []int
	for top := range c.config.Layers {
		path = path[:0]
		for i := top; i >= 0 && i < len(ids) && ids[i] == "" && len(path) <= len(ids); i = c.config.Layers[i].ParentIndex {
			path = append(path, i)
		}
		for _, i := range slices.Backward(path) {
			var below digest.Digest
			if parent := c.config.Layers[i].ParentIndex; parent >= 0 && parent < len(ids) {
				below = ids[parent]
			}
			ids[i] = digest.FromString(below.String() + " " + c.layer(c.config.Layers[i].Blob).String())
		}
	}
	return ids
}

// resultID names the layers of a result as chainIDs does.
func (c *Cache) resultID(record, result int, chains []digest.Digest) digest.Digest {
	r := c.config.Records[record]
	if result < len(r.Results) {
		return chains[r.Results[result].LayerIndex]
	}
	var id digest.Digest
	for _, i := range r.ChainedResults[result-len(r.Results)].LayerIndexes {
		id = digest.FromString(id.String() + " " + c.layer(c.config.Layers[i].Blob).String())
	}
	return id
}

// onlyIn returns the keys that the other one has not.
func onlyIn(sets, other map[digest.Digest]set) []digest.Digest {
	only := []digest.Digest{}
	for key := range sets {
		if _, ok := other[key]; !ok {
			only = append(only, key)
		}
	}
	slices.Sort(only)
	return only
}

// unequal returns the keys of both whose sets differ.
func unequal(a, b map[digest.Digest]set) []digest.Digest {
	keys := []digest.Digest{}
	for key, members := range a {
		if other, ok := b[key]; ok && !maps.Equal(members, other) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

package inventory

import (
	"fmt"
	"slices"
	"testing"

	digest "github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestChains has records of each kind, and what their layers are, by the records that own
// them; none is a chain that cannot be walked.
func TestChains(t *testing.T) {
	walk := chains{open: map[string]bool{}, records: map[string]*Record{}}
	for _, r := range []Record{
		{ID: "base"},
		{ID: "layer", parent: "base"},
		{ID: "merge", mergeParents: []string{"layer", "base"}},
		{ID: "diff of a layer", lower: "base", upper: "layer"},
		{ID: "diff of the lowest layer", upper: "base"},
		{ID: "diff of several layers", lower: "base", upper: "merge"},
		{ID: "diff upon something else", lower: "merge", upper: "layer"},
		{ID: "diff of what is gone", lower: "base", upper: "gone"},
		{ID: "diff with a parent", lower: "layer", parent: "base"},
		{ID: "upper merge", parent: "base", mergeParents: []string{"base"}},
		{ID: "diff of a merge", lower: "base", upper: "upper merge"},
		{ID: "upper with a lower", parent: "base", lower: "layer"},
		{ID: "diff of a lower", lower: "base", upper: "upper with a lower"},
		{ID: "upper with an upper", parent: "base", upper: "layer"},
		{ID: "diff of an upper", lower: "base", upper: "upper with an upper"},
		{ID: "parent is gone", parent: "gone"},
		{ID: "upon that", parent: "parent is gone"},
		{ID: "merge of that", mergeParents: []string{"base", "upon that"}},
		{ID: "here", parent: "there"},
		{ID: "there", parent: "here"},
		{ID: "upon a circle", parent: "here"},
	} {
		walk.records[r.ID] = &r
	}
	for id, want := range map[string][]string{
		"base":                     {"base"},
		"layer":                    {"base", "layer"},
		"merge":                    {"base", "layer", "base"},
		"diff of a layer":          {"layer"},
		"diff of the lowest layer": {"base"},
		"diff of several layers":   {"diff of several layers"},
		"diff upon something else": {"diff upon something else"},
		"diff of what is gone":     {"diff of what is gone"},
		"diff with a parent":       {"diff with a parent"},
		"diff of a merge":          {"diff of a merge"},
		"diff of a lower":          {"diff of a lower"},
		"diff of an upper":         {"diff of an upper"},
		"gone":                     nil,
		"parent is gone":           nil,
		"upon that":                nil,
		"merge of that":            nil,
		"upon a circle":            nil,
	} {
		chain, ok := walk.of(id)
		assert.Equal(t, want != nil, ok, id)
		var got []string
		for _, r := range chain {
			got = append(got, r.ID)
		}
		assert.Equal(t, want, got, id)
		assert.Empty(t, walk.open, id)
	}
}

func TestLongestChain(t *testing.T) {
	for layers, want := range map[int]bool{maxLayers: true, maxLayers + 1: false} {
		walk := chains{open: map[string]bool{}, records: map[string]*Record{
			"one": {ID: "one"}, "merge": {ID: "merge", mergeParents: slices.Repeat([]string{"one"}, layers)},
		}}
		chain, ok := walk.of("merge")
		assert.Equal(t, want, ok)
		assert.Equal(t, want, len(chain) == layers)
	}
}

// TestChainsWithTheMostCombinationsComeFirst has chains of layers in one and in two
// compressions. One of them is that of many records.
func TestChainsWithTheMostCombinationsComeFirst(t *testing.T) {
	var records []Record
	chain := func(id string, blobs ...string) {
		for i, blob := range blobs {
			r := Record{ID: fmt.Sprint(id, i), blob: digest.FromString(blob)}
			if i > 0 {
				r.parent = fmt.Sprint(id, i-1)
			}
			records = append(records, r)
		}
	}
	chain("few", "a", "b")
	chain("most", "a", "b", "alone", "c")
	for i := range 20 {
		chain(fmt.Sprintf("many%02d-", i), "a", "b", "c")
	}
	chain("one of each", "alone", "lonely", "a")
	i, err := New(t.Context(), records, linked("a", "b", "c"))
	require.NoError(t, err)
	var got []string
	for _, c := range i.Chains {
		got = append(got, fmt.Sprintf("%s: %d of %d, %s", c.Record, c.Variants, c.Estimate.Layers, c.Estimate.Combinations()))
	}
	assert.Equal(t, []string{"most3: 3 of 4, 4", "many00-2: 3 of 3, 4", "few1: 2 of 2, 2"}, got)
}

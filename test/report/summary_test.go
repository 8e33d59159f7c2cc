package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSummarize(t *testing.T) {
	a, b := setting{stock, limit, 8, 2, 1}, setting{guarded, limit, 8, 2, 1}
	found := summarize([]export{
		{a, 1, outcome{1, false, 30, 3}}, {b, 1, outcome{1, false, 7, 0.5}},
		{a, 2, outcome{0, true, 10, 1}}, {b, 2, outcome{1, false, 9, 0.1}},
		{a, 3, outcome{0, true, 20, 2}}, {b, 3, outcome{1, false, 8, 0.9}},
	})
	assert.Equal(t, []summary{
		{a, 3, 2, 0, 20, 2},
		{b, 3, 0, 1, 8, 0.5},
	}, found)
	assert.True(t, found[0].wasKilled())
	assert.Equal(t, "killed in 2 of 3 rounds", found[0].text())
	assert.False(t, found[1].wasKilled())
	assert.Equal(t, "8B, 500ms", found[1].text())
}

func TestMedianOf(t *testing.T) {
	same := func(v int) int { return v }
	assert.Equal(t, 3, medianOf([]int{3}, same))
	assert.Equal(t, 3, medianOf([]int{9, 3, 1}, same))
	assert.Equal(t, 9, medianOf([]int{1, 9}, same))
}

func TestColumnsEndWithTheGuarded(t *testing.T) {
	assert.Equal(t, []column{{stock, limit}, {stock, roomy}, {guarded, limit}}, columnsOf([]export{
		{setting: setting{Daemon: guarded, Limit: limit}},
		{setting: setting{Daemon: stock, Limit: roomy}},
		{setting: setting{Daemon: stock, Limit: limit}},
		{setting: setting{Daemon: stock, Limit: limit}},
	}))
}

func TestImportedIsTheMedian(t *testing.T) {
	d := &data{}
	for round, cached := range []int{3, 0, 0} {
		d.Imports = append(d.Imports, imported{stock, "inline", "gzip", round, 15, 15 + round, int64(10 - round), 3, cached})
	}
	m := d.imported(stock, way{"inline", "gzip"})
	assert.Equal(t, []int{0, 16, 9}, []int{m.Cached, m.Blobs, int(m.Bytes)})
}

package main

import (
	"fmt"
	"strings"
)

// rebuilt is an image that a fresh daemon has built from one kind of cache, as make identity
// writes it.
type rebuilt struct {
	Daemon string `csv:"daemon"`
	Bases  string `csv:"bases"`
	Build  string `csv:"build"`
	// Made are the compressions that the image was built in besides.
	Made  string `csv:"made_in"`
	Cache string `csv:"cache"`
	// Layers are those of the original image, Equal those that are the same blobs again.
	Layers int `csv:"layers"`
	Equal  int `csv:"equal"`
	Steps  int `csv:"steps"`
	Cached int `csv:"cached"`
}

// unvaried is what an image was made in besides that was built once.
const unvaried = "nothing else"

// identityCaches are the kinds of cache, in the order of the page.
var identityCaches = []string{"registry max", "registry min", "local", "inline"}

// equalLayers adds up the layers of the images from one kind of cache, or from all if that is
// empty; varied ones were built in other compressions, too.
func (d *data) equalLayers(daemon, cache string, varied bool) (equal, layers int) {
	for _, r := range d.Identity {
		if r.Daemon == daemon && (cache == "" || r.Cache == cache) && (r.Made != unvaried) == varied {
			equal += r.Equal
			layers += r.Layers
		}
	}
	return equal, layers
}

// share is a part of a whole in percent, rounded down: 100% is all.
func share(part, whole int) string { return fmt.Sprintf("%d%%", 100*part/max(whole, 1)) }

// identityClaim is the share of all layers that are the same.
func (d *data) identityClaim() string {
	of := func(daemon string) string {
		var equal, layers int
		for _, varied := range []bool{false, true} {
			e, l := d.equalLayers(daemon, "", varied)
			equal, layers = equal+e, layers+l
		}
		return fmt.Sprintf("%s %s, %d of %d", daemon, share(equal, layers), equal, layers)
	}
	if len(d.Identity) == 0 {
		return ""
	}
	return "layers that are the same blobs again: " + of(stock) + "; " + of(guarded)
}

// IdentityTable has a row for each kind of cache.
func (d *data) IdentityTable() string {
	rows := [][]string{{"cache", "built once: stock", "guarded", "built in other compressions, too: stock", "guarded"}}
	for _, cache := range identityCaches {
		row := []string{cache}
		for _, varied := range []bool{false, true} {
			for _, daemon := range []string{stock, guarded} {
				equal, layers := d.equalLayers(daemon, cache, varied)
				row = append(row, fmt.Sprintf("%s, %d of %d", share(equal, layers), equal, layers))
			}
		}
		if !strings.HasSuffix(row[1], " of 0") {
			rows = append(rows, row)
		}
	}
	return tableIfAny(rows)
}

// identityChart compares the share of layers that are the same.
func (d *data) identityChart() chart {
	c := barChart{
		title:  "Layers of an image that are the same when it is built from its cache",
		y:      "percent",
		groups: []string{"built once", "built in other compressions, too"},
		bars: []bar{
			{label: stock, role: roleStock, write: plain},
			{label: guarded, role: roleGuarded, write: plain},
		},
	}
	for n := range c.bars {
		for _, varied := range []bool{false, true} {
			equal, layers := d.equalLayers(c.bars[n].label, "", varied)
			c.bars[n].values = append(c.bars[n].values, float64(100*equal/max(layers, 1)))
		}
	}
	return c
}

package main

import "slices"

// way is how a cache was exported.
type way struct{ exporter, requested string }

func (w way) String() string { return w.exporter + ", " + w.requested }

// ways returns all ways that were measured, in that order.
func (d *data) ways() []way {
	var ways []way
	for _, i := range d.Imports {
		if w := (way{i.Exporter, i.Requested}); !slices.Contains(ways, w) {
			ways = append(ways, w)
		}
	}
	return ways
}

// imported returns the medians of all rounds of a daemon.
func (d *data) imported(daemon string, w way) imported {
	var of []imported
	for _, i := range d.Imports {
		if i.Daemon == daemon && i.Exporter == w.exporter && i.Requested == w.requested {
			of = append(of, i)
		}
	}
	if len(of) == 0 {
		return imported{}
	}
	m := of[0]
	m.Blobs = medianOf(of, func(i imported) int { return i.Blobs })
	m.Bytes = medianOf(of, func(i imported) int64 { return i.Bytes })
	m.Cached = medianOf(of, func(i imported) int { return i.Cached })
	return m
}

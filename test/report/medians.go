package main

import (
	"cmp"
	"slices"
)

// medianOf is the median of a value; of an even number, the higher of the two.
// There must be one at least.
func medianOf[T any, V cmp.Ordered](all []T, value func(T) V) V {
	var values []V
	for _, v := range all {
		values = append(values, value(v))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

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

// overheadOf returns the medians of all rounds of a daemon, in seconds.
func (d *data) overheadOf(daemon string, compressions int) (prepare, total float64) {
	var of []overhead
	for _, o := range d.Overhead {
		if o.Daemon == daemon && o.Compressions == compressions {
			of = append(of, o)
		}
	}
	if len(of) == 0 {
		return 0, 0
	}
	return medianOf(of, func(o overhead) float64 { return o.Prepare }), medianOf(of, func(o overhead) float64 { return o.Total })
}

// benchmarks are the figures of a run of go test -bench.
type benchmarks []benchmark

// value is the median of a figure; false if there is none.
func (b benchmarks) value(name, unit string) (float64, bool) {
	var of []benchmark
	for _, f := range b {
		if f.Name == name && f.Unit == unit {
			of = append(of, f)
		}
	}
	if len(of) == 0 {
		return 0, false
	}
	return medianOf(of, func(f benchmark) float64 { return f.Value }), true
}

// text is the median of a figure, written; empty if there is none.
func (b benchmarks) text(name, unit string, write func(float64) string) string {
	v, ok := b.value(name, unit)
	if !ok {
		return ""
	}
	return write(v)
}

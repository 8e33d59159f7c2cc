package main

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

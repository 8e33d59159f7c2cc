package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	units "github.com/docker/go-units"
	"gonum.org/v1/plot"
)

// scale says how values lie on an axis, and which of them are written there.
type scale struct {
	// log makes equal ratios equally long.
	log bool
	// ticks are the written values, nil lets the axis choose.
	ticks []float64
	// write writes one.
	write func(float64) string
}

var (
	// bytesScale and secondsScale are axes of units.
	bytesScale   = scale{log: true, ticks: powers(2, 20, 40), write: units.BytesSize}
	secondsScale = scale{log: true, ticks: append(powers(10, -9, 1), 60, 600), write: duration}
	// linearScale begins at zero.
	linearScale = scale{}
	// layersScale and compressionsScale are axes of whole numbers.
	layersScale       = scale{log: true, ticks: []float64{1, 2, 4, 8, 12, 16, 20, 30, 45, 64, 90, 127}, write: plain}
	compressionsScale = scale{ticks: []float64{1, 2, 3, 4}, write: plain}
)

// set makes the axis show values from min to max. A logarithmic one begins and
// ends at ticks.
func (s scale) set(a *plot.Axis, lowest, highest float64) {
	a.Min, a.Max = lowest, highest
	if s.ticks == nil {
		a.Min = 0
		a.Max *= 1.1
		a.Tick.Marker = majorTicks{}
		return
	}
	var ticks plot.ConstantTicks
	for _, v := range s.ticks {
		ticks = append(ticks, plot.Tick{Value: v, Label: s.write(v)})
		if v <= lowest {
			a.Min = v
		}
	}
	for _, v := range s.ticks {
		if v >= highest {
			a.Max = v
			break
		}
	}
	if a.Min == a.Max {
		a.Max *= 2
	}
	a.Tick.Marker = ticks
	if s.log {
		a.Scale = plot.LogScale{}
	}
}

// majorTicks are those that the axis chooses, without the unwritten ones.
type majorTicks struct{}

// Ticks returns the ticks between two values.
func (majorTicks) Ticks(from, to float64) []plot.Tick {
	return slices.DeleteFunc(plot.DefaultTicks{}.Ticks(from, to), plot.Tick.IsMinor)
}

// powers are those of a base, from one exponent to the other.
func powers(base float64, from, to int) []float64 {
	var all []float64
	for n := from; n <= to; n++ {
		all = append(all, math.Pow(base, float64(n)))
	}
	return all
}

// size writes bytes in binary units.
func size(bytes int64) string { return units.BytesSize(float64(bytes)) }

// duration writes seconds in three digits.
func duration(seconds float64) string {
	d := time.Duration(math.Round(seconds * float64(time.Second)))
	digit := time.Duration(1)
	for d >= 1000*digit {
		digit *= 10
	}
	return d.Round(digit).String()
}

func nanoseconds(v float64) string { return duration(v / 1e9) }

// ratio writes a multiple, plain a whole number.
func ratio(v float64) string { return fmt.Sprintf("%.2f×", v) }
func plain(v float64) string { return strconv.FormatFloat(v, 'f', 0, 64) }

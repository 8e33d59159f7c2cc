package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"gonum.org/v1/plot"
)

func TestFiguresHaveThreeDigits(t *testing.T) {
	for want, got := range map[string]string{
		"512 MiB":  size(512 << 20),
		"1.50 GiB": size(3 << 29),
		"134 MiB":  size(134<<20 + 1<<18),
		"0.98 MiB": size(1000 << 10),
		"17 B":     size(17),
		"1 s":      duration(1),
		"1.25 s":   duration(1.25),
		"12.5 ms":  duration(0.0125),
		"150 µs":   duration(0.00015),
		"1 ms":     duration(secondsScale.ticks[6]),
		"80 ns":    duration(8e-8),
	} {
		assert.Equal(t, want, got)
	}
}

func TestLogScaleEndsAtTicks(t *testing.T) {
	var a plot.Axis
	bytesScale.set(&a, 70<<20, 600<<20)
	assert.Equal(t, []float64{64 << 20, 1 << 30}, []float64{a.Min, a.Max})
	layersScale.set(&a, 8, 70)
	assert.Equal(t, []float64{8, 90}, []float64{a.Min, a.Max})
}

package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"gonum.org/v1/plot"
)

func TestFiguresAreShort(t *testing.T) {
	for want, got := range map[string]string{
		"512MiB": size(512 << 20),
		"1.5GiB": size(3 << 29),
		"1s":     duration(1),
		"1.25s":  duration(1.2512),
		"12.5ms": duration(0.01251),
		"150µs":  duration(0.00015),
		"1ms":    duration(secondsScale.ticks[6]),
		"80ns":   duration(8e-8),
		"1m0s":   duration(60),
		"1.05×":  ratio(1.0512),
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

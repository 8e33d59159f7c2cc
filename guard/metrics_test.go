package guard

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"context"
	"io"

	"github.com/moby/buildkit/util/compression"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/internal/memory"
)

// failingMeter makes all instruments but one, whose name may be found out first.
type failingMeter struct {
	noop.Meter
	fails string
	names []string
}

func (m *failingMeter) made(name string) error {
	m.names = append(m.names, name)
	if name == m.fails {
		return errFull
	}
	return nil
}

func (m *failingMeter) Int64ObservableCounter(name string, _ ...metric.Int64ObservableCounterOption) (metric.Int64ObservableCounter, error) {
	return noop.Int64ObservableCounter{}, m.made(name)
}

func (m *failingMeter) Int64ObservableGauge(name string, _ ...metric.Int64ObservableGaugeOption) (metric.Int64ObservableGauge, error) {
	return noop.Int64ObservableGauge{}, m.made(name)
}

func (m *failingMeter) Float64ObservableCounter(name string, _ ...metric.Float64ObservableCounterOption) (metric.Float64ObservableCounter, error) {
	return noop.Float64ObservableCounter{}, m.made(name)
}

func (m *failingMeter) Float64Histogram(name string, _ ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	return noop.Float64Histogram{}, m.made(name)
}

func (m *failingMeter) RegisterCallback(metric.Callback, ...metric.Observable) (metric.Registration, error) {
	return noop.Registration{}, m.made("callback")
}

// TestInstrumentThatCannotBeMade has each of them fail in turn.
func TestInstrumentThatCannotBeMade(t *testing.T) {
	g := newTestGuard(t, config.Config{})
	all := &failingMeter{}
	require.NoError(t, g.instruments(all))
	require.Len(t, slices.Compact(slices.Sorted(slices.Values(all.names))), len(all.names))
	require.Greater(t, len(all.names), 20)
	for _, name := range all.names {
		require.ErrorIs(t, g.instruments(&failingMeter{fails: name}), errFull, name)
	}
}

// panicking is a compression whose compressors panic when they are made, which counts twice: as
// one that could not be made, and as a panic.
type panicking struct{ compression.Type }

func (panicking) Compress(context.Context, compression.Config) (compression.Compressor, compression.Finalizer) {
	return func(io.Writer, string) (io.WriteCloser, error) { panic("no such level") }, nil
}

// TestWhatIsCountedIsMeasured has another number of each kind.
func TestWhatIsCountedIsMeasured(t *testing.T) {
	g := newTestGuard(t, config.Config{})
	reader := sdkmetric.NewManualReader()
	g.measure(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
	g.stats.walkErrors.Add(2)
	g.stats.lost.Add(3)
	g.stats.unloadable.Add(4)
	g.stats.add(Decision{Exporter: "s3", Mode: config.ModeEnforce, Outcome: OutcomeSpared, Records: 5, Avoided: 6})
	g.stats.add(Decision{Exporter: "s3", Mode: config.ModeObserve, Outcome: OutcomeObserved, Avoided: 100})
	g.stats.waited(memory.Upload, 7)
	compress, _ := g.waiting(panicking{compression.Gzip}, nil).Compress(t.Context(), compression.New(compression.Gzip))
	_, err := compress(io.Discard, "")
	require.ErrorContains(t, err, "no such level")
	found := measured(t, reader)
	for name, want := range map[string]int64{"walk.errors": 2, "blobs.lost": 3, "records.unloadable": 4, "conversions.failed": 2} {
		points := found["bkguard."+name].(metricdata.Sum[int64]).DataPoints
		require.Len(t, points, 1, name)
		assert.Equal(t, want, points[0].Value, name)
	}
	for name, want := range map[string]int64{"exports": 1, "records.spared": 5} {
		for _, point := range found["bkguard."+name].(metricdata.Sum[int64]).DataPoints {
			if outcome, _ := point.Attributes.Value(outcomeKey); outcome.AsString() == "spared" {
				assert.Equal(t, want, point.Value, name)
			}
		}
	}
	waits := found["bkguard.memory.wait"].(metricdata.Histogram[float64]).DataPoints
	assert.Len(t, waits, 2, "an upload and a conversion")
	assert.EqualValues(t, 6, g.Status().Avoided)
	for name := range found {
		assert.True(t, strings.HasPrefix(name, "bkguard."), name)
	}
}

package guard

import (
	"context"
	"time"

	"github.com/moby/buildkit/util/bklog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/internal/choice"
	"github.com/bkguard/bkguard/internal/memory"
)

// instrumentationName is the scope of the instruments, as upstream names its
// own (solver/llbsolver/metrics.go).
const instrumentationName = "github.com/bkguard/bkguard/guard"

// The labels. All have few values, such as types of exporters, modes and outcomes.
const (
	exporterKey = attribute.Key("exporter")
	modeKey     = attribute.Key("mode")
	outcomeKey  = attribute.Key("outcome")
	sourceKey   = attribute.Key("source")
	kindKey     = attribute.Key("kind")
	reasonKey   = attribute.Key("reason")
	versionKey  = attribute.Key("version")
	revisionKey = attribute.Key("revision")
)

// measure makes the instruments. They read what the guard counts anyway when
// they are asked, so an export costs nothing more. A nil provider makes none, and
// neither does a second one, which would count all exports again. A failure is
// logged, as nothing but the figures depends on it.
func (g *Guard) measure(provider metric.MeterProvider) {
	if provider == nil {
		return
	}
	g.measured.Do(func() {
		if err := g.instruments(provider.Meter(instrumentationName, metric.WithInstrumentationVersion(Version))); err != nil {
			bklog.L.WithError(err).Warn("cache guard is not measured")
		}
	})
}

func (g *Guard) instruments(meter metric.Meter) error {
	var (
		observables []metric.Observable
		failure     error
	)
	counter := func(name, unit, description string) metric.Int64ObservableCounter {
		c, err := meter.Int64ObservableCounter("bkguard."+name, metric.WithUnit(unit), metric.WithDescription(description))
		if err != nil {
			failure = err
		}
		observables = append(observables, c)
		return c
	}
	gauge := func(name, unit, description string) metric.Int64ObservableGauge {
		c, err := meter.Int64ObservableGauge("bkguard."+name, metric.WithUnit(unit), metric.WithDescription(description))
		if err != nil {
			failure = err
		}
		observables = append(observables, c)
		return c
	}
	var (
		exports    = counter("exports", "{export}", "Cache exports, by exporter, mode and outcome.")
		records    = counter("records.spared", "{record}", "Cache records whose product was refused, by exporter, mode and outcome.")
		walkErrors = counter("walk.errors", "{error}", "Failed look-ups of the variants of a layer.")
		replaced   = counter("blobs.replaced", "{blob}", "Layers of which another blob was exported than the record owns, by the reason.")
		lost       = counter("blobs.lost", "{blob}", "Layers of which no blob was there when they were exported.")
		unloadable = counter("records.unloadable", "{record}", "Cache records that upstream has left out, as their base image was not pulled.")
		faults     = counter("switch.faults", "{fault}", "Contents of the switch file that were ignored.")
		expired    = counter("memory.expired", "{layer}", "Layers whose memory was taken back as they made no progress.")
		failed     = counter("conversions.failed", "{layer}", "Layers whose compressor could not be made or has panicked.")
		held       = gauge("live", "By", "Memory that exports hold of the budget: conversions, uploads and remotes.")
		budget     = gauge("budget", "By", "Memory that exports may hold together.")
		running    = gauge("memory.running", "{layer}", "Layers that hold memory now, by kind of work.")
		waiting    = gauge("memory.waiting", "{layer}", "Layers that wait for memory now, by kind of work.")
		variants   = gauge("variant.layers", "{layer}", "Layers that the workers hold in more than one compression.")
		surplus    = gauge("variant", "By", "What the blobs of these layers take that no record owns.")
		build      = gauge("build.info", "{build}", "1, with the version of the guard and the commit that it was built from.")
		mode       = gauge("mode", "{mode}", "1 for the mode in force for a type of exporter, with who has set it.")
	)
	avoided, err := meter.Float64ObservableCounter("bkguard.avoided", metric.WithUnit("By"),
		metric.WithDescription("Memory that upstream would have needed at least for the products that were refused."))
	if err != nil {
		failure = err
	}
	estimates, err := meter.Float64Histogram("bkguard.estimate", metric.WithUnit("1"),
		metric.WithDescription("Binary logarithm of the combinations of a cache record."),
		metric.WithExplicitBucketBoundaries(0, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256))
	if err != nil {
		failure = err
	}
	if failure != nil {
		return failure
	}
	g.stats.estimates.Store(&estimates)
	waits, err := meter.Float64Histogram("bkguard.memory.wait", metric.WithUnit("s"),
		metric.WithDescription("How long a layer has waited for memory, by kind of work."),
		metric.WithExplicitBucketBoundaries(0.01, 0.1, 1, 5, 15, 60, 300, 900))
	if err != nil {
		return err
	}
	g.stats.waits.Store(&waits)
	_, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(walkErrors, g.stats.walkErrors.Load())
		o.ObserveInt64(lost, g.stats.lost.Load())
		o.ObserveInt64(unloadable, g.stats.unloadable.Load())
		gate := g.limits.gate.Status()
		o.ObserveInt64(held, int64(gate.Held))
		o.ObserveInt64(budget, int64(gate.Budget))
		o.ObserveInt64(expired, gate.Expired)
		o.ObserveInt64(failed, g.conversions.Failed()+g.conversions.Panicked())
		for _, kind := range memory.Kinds() {
			label := metric.WithAttributes(kindKey.String(string(kind)))
			o.ObserveInt64(running, int64(gate.Running[kind]), label)
			o.ObserveInt64(waiting, int64(gate.Waiting[kind]), label)
		}
		// A guard that is off leaves the daemon to its work.
		if g.mode(nil) != config.ModeOff {
			if s := g.holdings.status(); s != nil && s.Error == "" {
				o.ObserveInt64(variants, int64(s.Variants))
				o.ObserveInt64(surplus, s.observable())
			}
		}
		o.ObserveInt64(build, 1, metric.WithAttributes(versionKey.String(Version), revisionKey.String(Revision)))
		_, _, n := g.killSwitch.Current()
		o.ObserveInt64(faults, n)
		for exporterType, m := range g.modes() {
			o.ObserveInt64(mode, 1, metric.WithAttributes(
				exporterKey.String(exporterType), modeKey.String(string(m.Mode)), sourceKey.String(string(m.Source))))
		}
		g.stats.mu.Lock()
		defer g.stats.mu.Unlock()
		for key, n := range g.stats.exports {
			labels := metric.WithAttributes(
				exporterKey.String(key.exporter), modeKey.String(string(key.mode)), outcomeKey.String(string(key.outcome)))
			o.ObserveInt64(exports, n, labels)
			o.ObserveInt64(records, g.stats.records[key], labels)
		}
		for _, reason := range choice.Reasons() {
			o.ObserveInt64(replaced, g.stats.replaced[reason], metric.WithAttributes(reasonKey.String(string(reason))))
		}
		for exporterType, bytes := range g.stats.avoided {
			o.ObserveFloat64(avoided, float64(bytes), metric.WithAttributes(exporterKey.String(exporterType)))
		}
		return nil
	}, append(observables, avoided)...)
	return err
}

// waited records how long a layer has waited for memory.
func (s *stats) waited(kind memory.Kind, wait time.Duration) {
	if h := s.waits.Load(); h != nil {
		(*h).Record(context.Background(), wait.Seconds(), metric.WithAttributes(kindKey.String(string(kind))))
	}
}

// estimated records the size of the product of a record.
func (s *stats) estimated(ctx context.Context, exporterType string, e Estimate) {
	if h := s.estimates.Load(); h != nil {
		(*h).Record(ctx, e.Log2, metric.WithAttributes(exporterKey.String(exporterType)))
	}
}

package guard

import (
	"context"
	"time"

	"github.com/moby/buildkit/util/bklog"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/bkguard/bkguard/config"
)

// Outcome is what the guard did with an export.
type Outcome string

// The outcomes of an export.
const (
	// OutcomePlain is an export whose records have no more combinations than the limits
	// allow.
	OutcomePlain Outcome = "plain"
	// OutcomeSpared is an export whose records have more, which were not built: what
	// stock writes of them is one chain for each record, too, which it chooses at random.
	OutcomeSpared Outcome = "spared"
	// OutcomeObserved is an export in ModeObserve that ModeEnforce would have spared.
	OutcomeObserved Outcome = "observed"
	// OutcomeBlocked is an export that was skipped in ModeBlock.
	OutcomeBlocked Outcome = "blocked"
)

// Decision is one export that the guard has seen.
type Decision struct {
	// Time is when the records of the export were complete, Seconds how long
	// that took.
	Time    time.Time `json:"time"`
	Seconds float64   `json:"seconds"`
	// Exporter is the type of the exporter, Mode the mode at the end.
	Exporter string      `json:"exporter"`
	Mode     config.Mode `json:"mode"`
	Outcome  Outcome     `json:"outcome"`
	// Records is the number of records whose product was refused, Layers,
	// Compressions and Remotes are of the one with the most combinations.
	Records      int    `json:"records"`
	Layers       int    `json:"layers"`
	Compressions int    `json:"compressions"`
	Remotes      string `json:"remotes"`
	// Avoided is what upstream would have needed for all of them, in bytes.
	Avoided uint64 `json:"avoided"`
	// Session is that of the client, Cache where the export went: a reference, a
	// directory, or a bucket and a name; empty inline. Trace is the ID of the build's
	// trace, empty without tracing.
	Session string `json:"session"`
	Cache   string `json:"cache"`
	Trace   string `json:"trace"`
	// Blobs and Bytes are what was written, Replaced the layers among them of which
	// another blob was written than their record owns.
	Blobs    int   `json:"blobs"`
	Bytes    int64 `json:"bytes"`
	Replaced int64 `json:"replaced"`
}

// decide remembers what was done with the export; mu is held.
func (e *cacheExporter) decide(ctx context.Context, mode config.Mode, outcome Outcome, t tally) {
	now := time.Now()
	if e.started.IsZero() {
		e.started = now
	}
	var trace string
	if id := oteltrace.SpanContextFromContext(ctx).TraceID(); id.IsValid() {
		trace = id.String()
	}
	e.guard.stats.add(Decision{
		Session:      e.export.session,
		Cache:        e.export.cache,
		Trace:        trace,
		Blobs:        t.blobs,
		Bytes:        t.bytes,
		Replaced:     t.replaced,
		Time:         now,
		Seconds:      now.Sub(e.started).Seconds(),
		Exporter:     e.export.exporterType,
		Mode:         mode,
		Outcome:      outcome,
		Records:      t.records,
		Layers:       t.widest.Layers,
		Compressions: t.widest.Compressions,
		Remotes:      t.widest.Combinations(),
		Avoided:      t.avoided,
	})
}

// reportBlocked tells the log, and the user of the client, that there is no
// export.
func (e *cacheExporter) reportBlocked(ctx context.Context, by ModeSource) {
	if e.reported {
		return
	}
	e.reported = true
	bklog.G(ctx).WithField("exporter", e.export.exporterType).WithField("source", by).Warn("cache export blocked")
	warnClient(ctx, "%s cache export skipped, mode block is set by %s", e.export.exporterType, by)
}

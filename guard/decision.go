package guard

import (
	"context"
	"fmt"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/identity"
	"github.com/moby/buildkit/util/bklog"
	"github.com/moby/buildkit/util/progress"

	"github.com/bkguard/bkguard/config"
)

// Outcome is what the guard did with an export.
type Outcome string

// The outcomes of an export.
const (
	// OutcomeUntouched is an export without a product too large.
	OutcomeUntouched Outcome = "untouched"
	// OutcomeDegraded has records whose product was refused.
	OutcomeDegraded Outcome = "degraded"
	// OutcomeObserved would have been degraded in ModeEnforce.
	OutcomeObserved Outcome = "observed"
	// OutcomeBlocked was skipped in ModeBlock.
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
}

// decide remembers what was done with the export; mu is held.
func (e *cacheExporter) decide(mode config.Mode, outcome Outcome, t tally) {
	now := time.Now()
	if e.started.IsZero() {
		e.started = now
	}
	e.guard.stats.add(Decision{
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
	pw, _, _ := progress.NewFromContext(ctx)
	defer pw.Close()
	_ = pw.Write(identity.NewID(), client.VertexWarning{
		Level: 1,
		Short: fmt.Appendf(nil, "cache guard: %s cache export skipped, mode block is set by %s", e.export.exporterType, by),
	})
}

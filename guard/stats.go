package guard

import (
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/metric"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/cost"
	"github.com/bkguard/bkguard/internal/choice"
)

// keptDecisions is how many of the last decisions a Status has.
const keptDecisions = 50

// exportKey is what exports are counted by.
type exportKey struct {
	exporter string
	mode     config.Mode
	outcome  Outcome
}

// stats counts what the guard does. It is safe for concurrent use.
type stats struct {
	walkErrors atomic.Int64
	lost       atomic.Int64
	unloadable atomic.Int64
	// estimates is nil without a meter.
	estimates atomic.Pointer[metric.Float64Histogram]
	// waits is nil without a meter.
	waits atomic.Pointer[metric.Float64Histogram]

	mu sync.Mutex
	// exports, records, replaced and avoided are totals since the start, decisions the
	// last ones, oldest first; all are protected by mu.
	exports   map[exportKey]int64
	records   map[exportKey]int64
	replaced  map[choice.Reason]int64
	avoided   map[string]uint64
	decisions []Decision
}

// chosen counts what became of the layers of an export.
func (s *stats) chosen(c *choice.Choice) {
	s.lost.Add(c.Lost)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.replaced == nil {
		s.replaced = make(map[choice.Reason]int64)
	}
	for reason, n := range c.Replaced {
		s.replaced[reason] += n
	}
}

// add counts an export.
func (s *stats) add(d Decision) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.exports == nil {
		s.exports = make(map[exportKey]int64)
		s.records = make(map[exportKey]int64)
		s.avoided = make(map[string]uint64)
	}
	key := exportKey{d.Exporter, d.Mode, d.Outcome}
	s.exports[key]++
	s.records[key] += int64(d.Records)
	if d.Outcome == OutcomeSpared {
		s.avoided[d.Exporter] = cost.AddSaturating(s.avoided[d.Exporter], d.Avoided)
	}
	if len(s.decisions) == keptDecisions {
		s.decisions = append(s.decisions[:0], s.decisions[1:]...)
	}
	s.decisions = append(s.decisions, d)
}

package guard

import (
	"github.com/moby/buildkit/util/compression"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/internal/conversions"
	"github.com/bkguard/bkguard/internal/memory"
)

// exportConversions makes the layers that one export compresses wait for memory. It
// is safe for concurrent use.
type exportConversions struct {
	guard    *Guard
	export   *export // nil for an image export
	line     *memory.Line
	progress *conversions.Progress
}

// newConversions returns what the conversions of an export have in common; the
// export is nil for one of an image.
func (g *Guard) newConversions(e *export) *exportConversions {
	c := &exportConversions{guard: g, export: e, progress: conversions.NewProgress()}
	c.line = g.limits.gate.Line(c.exempt)
	return c
}

// exempt reports whether the export goes upstream's way.
func (c *exportConversions) exempt() bool { return c.guard.upstreams(c.export) }

// upstreams reports whether an export is left to upstream. Image exports, which are
// nil, have the mode of [guard], as no table names them.
func (g *Guard) upstreams(e *export) bool {
	var mode config.Mode
	if e == nil {
		mode, _ = g.Mode("")
	} else {
		mode = g.mode(e)
	}
	return mode == config.ModeOff || mode == config.ModeObserve
}

// waiting returns a compression whose compressors wait for memory.
func (c *exportConversions) waiting(t compression.Type) compression.Type {
	return conversions.Waiting(t, c.line, &c.guard.conversions, c.progress)
}

// waiting returns the wanted compression for a worker: one that waits for
// memory, in the line of the export if it is known.
func (g *Guard) waiting(wanted compression.Type, e *export) compression.Type {
	if e != nil {
		return e.conversions.waiting(wanted)
	}
	return g.newConversions(nil).waiting(wanted)
}

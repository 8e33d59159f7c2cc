package guard

import (
	"context"

	"github.com/moby/buildkit/util/bklog"

	"github.com/bkguard/bkguard/config"
)

// mode returns the mode in force for a type of cache exporter. It is asked once
// for each record, so that a change is seen between records and never inside
// one.
func (g *Guard) mode(exporterType string) config.Mode {
	return g.config.ModeOf(exporterType)
}

// observe logs what ModeEnforce would do with a record, once for each export.
// It does so before upstream builds the product: there may be no after. Inline
// exports cannot be told apart here, so they share one line a second.
func (g *Guard) observe(ctx context.Context, e *export, p *provider) {
	log := func() {
		bklog.G(ctx).WithFields(p.estimate.fields()).
			WithField("exporter", e.typeName()).
			WithField("compression", p.requested.String()).
			Warn("cache export would be degraded")
	}
	switch {
	case !p.refused:
	case e == nil:
		g.observedInline.Do(log)
	case e.observe():
		log()
	}
}

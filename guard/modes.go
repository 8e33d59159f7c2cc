package guard

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/moby/buildkit/util/bklog"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/internal/killswitch"
)

// ModeAttribute is the attribute of a cache export that asks for a stricter
// mode, such as guard-mode=single. A laxer one is refused.
const ModeAttribute = "guard-mode"

// ModeSource says who has set a mode. They are listed from strong to weak.
type ModeSource string

// The sources of a mode.
const (
	ModeFromSwitch      ModeSource = "switchFile"
	ModeFromEnvironment ModeSource = "environment"
	ModeFromExporter    ModeSource = "exporter"
	ModeFromGuard       ModeSource = "guard"
)

// Mode returns the mode in force for a type of cache exporter, and who has set
// it. An empty or unknown type gives that of all others. A nil guard is off.
func (g *Guard) Mode(exporterType string) (config.Mode, ModeSource) {
	if g == nil {
		return config.ModeOff, ModeFromGuard
	}
	if mode, _, _ := g.killSwitch.Current(); mode != "" {
		return mode, ModeFromSwitch
	}
	return g.settledMode(exporterType)
}

// ReadSwitchFile returns the mode that a switch file asks for, empty if the file is
// missing or asks for none. The error names the file and says why a guard ignores it.
func ReadSwitchFile(path string) (config.Mode, error) { return killswitch.Read(path) }

// settledMode is the mode without the kill-switch.
func (g *Guard) settledMode(exporterType string) (config.Mode, ModeSource) {
	if g.config.Override != "" {
		return g.config.Override, ModeFromEnvironment
	}
	if mode := g.config.Exporters[exporterType].Mode; mode != "" {
		return mode, ModeFromExporter
	}
	return g.config.Mode, ModeFromGuard
}

// mode returns the mode for an export, which may have asked for a stricter one.
// It is asked once for each record, so that a change is seen between records
// and never inside one.
func (g *Guard) mode(e *export) config.Mode {
	mode, _ := g.Mode(e.typeName())
	if e == nil {
		return mode
	}
	return config.Stricter(mode, e.atLeast)
}

// observe logs what ModeEnforce would do with a record, once for each export.
// It does so before upstream builds the product: there may be no after. Inline
// exports cannot be told apart here, so they share one line a second.
func (g *Guard) observe(ctx context.Context, e *export, found *finding) {
	spared := g.limits.explodes(config.ModeEnforce, found.estimate)
	log := func() {
		bklog.G(ctx).WithFields(fields(found.estimate)).
			WithField("exporter", e.typeName()).
			WithField("compression", found.requested.String()).
			Warn("combinations would be spared")
	}
	g.stats.estimated(ctx, e.typeName(), found.estimate)
	switch {
	case e != nil && !e.ofImage:
		if e.observe(found, spared) {
			log()
		}
	case spared:
		g.inline.observe(found, spared)
		g.observedInline.Do(log)
	}
}

// blockedBy says who has blocked an export.
func (g *Guard) blockedBy(e *export) ModeSource {
	if e.atLeast == config.ModeBlock {
		return ModeAttribute
	}
	_, source := g.Mode(e.exporterType)
	return source
}

// stricterMode returns the mode that the attributes of an export ask for, empty
// if they ask for none. A laxer one than the settings have is an error; the
// kill-switch is not asked, as throwing it must not fail builds.
func (g *Guard) stricterMode(exporterType string, attrs map[string]string) (config.Mode, error) {
	word, ok := attrs[ModeAttribute]
	if !ok {
		return "", nil
	}
	asked, err := config.ParseMode(ModeAttribute, word)
	if err != nil {
		return "", err
	}
	inForce, source := g.settledMode(exporterType)
	if config.Stricter(asked, inForce) != asked {
		allowed := config.Modes()[slices.Index(config.Modes(), inForce):]
		return "", fmt.Errorf("%s %q is laxer than %q, which is set by %s (allowed: %s)",
			ModeAttribute, asked, inForce, source, joinModes(allowed))
	}
	return asked, nil
}

func joinModes(modes []config.Mode) string {
	words := make([]string, len(modes))
	for i, m := range modes {
		words[i] = string(m)
	}
	return strings.Join(words, ", ")
}

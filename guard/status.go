package guard

import (
	"maps"
	"slices"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/cost"
	"github.com/bkguard/bkguard/internal/choice"
	"github.com/bkguard/bkguard/internal/memory"
)

// Status is what a guard is doing, in a form for JSON.
type Status struct {
	// Version is that of the guard, Revision the commit that it was built from, empty if
	// that is not known.
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	// Modes has the mode in force for each type of exporter.
	Modes map[string]ModeStatus `json:"modes"`
	// Switch is the kill-switch; nil without a switch file.
	Switch *SwitchStatus `json:"switch,omitempty"`
	// MaxRemotes and Prefer are the settings in force.
	MaxRemotes int           `json:"maxRemotes"`
	Prefer     config.Prefer `json:"prefer"`
	// Memory is the budget of all exports, and who holds it or waits for it.
	Memory MemoryStatus `json:"memory"`
	// Exports counts exports since the start by their outcome, Avoided is what
	// upstream would have needed for the spared ones, in bytes.
	Exports map[Outcome]int64 `json:"exports"`
	Avoided uint64            `json:"avoided"`
	// WalkErrors counts failed look-ups of variants, Lost the layers of which no
	// blob was there.
	WalkErrors int64 `json:"walkErrors"`
	Lost       int64 `json:"lost"`
	// Unloadable counts records that upstream has left out, with all that is built upon
	// them, as their base image was not pulled and is here under another name.
	Unloadable int64 `json:"unloadable"`
	// Replaced counts the layers of which another blob was written than the record
	// owns, by the reason: "requested" for one in the compression that the export
	// asked for, "smaller" for guard-prefer=smallest, "image" for one that the image
	// of an inline cache has, "gone" for one in the place of a blob that was pruned.
	Replaced map[string]int64 `json:"replaced"`
	// Variants is what the workers hold in more than one compression; nil without workers.
	Variants *VariantStatus `json:"variants,omitempty"`
	// Decisions has the last 50 exports, newest first.
	Decisions []Decision `json:"decisions"`
}

// MemoryStatus is what exports do with the memory budget.
type MemoryStatus struct {
	// Budget is what exports may hold together, Held what they do, in bytes.
	Budget uint64 `json:"budget"`
	Held   uint64 `json:"held"`
	// Converting and ConversionsWaiting are layers that are compressed, and that
	// wait for it; Uploading and UploadsWaiting are layers that are sent.
	Converting         int `json:"converting"`
	ConversionsWaiting int `json:"conversionsWaiting"`
	Uploading          int `json:"uploading"`
	UploadsWaiting     int `json:"uploadsWaiting"`
	// Expired counts layers whose memory was taken back as they made no progress,
	// Failed compressors that could not be made, Panicked those that panicked.
	Expired  int64 `json:"expired"`
	Failed   int64 `json:"failed"`
	Panicked int64 `json:"panicked"`
}

// ModeStatus is a mode and who has set it.
type ModeStatus struct {
	Mode   config.Mode `json:"mode"`
	Source ModeSource  `json:"source"`
}

// SwitchStatus is the state of the kill-switch.
type SwitchStatus struct {
	File string `json:"file"`
	// Mode is empty if the file asks for none.
	Mode config.Mode `json:"mode"`
	// Invalid says what is wrong with the file, empty if nothing is.
	Invalid string `json:"invalid,omitempty"`
}

// Status returns what the guard is doing at this moment, and what its workers hold, which may
// take seconds once in a minute. That of a nil guard has the modes alone.
func (g *Guard) Status() Status {
	if g == nil {
		return Status{Version: Version, Revision: Revision, Modes: g.modes()}
	}
	s := Status{
		Version:    Version,
		Revision:   Revision,
		Modes:      g.modes(),
		MaxRemotes: g.config.MaxRemotes,
		Prefer:     g.config.Prefer,
		Memory:     g.memory(),
		Exports:    make(map[Outcome]int64),
		WalkErrors: g.stats.walkErrors.Load(),
		Replaced:   make(map[string]int64),
		Lost:       g.stats.lost.Load(),
		Unloadable: g.stats.unloadable.Load(),
		Variants:   g.holdings.status(),
	}
	if g.killSwitch != nil {
		mode, invalid, _ := g.killSwitch.Current()
		s.Switch = &SwitchStatus{File: g.config.SwitchFile, Mode: mode, Invalid: invalid}
	}
	g.stats.mu.Lock()
	defer g.stats.mu.Unlock()
	for key, n := range g.stats.exports {
		s.Exports[key.outcome] += n
	}
	for _, reason := range choice.Reasons() {
		s.Replaced[string(reason)] = g.stats.replaced[reason]
	}
	for avoided := range maps.Values(g.stats.avoided) {
		s.Avoided = cost.AddSaturating(s.Avoided, avoided)
	}
	s.Decisions = slices.Clone(g.stats.decisions)
	slices.Reverse(s.Decisions)
	return s
}

// memory returns what exports do with the memory budget.
func (g *Guard) memory() MemoryStatus {
	gate := g.limits.gate.Status()
	return MemoryStatus{
		Budget:             gate.Budget,
		Held:               gate.Held,
		Converting:         gate.Running[memory.Conversion],
		ConversionsWaiting: gate.Waiting[memory.Conversion],
		Uploading:          gate.Running[memory.Upload],
		UploadsWaiting:     gate.Waiting[memory.Upload],
		Expired:            gate.Expired,
		Failed:             g.conversions.Failed(),
		Panicked:           g.conversions.Panicked(),
	}
}

// modes returns the mode in force for each type of exporter: those of buildkitd,
// and those that the configuration names.
func (g *Guard) modes() map[string]ModeStatus {
	modes := make(map[string]ModeStatus)
	for _, exporterType := range slices.AppendSeq(config.ExporterTypes(), maps.Keys(g.Config().Exporters)) {
		mode, source := g.Mode(exporterType)
		modes[exporterType] = ModeStatus{Mode: mode, Source: source}
	}
	return modes
}

package main

import (
	"fmt"
	"io"
	"math"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/cost"
	"github.com/bkguard/bkguard/guard"
)

// verdict is what becomes of a cache export.
type verdict string

const (
	// verdictFits is an export of which every remote may be built.
	verdictFits verdict = "fits"
	// verdictSpared is an export with one chain for a record.
	verdictSpared verdict = "spared"
	// verdictBlocked is no export.
	verdictBlocked verdict = "blocked"
	// verdictUnguarded is an export beyond the limits that the mode leaves to
	// upstream.
	verdictUnguarded verdict = "unguarded"
)

// limits are those of a daemon.
type limits struct {
	Mode       config.Mode      `json:"mode"`
	Source     guard.ModeSource `json:"source"`
	MaxRemotes int              `json:"maxRemotes"`
	Budget     uint64           `json:"budget"`
}

// newLimits returns the limits of a daemon with a configuration, for a type of
// exporter. memory is the limit of its cgroup in bytes, 0 for that of this
// process.
func newLimits(c config.Config, exporterType string, memory int64) (limits, error) {
	limit, err := memoryLimit(c.MemoryLimit, memory)
	if err != nil {
		return limits{}, err
	}
	budget := c.MaxMemory.Of(limit)
	c.MaxMemory = config.Memory{Bytes: int64(min(budget, math.MaxInt64))}
	g, err := guard.New(c)
	if err != nil {
		return limits{}, err
	}
	mode, source := g.Mode(exporterType)
	return limits{mode, source, g.Config().MaxRemotes, g.Budget()}, g.Close()
}

// memoryLimit is the limit that a daemon goes by: its GOMEMLIMIT, which the
// daemon sets by the configuration, else the memory that it has.
func memoryLimit(m config.Memory, memory int64) (uint64, error) {
	if m.Bytes > 0 {
		return m.Of(0), nil
	}
	limit := uint64(memory)
	if memory == 0 {
		var err error
		if limit, err = memlimit.FromCgroup(); err != nil {
			m = config.Memory{Off: true} // a share is one of the cgroup's limit
			limit, err = memlimit.FromSystem()
		}
		if err != nil {
			return 0, fmt.Errorf("find the memory limit: %w", err)
		}
	}
	if m.Off {
		return limit, nil
	}
	return m.Of(limit), nil
}

// text writes the limits for people, below what they are applied to.
func (l limits) text(w io.Writer) {
	fmt.Fprintf(w, "\nmode %s set by %s, at most %d remotes for a record and %s for all\n",
		l.Mode, l.Source, l.MaxRemotes, cost.Size(l.Budget))
}

// judge says what becomes of an export with a record of this size.
func (l limits) judge(e guard.Estimate) verdict {
	switch {
	case l.Mode == config.ModeBlock:
		return verdictBlocked
	case !e.Refused(l.Mode, uint64(l.MaxRemotes), l.Budget):
		return verdictFits
	case l.Mode == config.ModeOff || l.Mode == config.ModeObserve:
		return verdictUnguarded
	}
	return verdictSpared
}

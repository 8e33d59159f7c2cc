package guard

import (
	"math"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/cost"
	"github.com/bkguard/bkguard/internal/memory"
)

// Estimate is the size of the product of a chain; see package cost.
type Estimate = cost.Estimate

// NewEstimate returns the estimate for a chain with the given number of blobs
// for each of its layers, bottom layer first.
func NewEstimate(blobs []int) Estimate { return cost.NewEstimate(blobs) }

// limits decides whether the product of a record is built. It is safe for
// concurrent use.
type limits struct {
	maxRemotes uint64
	gate       *memory.Gate
}

// refuse is Estimate.Refused with these limits.
func (l *limits) refuse(mode config.Mode, e Estimate) bool {
	return e.Refused(mode, l.maxRemotes, l.gate.Budget())
}

// explodes reports whether upstream would build more remotes for an estimate than
// mode and limits allow. What a decorated exporter writes takes no budget.
func (l *limits) explodes(mode config.Mode, e Estimate) bool {
	return e.Refused(mode, l.maxRemotes, math.MaxUint64)
}

// allow charges the product of an estimate to the budget, if mode, budget and
// the memory limit of the process leave room for it now. free gives it back.
func (l *limits) allow(mode config.Mode, e Estimate) (free func(), ok bool) {
	if l.refuse(mode, e) || !memory.HasRoom(e.Bytes()) {
		return nil, false
	}
	return l.gate.Take(e.Bytes())
}

package test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/bkguard/bkguard/internal/inspect"
)

// outcome is what became of a cell.
type outcome struct {
	// killed tells that the daemon ran out of memory. There is no more then.
	killed bool
	// steps are those of the build, cached those that a fresh daemon did not
	// execute, in the worst round.
	steps, cached int
	// blobs and layers are what the last export has written. More blobs than
	// layers are layers that were written twice.
	blobs, layers int
	// possible is the number of written blobs whose layer the worker holds in
	// the requested compression, requested that of those that have it.
	possible, requested int
	// worth is the worst verdict on what was exported, of the kinds of cache that can be
	// inspected.
	worth inspect.Severity
	// same tells that all rounds have written the same bytes.
	same bool
}

// String is the outcome in one line; nil is none.
func (o *outcome) String() string {
	switch {
	case o == nil:
		return "not asked"
	case o.killed:
		return "killed"
	}
	return fmt.Sprintf("%d of %d steps cached, %d blobs of %d layers, %d of %d as requested, same bytes: %t",
		o.cached, o.steps, o.blobs, o.layers, o.requested, o.possible, o.same)
}

// assertGood holds that an export is as good as it can be.
func (o *outcome) assertGood(t *testing.T, c cell) {
	t.Helper()
	assert.False(t, o.killed, "killed: out of memory")
	assert.Equal(t, c.state.steps(), o.steps, "steps")
	assert.Equal(t, o.steps, o.cached, "cached steps")
	assert.Equal(t, o.layers, o.blobs, "blobs, and layers written")
	assert.Equal(t, c.possible(), o.possible, "blobs that could be in the requested compression")
	assert.Equal(t, o.possible, o.requested, "blobs in the requested compression, of those that could be")
	assert.Equal(t, inspect.Fine, o.worth, "verdict on the cache")
	assert.True(t, o.same, "the same bytes every time")
}

// assertNoWorse holds that stock has not made more of the same cell; nil is none.
func (o *outcome) assertNoWorse(t *testing.T, stock *outcome) {
	t.Helper()
	if stock == nil || stock.killed {
		return
	}
	assert.GreaterOrEqual(t, o.cached, stock.cached, "cached steps, and those of stock")
	assert.LessOrEqual(t, o.blobs-o.layers, stock.blobs-stock.layers, "surplus blobs, and those of stock")
	assert.GreaterOrEqual(t, o.requested*stock.possible, stock.requested*o.possible, "share of the requested compression, and that of stock")
}

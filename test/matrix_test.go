package test

import (
	"flag"
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"github.com/moby/buildkit/util/compression"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

var matrixFile = flag.String("matrix", "", "test the whole matrix of exports, and write the results to this `file`")

const (
	// How often a daemon exports and a fresh one imports for one cell.
	guardedRounds = 3
	stockRounds   = 2
	// The same for the part of the matrix that is always tested, and in how many of them
	// a fresh daemon imports.
	someGuardedRounds = 2
	someStockRounds   = 1
	someImports       = 1
	// stockLayers is how many layers of a base stock can take in two
	// compressions.
	stockLayers = 12
)

// matrix is one run of TestMatrix.
type matrix struct {
	registry *harness.Registry
	backends map[string]backend
	// guardedRounds and stockRounds are how often each daemon plays a cell, imports in how
	// many of the rounds a fresh one imports.
	guardedRounds, stockRounds, imports int
	// places counts the names that were exported to.
	places atomic.Int64
}

// result is a cell with its outcomes. Stock is nil if it was not asked: more
// than stockLayers are beyond it, and an exporter that it was killed with is not
// tried again in the same state.
type result struct {
	cell
	guarded outcome
	stock   *outcome
}

// TestMatrix holds that a cache export covers all steps, writes each layer once,
// in the requested compression if there is a blob in it, and writes the same
// every time: with every exporter, whatever compressions the worker holds, and
// never worse than stock.
func TestMatrix(t *testing.T) {
	t.Parallel()
	cells := someCells()
	m := &matrix{registry: parts.Registry(t), guardedRounds: someGuardedRounds, stockRounds: someStockRounds, imports: someImports}
	if *matrixFile != "" {
		cells = allCells()
		m.guardedRounds, m.stockRounds, m.imports = guardedRounds, stockRounds, guardedRounds
	}
	m.backends = startBackends(t, m.registry)
	results := make([]result, len(cells))
	t.Run("states", func(t *testing.T) {
		for first := 0; first < len(cells); {
			state, next := cells[first].state, first+1
			for next < len(cells) && cells[next].state == state {
				next++
			}
			played, outcomes := cells[first:next], results[first:next]
			t.Run(state.String(), func(t *testing.T) {
				t.Parallel()
				m.playState(t, state, played, outcomes)
			})
			first = next
		}
	})
	if *matrixFile != "" && !t.Failed() {
		require.NoError(t, os.WriteFile(*matrixFile, report(t, results), 0o644))
	}
}

// playState plays all cells of a state, on one daemon of each kind, and fills in their
// results.
func (m *matrix) playState(t *testing.T, state workerState, cells []cell, results []result) {
	base, err := m.registry.PushBase(t.Context(), harness.Base{Layers: state.layers, Zstd: state.base == compression.Zstd})
	require.NoError(t, err)
	guarded := matrixWorker{matrix: m, binary: binaries(t).Guarded, state: state, build: state.build(base)}
	stock := guarded
	stock.binary = binaries(t).Stock
	killed := map[string]bool{}
	for n, c := range cells {
		guarded.prepare(t)
		askStock := state.layers <= stockLayers && !killed[c.exporter]
		if askStock {
			stock.prepare(t)
		}
		t.Run(c.String(), func(t *testing.T) {
			r := &results[n]
			r.cell, r.guarded = c, guarded.play(t, c, m.guardedRounds)
			if askStock {
				o := stock.play(t, c, m.stockRounds)
				r.stock, killed[c.exporter] = &o, o.killed
			}
			t.Logf("guarded: %v; stock: %v", &r.guarded, r.stock)
			r.guarded.assertGood(t, c)
			r.guarded.assertNoWorse(t, r.stock)
		})
	}
}

// place is a name that nothing was exported to.
func (m *matrix) place() string {
	return fmt.Sprintf("place-%d", m.places.Add(1))
}

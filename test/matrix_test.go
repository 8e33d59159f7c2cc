package test

import (
	"flag"
	"fmt"
	"os"
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
	// stockLayers is how many layers of a base stock can take in two
	// compressions.
	stockLayers = 12
)

// matrix is one run of TestMatrix.
type matrix struct {
	registry *harness.Registry
	backends map[string]backend
	// places counts the names that were exported to.
	places  int
	results []result
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
	if *matrixFile != "" {
		cells = allCells()
	}
	m := &matrix{registry: parts.Registry(t)}
	m.backends = startBackends(t, m.registry)
	for len(cells) > 0 {
		state, n := cells[0].state, 1
		for n < len(cells) && cells[n].state == state {
			n++
		}
		t.Run(state.String(), func(t *testing.T) { m.playState(t, state, cells[:n]) })
		cells = cells[n:]
		if *matrixFile != "" {
			require.NoError(t, os.WriteFile(*matrixFile, report(t, m.results), 0o644))
		}
	}
}

// playState plays all cells of a state, on one daemon of each kind.
func (m *matrix) playState(t *testing.T, state workerState, cells []cell) {
	base, err := m.registry.PushBase(t.Context(), harness.Base{Layers: state.layers, Zstd: state.base == compression.Zstd})
	require.NoError(t, err)
	guarded := matrixWorker{matrix: m, binary: binaries(t).Guarded, state: state, build: state.build(base)}
	stock := guarded
	stock.binary = binaries(t).Stock
	killed := map[string]bool{}
	for _, c := range cells {
		guarded.prepare(t)
		askStock := state.layers <= stockLayers && !killed[c.exporter]
		if askStock {
			stock.prepare(t)
		}
		t.Run(c.String(), func(t *testing.T) {
			r := result{cell: c, guarded: guarded.play(t, c, guardedRounds)}
			if askStock {
				o := stock.play(t, c, stockRounds)
				r.stock, killed[c.exporter] = &o, o.killed
			}
			m.results = append(m.results, r)
			t.Logf("guarded: %v; stock: %v", &r.guarded, r.stock)
			r.guarded.assertGood(t, c)
			r.guarded.assertNoWorse(t, r.stock)
		})
	}
}

// place is a name that nothing was exported to.
func (m *matrix) place() string {
	m.places++
	return fmt.Sprintf("place-%d", m.places)
}

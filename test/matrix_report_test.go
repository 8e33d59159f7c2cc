package test

import (
	"cmp"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

const reportHead = `# Every cache export, guarded beside stock

` + "`make matrix`" + ` has written this page; it takes half an hour. ` + "`make test`" + ` does a
part of it. %s.

A worker holds an image in one, two or four compressions: it was built in that of
its base, then with ` + "`force-compression=true`" + ` in the others. It exports its cache, and
a fresh daemon builds again with nothing but that cache, then unpacks the result.
The guarded daemon does so %d times for each cell, stock %d times; every daemon has
%d GiB of memory. The image is %d RUN steps on its base, or two stages with COPY
--from and COPY --link, which make merges and diffs.

- *cached*: steps that the fresh daemon did not execute, in the worst round.
- *blobs/layers*: what was written. More blobs than layers are layers that were
  written twice. Inline, they are those of the image.
- *as requested*: of the blobs whose layer the worker holds in the requested
  compression, those that are in it. Empty if it holds none, and inline, where
  the cache can only name what the image has.
- *same*: every round has written the same bytes.

All ask for what ` + "`compression=`" + ` says, which stock does not do for azblob; inline for
what the image is pushed in, unforced. Stock is not asked on more than %d layers, where
it does not come to an end, nor again by an exporter that it was killed with in
the same state.
`

// report is all results as a page.
func report(t *testing.T, results []result) []byte {
	t.Helper()
	var page strings.Builder
	fmt.Fprintf(&page, reportHead, lastRun(t, parts.Tool(t, "versitygw"))+", "+azuriteVersion(t), guardedRounds, stockRounds, matrixMemory>>30, steps, stockLayers)
	page.WriteString("\n## Cells in which all is well, by exporter and compressions on the worker\n\n")
	summarize(&page, results)
	var state workerState
	for _, r := range results {
		if r.state != state {
			state = r.state
			fmt.Fprintf(&page, "\n## %s\n\n", state)
			harness.TableHead(&page, "exporter", "mode", "requested",
				"cached", "blobs/layers", "as requested", "same",
				"stock: cached", "blobs/layers", "as requested", "same")
		}
		harness.TableRow(&page, slices.Concat([]string{r.exporter, r.mode, r.requested.String()}, r.guarded.columns(), r.stock.columns())...)
	}
	return []byte(page.String())
}

// columns are the outcome in a row of the page; nil is none.
func (o *outcome) columns() []string {
	switch {
	case o == nil:
		return []string{"", "", "", ""}
	case o.killed:
		return []string{"killed", "", "", ""}
	}
	share, same := "", "no"
	if o.possible > 0 {
		share = fmt.Sprintf("%d/%d", o.requested, o.possible)
	}
	if o.same {
		same = "yes"
	}
	return []string{fmt.Sprintf("%d of %d", o.cached, o.steps), fmt.Sprintf("%d/%d", o.blobs, o.layers), share, same}
}

// tally counts outcomes, and those of them that are as good as can be in each
// respect.
type tally struct {
	asked, killed, cached, once, requested, same int
}

func (c *tally) add(o *outcome) {
	if o == nil {
		return
	}
	c.asked++
	if o.killed {
		c.killed++
		return
	}
	for count, holds := range map[*int]bool{
		&c.cached:    o.cached == o.steps,
		&c.once:      o.blobs == o.layers,
		&c.requested: o.requested == o.possible,
		&c.same:      o.same,
	} {
		if holds {
			*count++
		}
	}
}

// columns are the counts in a row of the page.
func (c *tally) columns() []string {
	var columns []string
	for _, n := range []int{c.asked, c.killed, c.cached, c.once, c.requested, c.same} {
		columns = append(columns, strconv.Itoa(n))
	}
	return columns
}

// summarize counts by exporter and by the compressions on the worker.
func summarize(page *strings.Builder, results []result) {
	type group struct {
		exporter string
		others   int
	}
	type pair struct{ guarded, stock tally }
	var order []group
	pairs := map[group]*pair{}
	for _, r := range results {
		g := group{r.exporter, r.state.others}
		if pairs[g] == nil {
			pairs[g] = &pair{}
			order = append(order, g)
		}
		pairs[g].guarded.add(&r.guarded)
		pairs[g].stock.add(r.stock)
	}
	harness.TableHead(page, "exporter", "compressions",
		"cells", "killed", "cached", "each layer once", "as requested", "same",
		"stock: cells", "killed", "cached", "each layer once", "as requested", "same")
	slices.SortStableFunc(order, func(a, b group) int { return cmp.Compare(a.others, b.others) })
	for _, g := range order {
		p := pairs[g]
		harness.TableRow(page, slices.Concat([]string{g.exporter, strconv.Itoa(1 + g.others)}, p.guarded.columns(), p.stock.columns())...)
	}
}

// lastRun says when a page was made, and with which daemons, registry and more programs.
func lastRun(t *testing.T, programs ...string) string {
	t.Helper()
	names := daemons(t)
	for _, program := range append([]string{binaries(t).Registry}, programs...) {
		info, err := buildinfo.ReadFile(program)
		require.NoError(t, err)
		version := info.Main.Version
		for _, module := range info.Deps {
			if module.Path == "github.com/distribution/distribution/v3" { // with a main of tools/registry
				version = module.Version
			}
		}
		names = append(names, filepath.Base(program)+" "+version)
	}
	return harness.LastRun(strings.Join(append(names, runtime.Version(), "linux/"+runtime.GOARCH), ", "))
}

// azuriteVersion names azurite, which is no program of go.
func azuriteVersion(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(parts.Tool(t, "azurite"), "node_modules", "azurite", "package.json"))
	require.NoError(t, err)
	var azurite struct{ Version string }
	require.NoError(t, json.Unmarshal(text, &azurite))
	return "azurite " + azurite.Version
}

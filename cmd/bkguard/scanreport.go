package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/bkguard/bkguard/cost"
	"github.com/bkguard/bkguard/internal/inventory"
	"github.com/bkguard/bkguard/internal/scan"
)

// longestText is how much of the description of a chain is shown to people.
const longestText = 60

// scanReport is what scan prints.
type scanReport struct {
	Root string `json:"root"`
	// Affected tells that there are layers in more than one compression.
	Affected bool `json:"affected"`
	limits
	Workers []scannedWorker `json:"workers"`
}

// scannedWorker is a worker, with a verdict for each of its chains.
type scannedWorker struct {
	scan.Worker
	Chains []scannedChain `json:"chains"`
}

// scannedChain is a chain of layers, and what becomes of an export of it.
type scannedChain struct {
	inventory.Chain
	product
}

func newScanReport(root string, l limits, workers []scan.Worker) *scanReport {
	r := &scanReport{Root: root, limits: l, Workers: []scannedWorker{}}
	for _, w := range workers {
		scanned := scannedWorker{Worker: w, Chains: []scannedChain{}}
		for _, c := range w.Chains {
			scanned.Chains = append(scanned.Chains, scannedChain{c, l.product(c.Estimate)})
		}
		r.Workers = append(r.Workers, scanned)
		r.Affected = r.Affected || len(w.Variants) > 0
	}
	return r
}

// count counts the layers in more than one compression, and all.
func (r *scanReport) count() (variants, layers int) {
	for _, w := range r.Workers {
		variants += len(w.Variants)
		layers += w.Layers
	}
	return variants, layers
}

// text writes the report for people, with so many layers and chains of each worker.
func (r *scanReport) text(w io.Writer, limit int) {
	word := "not affected"
	if r.Affected {
		word = "affected"
	}
	fmt.Fprintf(w, "%s is %s\n\n", r.Root, word)
	workers := [][]string{{"WORKER", "RECORDS", "LAYERS", "IN SEVERAL COMPRESSIONS", "SURPLUS", "NOTE"}}
	for _, s := range r.Workers {
		note := ""
		if s.GraphDriver {
			note = "a graph driver has no layers in compressions"
		}
		workers = append(workers, []string{
			s.Name, fmt.Sprint(s.Records), fmt.Sprint(s.Layers), fmt.Sprint(len(s.Variants)), cost.Size(s.Surplus), note,
		})
	}
	table(w, workers)
	for _, s := range r.Workers {
		if len(r.Workers) > 1 && len(s.Variants) > 0 && limit > 0 {
			fmt.Fprintf(w, "\n%s:\n", s.Name)
		}
		s.layerText(w, limit)
		s.chainText(w, limit)
	}
	if r.Affected {
		r.limits.text(w)
	}
}

func (s *scannedWorker) layerText(w io.Writer, limit int) {
	shown := s.Variants[:min(limit, len(s.Variants))]
	if len(shown) == 0 {
		return
	}
	rows := [][]string{{"LAYER", "COMPRESSIONS", "SURPLUS"}}
	for _, layer := range shown {
		var words []string
		for _, b := range layer.Blobs {
			words = append(words, fmt.Sprintf("%s %s", b.Compression, cost.Size(uint64(max(b.Size, 0)))))
		}
		rows = append(rows, []string{layer.Blobs[0].Digest.String(), strings.Join(words, ", "), cost.Size(layer.Surplus)})
	}
	fmt.Fprintln(w)
	table(w, rows)
	more(w, len(s.Variants)-len(shown), "layers", s.Name)
}

func (s *scannedWorker) chainText(w io.Writer, limit int) {
	shown := s.Chains[:min(limit, len(s.Chains))]
	if len(shown) == 0 {
		return
	}
	rows := [][]string{{"RECORD", "LAYERS", "COMPRESSIONS", "REMOTES", "STOCK NEEDS", "VERDICT", "BASE", "DESCRIPTION"}}
	for _, c := range shown {
		rows = append(rows, []string{
			c.Record, fmt.Sprint(c.Layers), fmt.Sprint(c.Compressions), c.Remotes, cost.Size(c.StockBytes), string(c.Verdict), shortened(c.Image), shortened(c.Description),
		})
	}
	fmt.Fprintln(w)
	table(w, rows)
	more(w, len(s.Chains)-len(shown), "chains", s.Name)
}

// shortened is a text that a client may have written, on one line.
func shortened(text string) string {
	runes := []rune(cacheText(text))
	if len(runes) > longestText {
		runes = append(runes[:longestText-1], '…')
	}
	return string(runes)
}

// more says how much of a worker is not shown.
func more(w io.Writer, n int, what, worker string) {
	if n > 0 {
		fmt.Fprintf(w, "%d more %s in %s: --limit or --format json\n", n, what, worker)
	}
}

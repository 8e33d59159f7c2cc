package main

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"text/template"

	units "github.com/docker/go-units"
)

// proof is a claim of the README and what shows that it is true.
type proof struct {
	// says is the claim in the words of the README, without its marks.
	says string
	// command measures or tests it, and fails if it is not so.
	command string
	// section is the one of the report that the command measures, empty for another command.
	section string
	// figure is what was measured, nil for a command that measures nothing.
	figure func(*data) string
	// page has more, below docs.
	page string
}

// proofs are all claims, in the order of the README.
var proofs = []proof{
	{
		says:    "stays alive when it exports build cache",
		command: "go run ./test/report -only layers", section: "layers",
		figure: func(d *data) string {
			return besides(exportClaim("64 layers in gzip and zstd, limit "+size(limit), d.Layers, limit, 64))
		},
		page: "benchmarks.md#memory-and-time-over-layers",
	},
	{
		says:    "and converts images, within a memory limit that kills the stock daemon",
		command: "go run ./test/report -only conversions", section: "conversions",
		figure: func(d *data) string {
			return besides(d.conversionClaim(127))
		},
		page: "benchmarks.md#conversions-over-layers",
	},
	{
		says:    "nothing of a cache is lost",
		command: "go run ./test/report -only imports", section: "imports",
		figure: func(d *data) string {
			inline := way{"inline", "gzip"}
			return besides([]string{"inline cache, steps cached on a fresh daemon", cached(d.imported(stock, inline)), cached(d.imported(guarded, inline))})
		},
		page: "benchmarks.md#what-an-exported-cache-is-worth",
	},
	{says: "nothing of a cache is lost", command: "make matrix", page: "matrix.md"},
	{says: "nothing of a cache is lost", command: "make faults", page: "faults.md"},
	{says: "keeps flags, clients and state", command: "make conformance", page: "conformance.md"},
	{says: "keeps flags, clients and state", command: "go test -run 'TestStockTakesOver|TestBuildx|TestContainerdWorker' ./test", page: "compat.md"},
	{
		says:    "that of stock doubles with each layer until it is killed, that of the guarded daemon stays low up to 127 layers",
		command: "go run ./test/report -only layers", section: "layers",
		figure: func(d *data) string {
			return besides(exportClaim("20 layers", d.Layers, limit, 20)) + "; 127 layers: guarded " + exportClaim("", d.Layers, limit, 127)[2]
		},
		page: "benchmarks.md#memory-and-time-over-layers",
	},
	{says: "stock builds one remote for every combination, c^n for n layers in c compressions", command: "go test -run TestDefects ./upstream", page: "upstream.md#product"},
	{
		says:    "bkguard keeps a table of c·n blobs instead",
		command: "go run ./test/report -only guard", section: "guard",
		figure: func(d *data) string {
			const name = "/records=500/layers=127"
			live := func(kind string) string { return d.Guard.text("ExportLiveBytes/"+kind+name, "live-B", units.BytesSize) }
			return fmt.Sprintf("500 records of 127 layers in 4 compressions: %s are kept; upstream's main remotes alone are %s", live("guarded"), live("main"))
		},
		page: "benchmarks.md#the-guard-without-a-daemon",
	},
	{
		says:    "An image that is rebuilt from the cache has the layers that it had",
		command: "make identity",
		figure:  (*data).identityClaim,
		page:    "identity.md",
	},
	{
		says:    "stock compresses all layers of an image at once. In a guarded daemon they wait for memory",
		command: "go run ./test/report -only levels", section: "levels",
		figure: func(d *data) string {
			return besides(exportClaim("64 layers at level 22 of zstd, without a limit", over(d.Levels, levelOf), none, 22))
		},
		page: "conversions.md",
	},
	{says: "turns the guard off without a restart, also for exports that run", command: "go test -run TestSwitch ./test", page: "operating.md"},
	{says: "It pulls a lazy base image only where the cache has to hold its layers", command: "go test -run TestLazyBaseImage ./test", page: "matrix.md"},
}

// besides are the two figures of a claim.
func besides(claim []string) string {
	return fmt.Sprintf("%s: %s %s, %s %s", claim[0], stock, claim[1], guarded, claim[2])
}

// Figure is what was measured, empty for a command that measures nothing.
func (p proof) Figure(d *data) string {
	if p.figure == nil {
		return ""
	}
	return p.figure(d)
}

// Measured says when a claim was measured, and with what; of a command that writes a page of
// its own that page says it. It is empty for a test.
func (p proof) Measured(d *data) string {
	for _, m := range d.Measured {
		if m.Section == p.section {
			return m.Date + ", " + m.Guarded
		}
	}
	if target, isMake := strings.CutPrefix(p.command, "make "); isMake && strings.HasPrefix(p.page, target) {
		return d.LastRuns[p.page]
	}
	return ""
}

//go:embed proof.md.tmpl
var proofText string

var proofTemplate = template.Must(template.New("proof").Parse(proofText))

// ProofTable has a row for each proof.
func (d *data) ProofTable() string {
	rows := [][]string{{"the README says", "command", "measured", "with", "more"}}
	for _, p := range proofs {
		page, _, _ := strings.Cut(p.page, "#")
		rows = append(rows, []string{p.says, "`" + strings.ReplaceAll(p.command, "|", "\\|") + "`", p.Figure(d), p.Measured(d), "[" + page + "](" + p.page + ")"})
	}
	return table(rows...)
}

// writeProof writes the page of proofs. It needs all that their figures are made of.
func (d *data) writeProof(path string) error {
	if slices.ContainsFunc(proofs, func(p proof) bool { return p.section != "" && p.Measured(d) == "" }) {
		return nil
	}
	return d.execute(proofTemplate, path)
}

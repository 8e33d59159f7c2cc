package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bkguard/bkguard/cost"
	"github.com/bkguard/bkguard/guard"
)

// statusText writes a status for people, with so many of its decisions.
func statusText(w io.Writer, address string, s guard.Status, decisions int) {
	fmt.Fprintf(w, "guard\t%s at %s\n", s.Version, address)
	for _, line := range modeLines(s.Modes) {
		fmt.Fprintf(w, "mode\t%s\n", line)
	}
	fmt.Fprintf(w, "switch\t%s\n", switchText(s.Switch))
	fmt.Fprintf(w, "limits\t%d remotes for a record, prefers %s\n", s.MaxRemotes, s.Prefer)
	fmt.Fprintf(w, "memory\t%s\n", memoryText(s.Memory))
	fmt.Fprintf(w, "exports\t%s\n", exportsText(s.Exports))
	fmt.Fprintf(w, "avoided\t%s\n", cost.AtLeast(s.Avoided))
	fmt.Fprintf(w, "layers\t%s\n", replacedText(s.Replaced))
	if s.Variants != nil {
		fmt.Fprintf(w, "variants\t%s\n", variantsText(*s.Variants))
	}
	fmt.Fprintf(w, "faults\t%d variants not looked up, %d layers lost, %d records left out, %d compressors failed, %d panicked, %d layers without progress\n",
		s.WalkErrors, s.Lost, s.Unloadable, s.Memory.Failed, s.Memory.Panicked, s.Memory.Expired)
	if n := min(decisions, len(s.Decisions)); n > 0 {
		fmt.Fprintln(w)
		table(w, decisionRows(s.Decisions[:n]))
	}
}

// replacedText says of how many layers another blob was written than their record
// owns, and why.
func replacedText(replaced map[string]int64) string {
	var reasons []string
	for _, reason := range slices.Sorted(maps.Keys(replaced)) {
		if n := replaced[reason]; n > 0 {
			reasons = append(reasons, fmt.Sprintf("%d %s", n, reason))
		}
	}
	if len(reasons) == 0 {
		return "all written with their own blobs"
	}
	return "written with other blobs than their own: " + strings.Join(reasons, ", ")
}

// variantsText says what the workers hold in more than one compression.
func variantsText(v guard.VariantStatus) string {
	if v.Error != "" {
		return "not found out: " + cacheText(v.Error)
	}
	text := fmt.Sprintf("%d of %d layers in more than one compression, %s surplus", v.Variants, v.Layers, cost.Size(v.Surplus))
	if v.Largest != nil {
		text += fmt.Sprintf("; %d layers make %s remotes, stock needs %s", v.Largest.Layers, v.Largest.Remotes, cost.AtLeast(v.Largest.StockBytes))
	}
	return text
}

func memoryText(m guard.MemoryStatus) string {
	return fmt.Sprintf("%s for all exports, %s held: %d layers converted now and %d waiting, %d sent now and %d waiting",
		cost.Size(m.Budget), cost.Size(m.Held), m.Converting, m.ConversionsWaiting, m.Uploading, m.UploadsWaiting)
}

// modeLines has a line for each mode in force, the most common first.
func modeLines(modes map[string]guard.ModeStatus) []string {
	exporters := make(map[guard.ModeStatus][]string)
	for _, name := range slices.Sorted(maps.Keys(modes)) {
		exporters[modes[name]] = append(exporters[modes[name]], name)
	}
	inForce := slices.SortedFunc(maps.Keys(exporters), func(a, b guard.ModeStatus) int {
		if d := len(exporters[b]) - len(exporters[a]); d != 0 {
			return d
		}
		return strings.Compare(string(a.Mode+"/")+string(a.Source), string(b.Mode+"/")+string(b.Source))
	})
	lines := make([]string, len(inForce))
	for i, m := range inForce {
		lines[i] = fmt.Sprintf("%s, set by %s", m.Mode, m.Source)
		if len(inForce) > 1 {
			lines[i] += ", for " + strings.Join(exporters[m], ", ")
		}
	}
	return lines
}

func switchText(s *guard.SwitchStatus) string {
	switch {
	case s == nil:
		return "no switch file"
	case s.Invalid != "":
		return "ignored: " + s.Invalid
	case s.Mode == "":
		return s.File + " sets no mode"
	}
	return fmt.Sprintf("%s sets %s", s.File, s.Mode)
}

func exportsText(exports map[guard.Outcome]int64) string {
	var words []string
	for _, outcome := range slices.Sorted(maps.Keys(exports)) {
		words = append(words, fmt.Sprintf("%d %s", exports[outcome], outcome))
	}
	if len(words) == 0 {
		return "none yet"
	}
	return strings.Join(words, ", ")
}

func decisionRows(decisions []guard.Decision) [][]string {
	rows := [][]string{{"TIME", "EXPORTER", "MODE", "OUTCOME", "BLOBS", "REPLACED", "LAYERS", "COMPRESSIONS", "REMOTES", "AVOIDED", "TOOK", "CACHE"}}
	for _, d := range decisions {
		line := []string{d.Time.Local().Format(time.DateTime), d.Exporter, string(d.Mode), string(d.Outcome),
			fmt.Sprint(d.Blobs), fmt.Sprint(d.Replaced), "", "", "", "",
			(time.Duration(d.Seconds*1000) * time.Millisecond).String(), cacheText(d.Cache)}
		if d.Records > 0 {
			line[6], line[7], line[8], line[9] = fmt.Sprint(d.Layers), fmt.Sprint(d.Compressions), d.Remotes, cost.Size(d.Avoided)
		}
		rows = append(rows, line)
	}
	return rows
}

// cacheText is a text, such as where an export went, which a client may have written anything
// in.
func cacheText(cache string) string {
	quoted := strconv.QuoteToGraphic(cache)
	return quoted[1 : len(quoted)-1]
}

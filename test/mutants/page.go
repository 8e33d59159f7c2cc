package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bkguard/bkguard/test/harness"
)

const pageHead = `# Changed code that a test notices

%s has written this page. %s, %s.

Each mutant is one change of the code: a condition is negated, one side of "and" or "or" does not
count, a boundary is moved by one, a sum becomes a difference, an error is dropped, a statement is
left out. With each of them those tests of the same package run that run through it.

- *killed*: a test fails.
- *timed out*: a test does not end, twice.
- *survived*: all tests pass. Each one is explained below, or the command fails.
- *not covered*: no test of the package runs through it. Those of others, such as test/, do not count.

Inputs that are drawn at random are the same ones each time. Calls of a mutex are not left out: the race detector, which is not part of this, notices them.

`

// page is what the page says of itself.
type page struct {
	command, lastRun, goVersion string
	// untested are packages without tests of their own.
	untested []string
}

// write is the page of all mutants; why is by the place in all.
func (p page) write(packages []string, all []tried, why map[int]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, pageHead, "`"+p.command+"`", p.lastRun, p.goVersion)
	harness.TableHead(&b, "package", "mutants", "killed", "timed out", "survived", "not covered")
	for _, name := range packages {
		counts(&b, name, slices.DeleteFunc(slices.Clone(all), func(m tried) bool { return m.dir() != name }))
	}
	counts(&b, "all", all)
	if len(p.untested) > 0 {
		fmt.Fprintf(&b, "\nWithout tests of their own: %s.\n", strings.Join(p.untested, ", "))
	}
	b.WriteString("\n## Survived\n")
	list(&b, all, survived, []string{"line", "change", "why no test fails"}, why)
	b.WriteString("\n## Not covered\n")
	list(&b, all, notCovered, []string{"line", "change"}, nil)
	return b.String()
}

// list is a table for each file of the mutants with a verdict; the last column is why, if there
// is one.
func list(b *strings.Builder, all []tried, of verdict, columns []string, why map[int]string) {
	file := ""
	for i, m := range all {
		if m.verdict != of {
			continue
		}
		if m.file != file {
			file = m.file
			fmt.Fprintf(b, "\n### %s\n\n", file)
			harness.TableHead(b, columns...)
		}
		row := []string{code(m.line), code(m.of) + " " + string(m.kind)}
		if why != nil {
			row = append(row, why[i])
		}
		harness.TableRow(b, row...)
	}
}

// counts are the verdicts of some mutants in a row.
func counts(b *strings.Builder, name string, some []tried) {
	columns := []string{name, fmt.Sprint(len(some))}
	for _, v := range verdicts {
		n := 0
		for _, m := range some {
			if m.verdict == v {
				n++
			}
		}
		columns = append(columns, fmt.Sprint(n))
	}
	harness.TableRow(b, columns...)
}

// code is text as it stands, in a row of a table.
func code(text string) string {
	return "`" + strings.NewReplacer("`", "'", "|", `\|`).Replace(text) + "`"
}

package main

import (
	"fmt"
	"slices"
	"strings"
)

const pageHead = `# Changed code that a test notices

%s has written this page. Last run on %s with bkguard-%s-%s, %s.

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
	command, date, revision string
	// version is the guard's, goVersion that of the compiler.
	version, goVersion string
	// untested are packages without tests of their own.
	untested []string
}

// write is the page of all mutants; why is by the place in all.
func (p page) write(packages []string, all []tried, why map[int]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, pageHead, "`"+p.command+"`", p.date, p.version, p.revision, p.goVersion)
	row(&b, "package", "mutants", "killed", "timed out", "survived", "not covered")
	row(&b, slices.Repeat([]string{"---"}, len(verdicts)+2)...)
	for _, name := range packages {
		counts(&b, name, slices.DeleteFunc(slices.Clone(all), func(m tried) bool { return m.dir() != name }))
	}
	counts(&b, "all", all)
	if len(p.untested) > 0 {
		fmt.Fprintf(&b, "\nWithout tests of their own: %s.\n", strings.Join(p.untested, ", "))
	}
	b.WriteString("\n## Survived\n")
	file := ""
	for i, m := range all {
		if m.verdict != survived {
			continue
		}
		if m.file != file {
			file = m.file
			fmt.Fprintf(&b, "\n### %s\n\n", file)
			row(&b, "line", "change", "why no test fails")
			row(&b, "---", "---", "---")
		}
		row(&b, code(m.line), code(m.of)+" "+string(m.kind), why[i])
	}
	b.WriteString("\n## Not covered\n")
	file = ""
	for _, m := range all {
		if m.verdict != notCovered {
			continue
		}
		if m.file != file {
			file = m.file
			fmt.Fprintf(&b, "\n### %s\n\n", file)
			row(&b, "line", "change")
			row(&b, "---", "---")
		}
		row(&b, code(m.line), code(m.of)+" "+string(m.kind))
	}
	return b.String()
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
	row(b, columns...)
}

func row(b *strings.Builder, columns ...string) {
	b.WriteString("| " + strings.Join(columns, " | ") + " |\n")
}

// code is text as it stands, in a row of a table.
func code(text string) string {
	return "`" + strings.NewReplacer("`", "'", "|", `\|`).Replace(text) + "`"
}

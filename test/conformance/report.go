package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bkguard/bkguard/test/harness"
)

const reportHead = `# Upstream's own tests, guarded beside stock

%s has written this page. %s.

The integration tests of buildkit %s, compiled from its module as upstream does, run once
with stock buildkitd on their PATH and once with the guarded one, which is built from the same
release. Workers: %s; the tests of frontend/dockerfile run with the first one only, as upstream
runs them with one. A test whose verdicts differ is run again alone, with both
daemons, up to %d times; it counts as different if the verdicts differ every time. Tests are
all that go test has a verdict for, but for those that only sum up their subtests.

The tests have no network. In place of the images of Docker Hub that upstream's tests mirror,
they find images made of Debian's static busybox: busybox itself, and busybox where a
test asks for alpine, Debian or hellofs. Nothing is left out silently: what fails or is skipped for
that reason is listed by name.

`

// page is what the report says of itself.
type page struct {
	command, lastRun, release, workers string
	// tests is the pattern that the tests were chosen by; empty means all.
	tests string
	// left are the packages whose tests have not been run yet.
	left []string
}

// report is the comparisons as a page.
func report(p page, suites []string, all []comparison) string {
	var b strings.Builder
	fmt.Fprintf(&b, reportHead, "`"+p.command+"`", p.lastRun, p.release, p.workers, maxAlone)
	if p.tests != "" {
		fmt.Fprintf(&b, "**Only the tests whose name matches `%s` were run.**\n\n", p.tests)
	}
	if len(p.left) > 0 {
		fmt.Fprintf(&b, "**Not run yet: %s.**\n\n", strings.Join(p.left, ", "))
	}
	totals(&b, suites, all)
	differences(&b, all)
	rerun(&b, all)
	failures(&b, all)
	skips(&b, all)
	return b.String()
}

// totals are the numbers of verdicts by suite.
func totals(b *strings.Builder, suites []string, all []comparison) {
	harness.TableHead(b, "package", "tests", "stock: pass", "fail", "skip", "guarded: pass", "fail", "skip", "same verdict")
	line := func(name string, some []comparison) {
		columns := []string{name, fmt.Sprint(len(some))}
		for _, of := range []func(comparison) verdict{comparison.ofStock, comparison.ofGuarded} {
			n := map[verdict]int{}
			for _, c := range some {
				n[of(c)]++
			}
			columns = append(columns, fmt.Sprint(n[pass]), fmt.Sprint(n[fail]+n[missing]), fmt.Sprint(n[skip]))
		}
		same := 0
		for _, c := range some {
			if !c.differs() {
				same++
			}
		}
		harness.TableRow(b, append(columns, fmt.Sprint(same))...)
	}
	for _, s := range suites {
		line(s, only(all, func(c comparison) bool { return c.suite == s }))
	}
	line("all", all)
}

func differences(b *strings.Builder, all []comparison) {
	b.WriteString("\n## Verdicts that differ\n\n")
	differing := only(all, comparison.differs)
	if len(differing) == 0 {
		b.WriteString("None.\n")
		return
	}
	harness.TableHead(b, "package", "test", "stock", "guarded", "what it says")
	for _, c := range differing {
		output := c.guarded.output
		if !c.worse() {
			output = c.stock.output
		}
		harness.TableRow(b, c.suite, c.test, string(c.stock.verdict), string(c.guarded.verdict), code(shortened(complaintOf(output))))
	}
}

// rerun are the tests that agreed when they were run alone.
func rerun(b *strings.Builder, all []comparison) {
	agreed := only(all, func(c comparison) bool { return c.alone > 0 && !c.differs() })
	if len(agreed) == 0 {
		return
	}
	b.WriteString("\n## The same verdict when run alone\n\n")
	for _, c := range agreed {
		fmt.Fprintf(b, "- %s %s: %s, in run %d\n", c.suite, c.test, c.stock.verdict, c.alone)
	}
}

// failures are the tests that fail with both daemons, by the reason that they give.
func failures(b *strings.Builder, all []comparison) {
	failing := only(all, func(c comparison) bool { return !c.differs() && c.stock.verdict != pass && c.stock.verdict != skip })
	fmt.Fprintf(b, "\n## Fail with both (%d)\n", len(failing))
	by := map[string][]comparison{}
	for _, c := range failing {
		title := reasonOf(c.stock.output)
		by[title] = append(by[title], c)
	}
	var titles []string
	for _, r := range reasons {
		titles = append(titles, r.title)
	}
	for _, title := range append(titles, unexplained) {
		if len(by[title]) == 0 {
			continue
		}
		fmt.Fprintf(b, "\n### %s (%d)\n\n", title, len(by[title]))
		harness.TableHead(b, "package", "test", "stock says", "guarded says")
		for _, c := range by[title] {
			onStock, onGuarded := complaintOf(c.stock.output), complaintOf(c.guarded.output)
			says := "the same"
			if onGuarded != onStock {
				says = code(shortened(onGuarded))
			}
			harness.TableRow(b, c.suite, c.test, code(shortened(onStock)), says)
		}
	}
}

// skips are the tests that are skipped with both daemons, by what they say.
func skips(b *strings.Builder, all []comparison) {
	skipped := only(all, func(c comparison) bool { return !c.differs() && c.stock.verdict == skip })
	fmt.Fprintf(b, "\n## Skipped with both (%d)\n", len(skipped))
	by := map[string][]string{}
	for _, c := range skipped {
		why := skipReasonOf(c.stock.output)
		by[why] = append(by[why], c.suite+" "+c.test)
	}
	for _, why := range slices.Sorted(maps.Keys(by)) {
		fmt.Fprintf(b, "\n%s:\n\n", code(why))
		for _, name := range by[why] {
			fmt.Fprintf(b, "- %s\n", name)
		}
	}
}

func (c comparison) ofStock() verdict   { return c.stock.verdict }
func (c comparison) ofGuarded() verdict { return c.guarded.verdict }

func only(all []comparison, keep func(comparison) bool) []comparison {
	var some []comparison
	for _, c := range all {
		if keep(c) {
			some = append(some, c)
		}
	}
	return some
}

// code is text as it stands, in a row of a table; none stays none.
func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + strings.NewReplacer("`", "'", "|", `\|`).Replace(text) + "`"
}

package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/bkguard/bkguard/guard"
	"github.com/bkguard/bkguard/test/harness"
)

const reportHead = `# Releases of buildkit and of the Docker Engine

` + "`make compat`" + ` has written this page. %s,
which is built with buildkit %s, %s, linux/%s.

For each release a copy of the source requires that release, with the
dependencies that upstream has built it with. [upgrading.md](upgrading.md) says
how to move to another one.

- *modules*: the requirements can be met.
- *guard*: the packages of the library compile, in continuous integration also with the oldest
  promised release.
- *tests*: their tests pass, among them those beside upstream's own code.
- *weave*: upstream's main.go has the three calls that the guard takes part in.
- *daemon*: buildkitd builds, and says its version.
- *exports*: it exports 61 layers in two compressions in 512 MiB, and an image of 12
  with its cache inline; a fresh daemon has all steps of both cached. ` + "`bkguard scan`" + ` finds the layers
  in two compressions below its root.
- *scan*: the same of upstream's own daemon of the release, which the guard need not work with.

`

const engineHead = `
## Docker Engine

bin/dockerd is built with %s of github.com/moby/moby/v2. Each release of the engine is
tried with the buildkit that it is made for, as the older image store of the engine, graph
drivers, builds nothing with another one: buildkit v0.34 gives snapshots other names. *Tests*
are those of its seam, *exports* what [docker.md](docker.md) says.

`

// report is the results as a page.
func report(c checkout, trials []trial) string {
	var page strings.Builder
	fmt.Fprintf(&page, reportHead, harness.LastRun("bkguard-"+guard.Version+"-"+c.commit), c.buildkit, runtime.Version(), runtime.GOARCH)
	var ofBuildkit, ofEngine []trial
	for _, t := range trials {
		if isEngine(t.version) {
			ofEngine = append(ofEngine, t)
		} else {
			ofBuildkit = append(ofBuildkit, t)
		}
	}
	rows(&page, ofBuildkit)
	if len(ofEngine) > 0 {
		fmt.Fprintf(&page, engineHead, c.engine)
		rows(&page, ofEngine)
	}
	return page.String()
}

// rows are trials as a table.
func rows(page *strings.Builder, trials []trial) {
	columns := []string{"release", "promised"}
	for _, s := range steps {
		columns = append(columns, s.name)
	}
	harness.TableHead(page, append(columns, "what broke")...)
	for _, t := range trials {
		harness.TableRow(page, t.columns()...)
	}
}

// columns are a trial in a row of the page. A step that could not be tried is
// left empty.
func (t trial) columns() []string {
	promised := "no"
	if t.promised {
		promised = "yes"
	}
	columns := []string{t.version, promised}
	var broke []string
	for _, s := range t.steps() {
		err := t.failed[s.name]
		switch {
		case slices.Contains(t.passed, s.name):
			columns = append(columns, "ok")
		case err != nil:
			columns = append(columns, "broken")
			broke = append(broke, fmt.Sprintf("%s: `%v`", s.name, err))
		default:
			columns = append(columns, "")
		}
	}
	return append(columns, strings.ReplaceAll(strings.Join(broke, "; "), "|", `\|`))
}

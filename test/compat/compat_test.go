package main

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/semver"
)

func TestArguments(t *testing.T) {
	var stdout, stderr bytes.Buffer
	require.ErrorIs(t, run(t.Context(), []string{"-h"}, &stdout, &stderr), flag.ErrHelp)
	assert.Equal(t, usage, stdout.String())
	require.EqualError(t, run(t.Context(), []string{"-output"}, &stdout, &stderr), "flag provided but not defined: -output (-h shows the flags)")
	assert.ErrorContains(t, run(t.Context(), []string{"0.33.1"}, &stdout, &stderr), `"0.33.1" is not a release, such as "v`)
	assert.Empty(t, stderr.String(), "nothing was tried")
}

// TestListIsInOrder holds that the list has one patch of each minor release,
// newest first, and the required one.
func TestListIsInOrder(t *testing.T) {
	var minors []string
	for i, r := range releases {
		minors = append(minors, semver.MajorMinor(r.version))
		if i > 0 {
			assert.Positive(t, semver.Compare(minors[i-1], minors[i]), r.version)
		}
	}
	root, err := findCheckout(t.Context())
	require.NoError(t, err)
	assert.Equal(t, releases, withPinned(releases, root.buildkit))
	assert.Equal(t, engines, withPinned(engines, root.engine))
}

func TestReleasesAreChosen(t *testing.T) {
	all, err := choose(checkout{buildkit: "v99.0.0", engine: "v2.99.0"}, nil)
	require.NoError(t, err)
	assert.Equal(t, slices.Concat([]release{{"v99.0.0", true}}, releases, []release{{"v2.99.0", true}}, engines), all, "the required one is tried, listed or not")
	some, err := choose(checkout{buildkit: "v99.0.0", engine: "v2.99.0"}, []string{"v99.1.0", releases[0].version})
	require.NoError(t, err)
	assert.Equal(t, []release{{"v99.1.0", false}, releases[0]}, some)
}

func TestRetargetLeavesVersionsToUpstream(t *testing.T) {
	ours := `module github.com/bkguard/bkguard/daemon

go 1.26.8

tool github.com/moby/buildkit/cmd/buildkitd

require (
	example.com/both v1.9.0
	example.com/ours v1.0.0
	github.com/moby/buildkit v0.34.2
)

require example.com/indirect v1.0.0 // indirect

replace github.com/bkguard/bkguard => ../
`
	upstream := `module github.com/moby/buildkit

require example.com/both v1.2.0

ignore ./a-directive-of-later
`
	got, err := retarget([]byte(ours), buildkit, "v0.33.1", []byte(upstream))
	require.NoError(t, err)
	assert.Equal(t, `module github.com/bkguard/bkguard/daemon

go 1.26.8

tool github.com/moby/buildkit/cmd/buildkitd

require (
	example.com/ours v1.0.0
	github.com/moby/buildkit v0.33.1
)

replace github.com/bkguard/bkguard => ../
`, string(got))
}

// TestOldestPromisedReleaseCompiles holds that neither the library nor its tests use what the
// oldest promised release does not have. The command, which tries more, is not run with each change.
func TestOldestPromisedReleaseCompiles(t *testing.T) {
	root, err := findCheckout(t.Context())
	require.NoError(t, err)
	var oldest string
	for _, r := range releases {
		if r.promised {
			oldest = r.version
		}
	}
	require.NoError(t, root.withWorkspace(t.Context(), oldest, func(w workspace) error {
		if err := w.require(t.Context()); err != nil {
			return err
		}
		_, err := command(t.Context(), w.dir, "go", append([]string{"vet"}, library...)...)
		return err
	}))
}

func TestFailureIsOneLine(t *testing.T) {
	ended := errors.New("exit status 1")
	for want, output := range map[string]string{
		"guard/guard.go:100:16: opt.MeterProvider undefined": "# github.com/bkguard/bkguard/guard\nguard/guard.go:100:16: opt.MeterProvider undefined\nguard/x.go:1:1: too",
		"--- FAIL: TestA": "ok\n--- FAIL: TestA (0.02s)\n    a_test.go:96: not equal\nFAIL",
		"weave: main.go: wc.Add() is called 0 times": "cd daemon\nweave: main.go: wc.Add() is called 0 times\nexit status 1\nmake: *** Error 1",
		"go: no matching versions":                   "go: no matching versions",
		"killed":                                     "one\nkilled",
		"exit status 1":                              "",
	} {
		f := &failure{err: ended, output: output}
		assert.EqualError(t, f, want)
		assert.ErrorIs(t, f, ended)
	}
	f := &failure{output: "a\ntime=\"2026\" level=warning msg=b\nc"}
	assert.Equal(t, "a\nc", f.withoutLog())
}

func TestReport(t *testing.T) {
	good := trial{release: release{"v0.2.0", true}, passed: []string{"modules", "guard", "tests", "weave", "daemon", "exports", "scan"}}
	bad := trial{
		release: release{"v0.1.0", false},
		passed:  []string{"modules"},
		failed:  map[string]error{"guard": errors.New("a|b"), "weave": errors.New("c"), "scan": errors.New("d")},
	}
	page := report(checkout{buildkit: "v0.2.0"}, []trial{good, bad})
	assert.Contains(t, page, `
| release | promised | modules | guard | tests | weave | daemon | exports | scan | what broke |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
| v0.2.0 | yes | ok | ok | ok | ok | ok | ok | ok |  |
`+"| v0.1.0 | no | ok | broken |  | broken |  |  | broken | guard: `a\\|b`; weave: `c`; scan: `d` |\n")

	assert.NotContains(t, page, "## Docker Engine")

	engine := trial{release: release{"v2.0.0", true}, passed: good.passed}
	page = report(checkout{buildkit: "v0.2.0", engine: "v2.0.0"}, []trial{good, engine})
	_, page, _ = strings.Cut(page, "## Docker Engine")
	assert.Contains(t, page, "| v2.0.0 | yes | ok | ok | ok | ok | ok | ok | ok |  |\n")
	assert.NotContains(t, page, "v0.2.0")

	require.NoError(t, broken([]trial{good, engine, bad}))
	bad.promised = true
	assert.EqualError(t, broken([]trial{good, bad}), "promised to work, and broken: v0.1.0")
}

// TestCopyIsTheSource holds that a copy has what git has and what is new, and
// not what is ignored or deleted.
func TestCopyIsTheSource(t *testing.T) {
	c := checkout{dir: t.TempDir()}
	for name, text := range map[string]string{".gitignore": "/bin/\n", "a/kept": "1", "gone": "2", "bin/made": "3"} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(c.dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o600))
	}
	for _, args := range [][]string{{"init"}, {"add", "."}} {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = c.dir
		require.NoError(t, cmd.Run())
	}
	require.NoError(t, os.Remove(filepath.Join(c.dir, "gone")))
	require.NoError(t, os.WriteFile(filepath.Join(c.dir, "new"), nil, 0o600))

	dir := t.TempDir()
	require.NoError(t, c.copyTo(t.Context(), dir))
	found, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	for i, path := range found {
		found[i] = filepath.Base(path)
	}
	slices.Sort(found)
	assert.Equal(t, []string{".gitignore", "a", "new"}, found)
	text, err := os.ReadFile(filepath.Join(dir, "a", "kept"))
	require.NoError(t, err)
	assert.Equal(t, "1", string(text))
}

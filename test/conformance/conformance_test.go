package main

import (
	"archive/tar"
	"bytes"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestArguments(t *testing.T) {
	var stdout, stderr bytes.Buffer
	require.ErrorIs(t, run(t.Context(), []string{"-h"}, &stdout, &stderr), flag.ErrHelp)
	assert.Contains(t, stdout.String(), "frontend/dockerfile", "the help names the packages")
	for want, args := range map[string][]string{
		"flag provided but not defined: -output (-h shows the flags)":       {"-output"},
		`-run "(" is no pattern: `:                                          {"-run", "("},
		`-run "A/b" has a slash: `:                                          {"-run", "A/b"},
		"-parallel 0 is too few (allowed: 1 and more)":                      {"-parallel", "0"},
		`-workers "rootless" is no worker (allowed: oci, containerd)`:       {"-workers", "oci,rootless"},
		`"solver/pb" has no tests that run against a daemon (allowed: cach`: {"client", "solver/pb"},
	} {
		assert.ErrorContains(t, run(t.Context(), args, &stdout, &stderr), want)
	}
	assert.Empty(t, stderr.String(), "nothing was run")
}

func TestCommandWritesTheSamePage(t *testing.T) {
	for want, args := range map[string][]string{
		"make conformance": {"-write", "page"},
		"go run ./test/conformance -run 'A|B' -workers oci client": {"-workers", "oci", "-run", "A|B", "client"},
	} {
		o, err := parse(args, nil)
		require.NoError(t, err)
		assert.Equal(t, want, o.command())
	}
}

// TestPatternTakesTheWholeRun holds that alternatives of -run stay in the part of the
// pattern that is matched with the name of the test.
func TestPatternTakesTheWholeRun(t *testing.T) {
	o, err := parse([]string{"-run", "TestA|TestB", "-workers", "oci"}, nil)
	require.NoError(t, err)
	assert.Equal(t, "Integration$/(?:TestA|TestB)/^worker=(oci)$", o.pattern("client"))
}

func TestManyTestsHaveOneWorker(t *testing.T) {
	o, err := parse(nil, nil)
	require.NoError(t, err)
	assert.Equal(t, "Integration$/(?:)/^worker=(oci|containerd)$", o.pattern("client"))
	assert.Equal(t, "Integration$/(?:)/^worker=(oci)$", o.pattern("frontend/dockerfile"))
}

func TestExactlyOneTest(t *testing.T) {
	pattern := exactly("TestIntegration/TestA/worker=oci/what.ever")
	parts := strings.Split(pattern, "/")
	require.Len(t, parts, 4)
	last := regexp.MustCompile(parts[3])
	assert.True(t, last.MatchString("what.ever"))
	assert.False(t, last.MatchString("what-ever"))
	assert.False(t, last.MatchString("what.ever2"))
}

const (
	skipped1  = "TestIntegration/TestMergeOpCacheMax/worker=oci"
	skipped2  = "TestIntegration/TestProxyNetworkModesNoRootless/worker=oci/netmode=host"
	passed    = "TestIntegration/TestCallInfo/worker=oci"
	network   = "TestIntegration/TestImageResolveAttestationChainRequiresNetwork/worker=oci"
	foreigner = "TestIntegration/TestBuildExportWithForeignLayer/worker=oci"
)

// recorded reads what some of upstream's tests have written.
func recorded(t *testing.T) outcomes {
	t.Helper()
	f, err := os.Open("testdata/events.json")
	require.NoError(t, err)
	defer f.Close()
	seen := map[string]verdict{}
	found, err := readEvents(f, func(test string, v verdict) { seen[test] = v })
	require.NoError(t, err)
	for test, out := range found {
		assert.Equal(t, out.verdict, seen[test], "%s was announced", test)
	}
	return found
}

func TestEventsAreRead(t *testing.T) {
	found := recorded(t)
	verdicts := map[string]verdict{}
	for test, out := range found {
		verdicts[test] = out.verdict
	}
	assert.Equal(t, map[string]verdict{
		skipped1:                   skip,
		skipped2:                   skip,
		passed:                     pass,
		network:                    fail,
		foreigner:                  fail,
		foreigner + "/propagate=0": fail,
		foreigner + "/propagate=1": fail,
	}, verdicts, "what runs without a daemon is left out")
	assert.Empty(t, found[passed].output)
	assert.Equal(t, "test requires containerd worker", skipReasonOf(found[skipped1].output))
	assert.Equal(t, "without a word", skipReasonOf(found[skipped2].output))
}

func TestEventsOfAnEarlyEnd(t *testing.T) {
	const begun = `{"Action":"run","Test":"TestIntegration/TestA/worker=oci"}` + "\n"
	found, err := readEvents(strings.NewReader(begun), nil)
	require.NoError(t, err)
	assert.Equal(t, outcomes{"TestIntegration/TestA/worker=oci": {verdict: missing}}, found)
	_, err = readEvents(strings.NewReader(begun+"panic: x\n"), nil)
	assert.ErrorContains(t, err, `read the events of the tests: "panic: x\n"`)
}

func TestReasons(t *testing.T) {
	found := recorded(t)
	assert.Equal(t, "Needs a network", reasonOf(found[network].output))
	assert.True(t, strings.HasPrefix(complaintOf(found[network].output), `failed to do request: Head "https://registry-1-stage.docker.io/`), complaintOf(found[network].output))
	assert.Equal(t, unexplained, reasonOf(found[foreigner+"/propagate=0"].output))
	assert.Equal(t, `Not equal: expected: "application/vnd.docker.image.rootfs.diff.tar" actual : "application/vnd.docker.image.rootfs.diff.tar.gzip"`,
		complaintOf(found[foreigner+"/propagate=0"].output), "without the difference and the stack")
	for output, want := range map[string]string{
		`process "apk add --no-cache curl" did not complete`:                             "Needs a network",
		`exec: "dnsmasq": executable file not found in $PATH`:                            "Needs a program that is not there",
		"=== RUN   T/worker=oci/netmode=bridge\nprocess exited while waiting for socket": "Needs CNI plugins",
		"Not equal: \n\texpected: 0x3fffffffff\n\tactual  : 0x3ffeffffff":                "Needs a capability that root does not have here",
		"compatibility_test.go:189: compatibility regression mismatch":                   "Needs upstream's own images",
		"process exited while waiting for socket":                                        unexplained,
		"not equal\n    sandbox.go:202: stderr: lookup docker.io: no such host":          unexplained,
	} {
		assert.Equal(t, want, reasonOf(output), output)
	}
}

// TestComplaintsAreTheSameAnywhere holds that the page has no name, path or port of the
// machine.
func TestComplaintsAreTheSameAnywhere(t *testing.T) {
	const output = "Error:  Received unexpected error:\n  dial tcp: lookup docker.io on 192.0.2.1:53: no such host, push localhost:45889/a and waiting for socket /tmp/bkguard-1-2/bktest_buildkitd3/buildkitd.sock\n  github.com/a/b.C\nTest:  x"
	assert.Equal(t, "dial tcp: lookup docker.io: no such host, push localhost/a and waiting for socket buildkitd.sock", complaintOf(output))
}

// TestComplaintWithoutTestify holds that all of what a test has printed is compared, such
// as the digests of what was exported.
func TestComplaintWithoutTestify(t *testing.T) {
	const output = "=== RUN   T/worker=oci\n    compatibility_test.go:189: compatibility regression mismatch\n        actual:\n          manifest=sha256:1\n--- FAIL: T/worker=oci (0.51s)\n"
	assert.Equal(t, "compatibility regression mismatch actual: manifest=sha256:1", complaintOf(output))
	other := outcome{fail, strings.ReplaceAll(output, "sha256:1", "sha256:2")}
	for want, c := range map[string]comparison{
		"` | the same |\n": {"client", "T/worker=oci", outcome{fail, output}, outcome{fail, output}, 0},
		"manifest=sha256:1` | `compatibility regression mismatch actual: manifest=sha256:2` |\n": {"client", "T/worker=oci", outcome{fail, output}, other, 0},
	} {
		assert.Contains(t, report(page{}, nil, []comparison{c}), want)
	}
}

func TestVerdictsAreCompared(t *testing.T) {
	stock := recorded(t)
	guarded := recorded(t)
	guarded[passed] = outcome{fail, "Error:  broken\nTest: x"}             // worse
	guarded[skipped1] = outcome{verdict: pass}                             // better
	guarded[foreigner+"/propagate=0"] = outcome{verdict: pass}             // better, the other subtest fails as before
	delete(guarded, network)                                               // has not run: worse
	guarded["TestIntegration/TestNew/worker=oci"] = outcome{verdict: pass} // not in stock: better
	all := compare("client", stock, guarded)

	var names, differing []string
	for _, c := range all {
		names = append(names, c.test)
		if c.differs() {
			differing = append(differing, c.test)
		}
	}
	assert.IsIncreasing(t, names)
	assert.NotContains(t, names, foreigner, "sums up its subtests with both daemons")
	assert.ElementsMatch(t, []string{passed, skipped1, foreigner + "/propagate=0", network, "TestIntegration/TestNew/worker=oci"}, differing)
	assert.EqualError(t, worse(all), "2 tests are worse with the guard: client "+passed+", client "+network)
	assert.NoError(t, worse(compare("client", stock, stock)))
}

// TestSummaryThatFailsItself holds that a test is not taken for a summary if no subtest
// has its verdict.
func TestSummaryThatFailsItself(t *testing.T) {
	const parent = "TestIntegration/TestA/worker=oci"
	stock := outcomes{parent: {verdict: pass}, parent + "/a": {verdict: pass}}
	guarded := outcomes{parent: {verdict: fail}, parent + "/a": {verdict: pass}}
	all := compare("client", stock, guarded)
	require.Len(t, all, 2)
	assert.ErrorContains(t, worse(all), parent)
	assert.Len(t, compare("client", stock, stock), 1)
}

func TestReport(t *testing.T) {
	stock, guarded := recorded(t), recorded(t)
	guarded[passed] = outcome{fail, "Error:  a|b\nTest: x"}
	all := compare("client", stock, guarded)
	flaky := comparison{"solver", "TestJobs/worker=oci", outcome{verdict: pass}, outcome{verdict: pass}, 2}
	text := report(page{command: "make conformance", release: "v0.34.2"}, []string{"solver", "client"}, append(all, flaky))
	for _, want := range []string{
		"| solver | 1 | 1 | 0 | 0 | 1 | 0 | 0 | 1 |\n| client | 6 | 1 | 3 | 2 | 0 | 4 | 2 | 5 |\n| all | 7 | 2 | 3 | 2 | 1 | 4 | 2 | 6 |\n",
		"| client | " + passed + " | pass | fail | `a\\|b` |\n",
		"## The same verdict when run alone\n\n- solver TestJobs/worker=oci: pass, in run 2\n",
		"## Fail with both (3)\n\n### Needs a network (1)\n",
		"### For another reason (2)\n",
		"## Skipped with both (2)\n\n`test requires containerd worker`:\n\n- client " + skipped1 + "\n",
		"`without a word`:\n\n- client " + skipped2 + "\n",
	} {
		assert.Contains(t, text, want)
	}
	assert.NotContains(t, text, "**")
	unfinished := report(page{tests: "Cache", left: []string{"client", "solver"}}, nil, nil)
	assert.Contains(t, unfinished, "**Only the tests whose name matches `Cache` were run.**\n")
	assert.Contains(t, unfinished, "**Not run yet: client, solver.**\n")
	assert.Contains(t, unfinished, "## Verdicts that differ\n\nNone.\n")
}

// TestProgramsOfImagesCanBeRun holds that each name of busybox is a link with the mode of
// a program: the mode of a hard link becomes that of the file.
func TestProgramsOfImagesCanBeRun(t *testing.T) {
	made, err := layer(append(busyboxFiles([]byte("program"), []string{"sh", "ls"}), alpineFiles()...), types.DockerLayer)
	require.NoError(t, err)
	content, err := made.Uncompressed()
	require.NoError(t, err)
	defer content.Close()
	programs := map[string]byte{}
	for r := tar.NewReader(content); ; {
		h, err := r.Next()
		if err != nil {
			break
		}
		if strings.HasPrefix(h.Name, "bin/") && h.Typeflag != tar.TypeDir {
			programs[h.Name] = h.Typeflag
			assert.Equal(t, int64(0o755), h.Mode, h.Name)
		}
	}
	assert.Equal(t, map[string]byte{"bin/busybox": tar.TypeReg, "bin/sh": tar.TypeLink, "bin/ls": tar.TypeLink}, programs)
}

func TestOnlyStaticProgramsGoIntoImages(t *testing.T) {
	assert.Error(t, isStatic([]byte("#!/bin/sh\n")))
	dynamic, err := os.ReadFile("/bin/sh")
	require.NoError(t, err)
	assert.ErrorContains(t, isStatic(dynamic), "is not static")
}

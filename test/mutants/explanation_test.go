package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	boundary = mutant{file: "guard/a.go", line: "if a < b {", of: "a < b", kind: whenEqual, number: 7}
	dropped  = mutant{file: "guard/a.go", line: "return err", of: "err", kind: noError, number: 9}
	reached  = mutant{file: "cost/b.go", line: "x = a || b", of: "a", kind: asFalse, number: 2}
)

func TestExplanations(t *testing.T) {
	same := explanation{"guard/a.go", "if a < b {", "a < b also when equal", "both return the same"}
	for name, tc := range map[string]struct {
		all          []tried
		packages     []string
		explanations []explanation
		why          map[int]string
		err          string
	}{
		"explained":                              {all: []tried{{dropped, killed}, {boundary, survived}}, explanations: []explanation{same}, why: map[int]string{1: same.why}},
		"not explained":                          {all: []tried{{boundary, survived}, {dropped, survived}}, explanations: []explanation{same}, why: map[int]string{0: same.why}, err: "guard/a.go:9: err without its error: survived, and is not explained"},
		"killed by now":                          {all: []tried{{boundary, killed}}, explanations: []explanation{same}, err: `guard/a.go: "if a < b {": a < b also when equal: explained, and does not survive`},
		"not covered":                            {all: []tried{{boundary, notCovered}}, explanations: []explanation{same}, err: "explained, and does not survive"},
		"gone":                                   {explanations: []explanation{same}, err: "explained, and does not survive"},
		"of a package that was not tried":        {packages: []string{"cost"}, explanations: []explanation{same}},
		"of another line":                        {all: []tried{{mutant{file: same.file, line: "if a < b && c {", of: "a < b", kind: whenEqual}, survived}}, packages: []string{"cost"}, explanations: []explanation{same}, err: "survived, and is not explained"},
		"of another kind":                        {all: []tried{{mutant{file: same.file, line: same.line, of: "a < b", kind: negated}, survived}}, packages: []string{"cost"}, explanations: []explanation{same}, err: "survived, and is not explained"},
		"twice in lines of the same text":        {all: []tried{{boundary, survived}, {boundary, survived}}, explanations: []explanation{same}, why: map[int]string{0: same.why, 1: same.why}},
		"nothing survives, nothing is explained": {all: []tried{{boundary, killed}, {dropped, timedOut}, {reached, notCovered}}},
	} {
		t.Run(name, func(t *testing.T) {
			packages := tc.packages
			if packages == nil {
				packages = []string{"guard"}
			}
			why, err := explain(tc.all, packages, tc.explanations)
			if tc.err == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tc.err)
				assert.NotContains(t, err.Error(), "\n", "one is wrong")
			}
			if tc.why == nil {
				tc.why = map[int]string{}
			}
			assert.Equal(t, tc.why, why)
		})
	}
}

// TestExplanationsAreWellFormed holds that a person has explained each one, once.
func TestExplanationsAreWellFormed(t *testing.T) {
	seen := map[explanation]bool{}
	for _, e := range explanations {
		assert.NotEmpty(t, e.why, "%v", e)
		assert.FileExists(t, "../../"+e.file)
		key := explanation{file: e.file, line: e.line, change: e.change}
		assert.False(t, seen[key], "twice: %v", key)
		seen[key] = true
	}
}

func TestPage(t *testing.T) {
	all := []tried{{boundary, survived}, {dropped, killed}, {dropped, timedOut}, {reached, notCovered}}
	got := page{command: "make mutants", lastRun: "Last run on 2026-01-02 with bkguard-1.2.3-0123", goVersion: "go1", untested: []string{"internal/x"}}.write(
		[]string{"guard", "cost"}, all, map[int]string{0: "both return the same"})
	for _, want := range []string{
		"`make mutants` has written this page. Last run on 2026-01-02 with bkguard-1.2.3-0123, go1.",
		"| guard | 3 | 1 | 1 | 1 | 0 |\n| cost | 1 | 0 | 0 | 0 | 1 |\n| all | 4 | 1 | 1 | 1 | 1 |\n\nWithout tests of their own: internal/x.\n",
		"## Survived\n\n### guard/a.go\n\n| line | change | why no test fails |\n| --- | --- | --- |\n| `if a < b {` | `a < b` also when equal | both return the same |\n",
		"## Not covered\n\n### cost/b.go\n\n| line | change |\n| --- | --- |\n| `x = a \\|\\| b` | `a` taken as false |\n",
	} {
		assert.Contains(t, got, want)
	}
}

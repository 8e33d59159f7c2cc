package main

import (
	"bytes"
	"flag"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestArguments(t *testing.T) {
	var stdout, stderr bytes.Buffer
	require.ErrorIs(t, run(t.Context(), []string{"-h"}, &stdout, &stderr), flag.ErrHelp)
	assert.Contains(t, stdout.String(), "-write FILE", "the help names the flags")
	for want, args := range map[string][]string{
		"flag provided but not defined: -output (-h shows the flags)":   {"-output"},
		"-parallel 0 is too few (allowed: 1 and more)":                  {"-parallel", "0", "./guard"},
		"-patience 0s is too short (allowed: more than 0, such as 30s)": {"-patience", "0s", "./guard"},
		"which packages? such as ./guard or ./internal/...":             {"-parallel", "1"},
		"load ./nowhere: ": {"./nowhere"},
	} {
		assert.ErrorContains(t, run(t.Context(), args, &stdout, &stderr), want)
	}
	assert.Empty(t, stderr.String(), "nothing was run")
}

// TestVerdicts tries every mutant of a package whose only test leaves much open.
func TestVerdicts(t *testing.T) {
	found, untested, err := subjects(t.Context(), ".", []string{"./testdata/counter", "./testdata/untested"})
	require.NoError(t, err)
	assert.Equal(t, []string{"test/mutants/testdata/untested"}, untested)
	require.Len(t, found, 1)
	all, err := try(t.Context(), found[0], options{parallel: 2, patience: 5 * time.Second}, io.Discard)
	require.NoError(t, err)
	got := map[string]verdict{}
	for _, m := range all {
		assert.Equal(t, "test/mutants/testdata/counter/counter.go", m.file)
		got[m.line+": "+m.change()] = m.verdict
	}
	assert.Equal(t, map[string]verdict{
		"if n < 0 || c.n+n > most {: n < 0 taken as false":         survived,
		"if n < 0 || c.n+n > most {: n < 0 also when equal":        survived,
		"if n < 0 || c.n+n > most {: c.n+n > most taken as false":  killed,
		"if n < 0 || c.n+n > most {: c.n+n > most also when equal": survived,
		"if n < 0 || c.n+n > most {: c.n + n as a difference":      killed,
		"return ErrFull: ErrFull without its error":                killed,
		"for n > 0 { // one by one: n > 0 negated":                 killed,
		"for n > 0 { // one by one: n > 0 also when equal":         killed,
		"c.n++: c.n++ left out":                                    killed,
		"n--: n-- left out":                                        timedOut,
		"c.told = true: c.told = true left out":                    survived,
		"case (c.n == 0):: c.n == 0 negated":                       killed,
		"return true: true negated":                                killed,
		"return false: false negated":                              killed,
		"func (c *Counter) Reset() { c.n = 0 }: c.n = 0 left out":  notCovered,
	}, got)
}

// TestOnlyTestsKill has code that cannot be compiled, and a test that fails without a mutant.
func TestOnlyTestsKill(t *testing.T) {
	found, _, err := subjects(t.Context(), ".", []string{"./testdata/counter"})
	require.NoError(t, err)
	for name, text := range found[0].files {
		found[0].files[name] = bytes.ReplaceAll(text, []byte("10 * 10"), []byte("1"))
	}
	_, err = try(t.Context(), found[0], options{parallel: 2, patience: 5 * time.Second}, io.Discard)
	require.ErrorContains(t, err, "testdata/counter: run TestAdd without a mutant: the test fails: ")
	for name := range found[0].files {
		found[0].files[name] = []byte("package counter\n")
	}
	_, err = try(t.Context(), found[0], options{parallel: 2, patience: 5 * time.Second}, io.Discard)
	require.ErrorContains(t, err, "compile test/mutants/testdata/counter: ")
}

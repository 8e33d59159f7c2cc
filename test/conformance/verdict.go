package main

import "path"

// verdict is what go test says of a test.
type verdict string

const (
	pass verdict = "pass"
	fail verdict = "fail"
	skip verdict = "skip"
	// missing is a test that has not come to its end, or has not begun.
	missing verdict = "missing"
)

// rank is higher for the better of two verdicts.
var rank = map[verdict]int{pass: 3, skip: 2, fail: 1, missing: 0}

// outcome is a verdict, and what the test has written on its way there.
type outcome struct {
	verdict verdict
	// output is empty for a test that has passed.
	output string
}

// outcomes are those of a run by the name of the test.
type outcomes map[string]outcome

// of returns the outcome of a test, which is missing if the run does not have it.
func (o outcomes) of(test string) outcome {
	if out, ok := o[test]; ok {
		return out
	}
	return outcome{verdict: missing}
}

// summaries are the tests whose verdict is that of a subtest.
func (o outcomes) summaries() map[string]bool {
	found := map[string]bool{}
	for name, out := range o {
		for parent := path.Dir(name); parent != "."; parent = path.Dir(parent) {
			if p, ok := o[parent]; ok && p.verdict == out.verdict {
				found[parent] = true
			}
		}
	}
	return found
}

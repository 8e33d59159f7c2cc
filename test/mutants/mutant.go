package main

import (
	"fmt"
	"path"
)

// kind is a way to change code.
type kind string

const (
	negated   kind = "negated"
	asTrue    kind = "taken as true"
	asFalse   kind = "taken as false"
	whenEqual kind = "also when equal"
	unequal   kind = "not when equal"
	asSum     kind = "as a sum"
	asLess    kind = "as a difference"
	asProduct kind = "as a product"
	noError   kind = "without its error"
	leftOut   kind = "left out"
)

// mutant is one change of the code. Its name has no line number, so that it stays the same
// when other lines move.
type mutant struct {
	// file is relative to the checkout, line is the text that stands where the change begins.
	file, line string
	// of is the expression or the statement that is changed.
	of   string
	kind kind
	// number is that of the line.
	number int
}

// change says what is changed.
func (m mutant) change() string { return fmt.Sprintf("%s %s", m.of, m.kind) }

// dir is the package, relative to the checkout.
func (m mutant) dir() string { return path.Dir(m.file) }

// verdict is what the tests say of a mutant.
type verdict string

const (
	// killed is a mutant with which a test fails.
	killed verdict = "killed"
	// timedOut is a mutant with which a test does not end, twice.
	timedOut verdict = "timed out"
	// survived is a mutant with which all tests pass that run through it.
	survived verdict = "survived"
	// notCovered is a mutant that no test runs through.
	notCovered verdict = "not covered"
)

// verdicts are in the order of the columns of the page.
var verdicts = []verdict{killed, timedOut, survived, notCovered}

// tried is a mutant and what came of it.
type tried struct {
	mutant
	verdict verdict
}

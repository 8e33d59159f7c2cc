package main

import (
	"errors"
	"fmt"
	"path"
	"slices"
)

// explanation is why no test needs to fail with a mutant. A change that stands twice in lines
// of the same text has one explanation.
type explanation struct {
	file, line, change, why string
}

func (e explanation) of(m mutant) bool {
	return e.file == m.file && e.line == m.line && e.change == m.change()
}

// explain returns why each survivor survives, by its place in all. The error names survivors
// without an explanation, and explanations without a survivor in the packages that were tried.
func explain(all []tried, packages []string, explanations []explanation) (why map[int]string, err error) {
	why = map[int]string{}
	used := make([]bool, len(explanations))
	var errs []error
	for i, m := range all {
		if m.verdict != survived {
			continue
		}
		at := slices.IndexFunc(explanations, func(e explanation) bool { return e.of(m.mutant) })
		if at < 0 {
			errs = append(errs, fmt.Errorf("%s:%d: %s: survived, and is not explained", m.file, m.number, m.change()))
			continue
		}
		used[at] = true
		why[i] = explanations[at].why
	}
	for i, e := range explanations {
		if !used[i] && slices.Contains(packages, path.Dir(e.file)) {
			errs = append(errs, fmt.Errorf("%s: %q: %s: explained, and does not survive", e.file, e.line, e.change))
		}
	}
	return why, errors.Join(errs...)
}

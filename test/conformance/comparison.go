package main

import (
	"cmp"
	"maps"
	"slices"
)

// comparison is a test with both daemons.
type comparison struct {
	suite, test    string
	stock, guarded outcome
	// alone is how often the test was run alone, because its verdicts differed at first.
	alone int
}

// compare pairs the outcomes of one suite, in the order of the names. Tests that only sum
// up their subtests, in both, are left out.
func compare(suite string, stock, guarded outcomes) []comparison {
	names := maps.Clone(stock)
	maps.Copy(names, guarded)
	inStock, inGuarded := stock.summaries(), guarded.summaries()
	var all []comparison
	for name := range names {
		if inStock[name] && inGuarded[name] {
			continue
		}
		all = append(all, comparison{suite: suite, test: name, stock: stock.of(name), guarded: guarded.of(name)})
	}
	slices.SortFunc(all, func(a, b comparison) int { return cmp.Compare(a.test, b.test) })
	return all
}

// differs tells whether the daemons have not the same verdict.
func (c comparison) differs() bool { return c.stock.verdict != c.guarded.verdict }

// worse tells whether the verdict of the guarded daemon is the worse one.
func (c comparison) worse() bool { return rank[c.guarded.verdict] < rank[c.stock.verdict] }

package main

import (
	"cmp"
	"slices"
)

// summary is what became of all rounds of one setting.
type summary struct {
	setting
	rounds, killed int
	// done is the number of exports that came to their end in the worst round.
	done int
	// peak and seconds are medians.
	peak    int64
	seconds float64
}

// wasKilled tells whether the daemon was killed in most rounds.
func (s summary) wasKilled() bool { return s.killed*2 > s.rounds }

// summarize puts the rounds together, in the order in which settings first
// appear.
func summarize(all []export) []summary {
	var order []setting
	rounds := map[setting][]export{}
	for _, e := range all {
		if rounds[e.setting] == nil {
			order = append(order, e.setting)
		}
		rounds[e.setting] = append(rounds[e.setting], e)
	}
	var found []summary
	for _, s := range order {
		of := rounds[s]
		one := summary{setting: s, rounds: len(of), done: of[0].Done}
		for _, e := range of {
			one.done = min(one.done, e.Done)
			if e.Killed {
				one.killed++
			}
		}
		one.peak = medianOf(of, func(e export) int64 { return e.Peak })
		one.seconds = medianOf(of, func(e export) float64 { return e.Seconds })
		found = append(found, one)
	}
	return found
}

// column is a daemon with a limit, as a table and a chart compare them.
type column struct {
	daemon string
	limit  int64
}

func (c column) String() string {
	if c.limit == none {
		return c.daemon + ", no limit"
	}
	return c.daemon + ", limit " + size(c.limit)
}

func columnsOf(all []export) []column {
	var columns []column
	for _, e := range all {
		if c := (column{e.Daemon, e.Limit}); !slices.Contains(columns, c) {
			columns = append(columns, c)
		}
	}
	// The guarded one last, and the lower limit first.
	slices.SortFunc(columns, func(a, b column) int {
		return cmp.Or(-cmp.Compare(a.daemon, b.daemon), cmp.Compare(a.limit, b.limit))
	})
	return columns
}

func limits(all []export) []int64 {
	var found []int64
	for _, e := range all {
		if !slices.Contains(found, e.Limit) {
			found = append(found, e.Limit)
		}
	}
	return found
}

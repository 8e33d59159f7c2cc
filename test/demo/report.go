package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// report writes the outcomes as a table and says in words what was seen. The
// error says what has not come out as claimed.
func (s *scenario) report(out io.Writer, outcomes []outcome) error {
	rows := []string{"daemon\tbase image\t" + strings.Join(builds, "\t") + "\tpeak memory\tsteps cached on a fresh daemon"}
	for _, o := range outcomes {
		cells := []string{o.daemon, s.describe(o.layerSize)}
		for n := range builds {
			cells = append(cells, o.build(n))
		}
		cells = append(cells, s.peak(o), o.cache())
		rows = append(rows, strings.Join(cells, "\t"))
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, err := fmt.Fprintf(table, "\n%s\n\n", strings.Join(rows, "\n"))
	if err := errors.Join(err, table.Flush()); err != nil {
		return err
	}
	if err := s.compare(outcomes); err != nil {
		return fmt.Errorf("it has not come out as claimed: %w", err)
	}
	_, err = io.WriteString(out, s.summary(outcomes))
	return err
}

// build says how a daemon fared with one of the builds.
func (o outcome) build(n int) string {
	switch {
	case n < len(o.took):
		return fmt.Sprintf("%.1fs", o.took[n].Seconds())
	case o.reached(n):
		return "killed"
	}
	return "not reached"
}

// cache says what a fresh daemon found in the cache.
func (o outcome) cache() string {
	if !o.reached(cacheExport) {
		return "no cache"
	}
	return fmt.Sprintf("%d of %d", o.cached, steps)
}

// peak is the memory of the daemon's process. What a killed one would have
// needed, nobody knows.
func (s *scenario) peak(o outcome) string {
	if o.exit.OOMKilled() {
		return "over " + size(s.memory)
	}
	return size(o.exit.PeakRSS)
}

// summary says what was seen when all has come out as claimed.
func (s *scenario) summary(outcomes []outcome) string {
	var killed []string
	for _, o := range outcomes {
		if o.daemon == stock {
			killed = append(killed, fmt.Sprintf("in the %s with layers of %s", o.lastBuild(), size(o.layerSize)))
		}
	}
	layers := s.layers + steps
	// The blob of the topmost layer is given by the requested compression.
	return fmt.Sprintf("%d layers, each in gzip and in zstd, have 2^%d combinations. With a limit of %s, stock %s was killed for its memory %s. "+
		"The guarded one finished all builds, and a fresh daemon found all %d steps in its cache.\n",
		layers, layers-1, size(s.memory), s.program(), strings.Join(killed, ", and "), steps)
}

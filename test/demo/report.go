package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	units "github.com/docker/go-units"
)

// report writes the outcomes of the stock and of the guarded daemon as a table
// and a sentence. The error says what has not come out as claimed.
func (s *scenario) report(out io.Writer, outcomes []outcome) error {
	lines := []string{"daemon\tlayers\tcombinations\tcache export\tpeak memory\tsteps cached on a fresh daemon"}
	for _, o := range outcomes {
		layers := s.layers + steps
		// The blob of the topmost layer is given by the requested compression.
		lines = append(lines, fmt.Sprintf("%s\t%d\t2^%d\t%s\t%s\t%d of %d",
			o.daemon, layers, layers-1, o.export(), s.peak(o), o.cached, steps))
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, err := fmt.Fprintf(table, "\n%s\n\n", strings.Join(lines, "\n"))
	if err := errors.Join(err, table.Flush()); err != nil {
		return err
	}
	stock, guarded := outcomes[0], outcomes[1]
	if err := errors.Join(s.checkStock(stock), s.checkGuarded(guarded)); err != nil {
		return fmt.Errorf("it has not come out as claimed: %w", err)
	}
	_, err = fmt.Fprintf(out, "With a limit of %s, stock buildkitd was killed while it exported the cache; the guarded one exported it, and a fresh daemon found all %d steps in it.\n",
		units.BytesSize(float64(s.memory)), steps)
	return err
}

func (o outcome) export() string {
	if o.exit.OOMKilled() {
		return "killed (out of memory)"
	}
	return fmt.Sprintf("done in %.1fs", o.took.Seconds())
}

// peak is the memory of the daemon's process. What a killed one would have
// needed, nobody knows.
func (s *scenario) peak(o outcome) string {
	if o.exit.OOMKilled() {
		return "over " + units.BytesSize(float64(s.memory))
	}
	return units.BytesSize(float64(o.exit.PeakRSS))
}

func (s *scenario) checkStock(o outcome) error {
	if !o.exit.OOMKilled() {
		return fmt.Errorf("the stock daemon has survived; it needs more than %d layers or less than %s to be killed",
			s.layers, units.BytesSize(float64(s.memory)))
	}
	return nil
}

func (s *scenario) checkGuarded(o outcome) error {
	if o.exit.OOMKilled() {
		return errors.New("the guarded daemon was killed for its memory")
	}
	if o.cached != steps {
		return fmt.Errorf("a fresh daemon found %d of %d steps in the cache of the guarded one", o.cached, steps)
	}
	return nil
}

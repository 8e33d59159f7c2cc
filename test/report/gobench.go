package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/perf/benchfmt"

	"github.com/bkguard/bkguard/test/harness"
)

// benchmark is one figure of a go benchmark.
type benchmark struct {
	// Name is without Benchmark in front and the number of processors behind.
	Name string `csv:"benchmark"`
	// Round counts the results of the same name. Unit and Value are as go test
	// prints them.
	Round int     `csv:"round"`
	Unit  string  `csv:"unit"`
	Value float64 `csv:"value"`
}

// measureGuard runs the benchmarks of the guard, without a daemon.
func measureGuard(ctx context.Context, b *bench) (found any, err error) {
	args := []string{"test", "-run", "^$", "-bench", ".", "-benchmem", "-benchtime", "200ms", "-count", strconv.Itoa(rounds), "-timeout", "30m", "./guard"}
	err = b.step("go "+strings.Join(args, " "), func() error {
		out, err := harness.Run(ctx, harness.Command{Path: "go", Args: args, Env: os.Environ()})
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		found, err = parseBench(out)
		return err
	})
	return found, err
}

// parseBench reads the output of go test -bench.
func parseBench(out string) ([]benchmark, error) {
	var found []benchmark
	seen := map[string]int{}
	results := benchfmt.NewReader(strings.NewReader(out), "go test -bench")
	for results.Scan() {
		switch r := results.Result().(type) {
		case *benchfmt.SyntaxError:
			return nil, r
		case *benchfmt.Result:
			name := benchName(r.Name)
			seen[name]++
			for _, v := range r.Values {
				one := benchmark{Name: name, Round: seen[name], Unit: v.Unit, Value: v.Value}
				if v.OrigUnit != "" {
					one.Unit, one.Value = v.OrigUnit, v.OrigValue
				}
				found = append(found, one)
			}
		}
	}
	if err := results.Err(); err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, errors.New("no benchmark was run")
	}
	return found, nil
}

func benchName(n benchfmt.Name) string {
	base, parts := n.Parts()
	name := string(base)
	for _, part := range parts {
		if part[0] == '/' {
			name += string(part)
		}
	}
	return name
}

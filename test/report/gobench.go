package main

import (
	"context"
	"errors"
	"fmt"
	"os"
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

// measureOverhead exports a large cache without variants from stock and guarded
// daemons in turn.
func measureOverhead(ctx context.Context, b *bench) (any, error) {
	return b.goBench(ctx, "-bench", "^BenchmarkExport$", "-benchtime", "9x", "-timeout", "30m", "./test")
}

// measureGuard measures the guard without a daemon, beside upstream.
func measureGuard(ctx context.Context, b *bench) (any, error) {
	return b.goBench(ctx, "-bench", ".", "-benchmem", "-benchtime", "200ms", "-count", fmt.Sprint(rounds), "-timeout", "30m", "./guard")
}

// goBench runs the benchmarks of a package.
func (b *bench) goBench(ctx context.Context, args ...string) (found []benchmark, err error) {
	args = append([]string{"test", "-run", "^$"}, args...)
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

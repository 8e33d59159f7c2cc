package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bkguard/bkguard/test/harness"
)

// try runs the tests of a package with each of its mutants.
func try(ctx context.Context, s subject, o options, progress io.Writer) (all []tried, err error) {
	dir, err := harness.TempDir()
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	b, err := s.build(ctx, dir)
	if err != nil {
		return nil, err
	}
	b.patience = o.patience
	tests, err := b.coverages(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	all = make([]tried, len(s.mutants))
	group, groupContext := errgroup.WithContext(ctx)
	group.SetLimit(o.parallel)
	begin := time.Now()
	for i, m := range s.mutants {
		group.Go(func() (err error) {
			all[i].mutant = m
			all[i].verdict, err = b.with(groupContext, i+1, tests)
			if all[i].verdict == survived {
				fmt.Fprintf(progress, "%s:%d: %s\n", m.file, m.number, m.change())
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	// A second time, with nothing of ours beside it.
	for i := range all {
		if all[i].verdict == timedOut {
			if all[i].verdict, err = b.with(ctx, i+1, tests); err != nil {
				return nil, err
			}
		}
	}
	fmt.Fprintf(progress, "%s: %d mutants in %s\n", s.name, len(all), time.Since(begin).Round(time.Second))
	return all, nil
}

// coverages runs each test alone, without a mutant. Those that end soon come first.
func (b binary) coverages(ctx context.Context) (all []coverage, err error) {
	tests, err := b.tests(ctx)
	if err != nil {
		return nil, err
	}
	for _, test := range tests {
		c, err := b.cover(ctx, test)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b coverage) int { return int(a.took - b.took) })
	return all, nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/bkguard/bkguard/test/harness"
)

// maxAlone is how often a test is run alone, until its verdicts agree.
const maxAlone = 3

// conform compares suite by suite, and writes the page after each.
func conform(ctx context.Context, o options, dir string, stdout, stderr io.Writer) (err error) {
	progress := harness.NewProgress(stderr)
	var b *bench
	if _, err := progress.Step("copying upstream's source and making the images", func() (err error) {
		b, err = newBench(ctx, dir)
		return err
	}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close(ctx)) }()
	about, err := describe(ctx, b, o)
	if err != nil {
		return err
	}
	var all []comparison
	for n, suite := range o.suites {
		compared, err := b.compare(ctx, o, suite, progress, stderr)
		if err != nil {
			return err
		}
		all = append(all, compared...)
		about.left = o.suites[n+1:]
		if o.page != "" {
			if err := os.WriteFile(o.page, []byte(report(about, o.suites[:n+1], all)), 0o644); err != nil {
				return fmt.Errorf("write the results: %w", err)
			}
		}
	}
	if len(all) == 0 {
		return fmt.Errorf("no test matches -run %q", o.tests)
	}
	if _, err := io.WriteString(stdout, report(about, o.suites, all)); err != nil {
		return err
	}
	return worse(all)
}

// compare runs the tests of a suite with both daemons.
func (b *bench) compare(ctx context.Context, o options, suite string, progress *harness.Progress, stderr io.Writer) ([]comparison, error) {
	var program string
	if _, err := progress.Step("compiling the tests of "+suite, func() (err error) {
		program, err = b.source.compile(ctx, suite)
		return err
	}); err != nil {
		return nil, err
	}
	with := map[string]outcomes{}
	for _, daemon := range []string{stock, guarded} {
		p := play{daemon: daemon, suite: suite, program: program, pattern: o.pattern(suite), parallel: o.parallel, done: func(test string, v verdict) {
			fmt.Fprintf(stderr, "  %-8s%s  %s %s\n", daemon, v, suite, test)
		}}
		if o.events != "" {
			name := strings.ReplaceAll(suite, "/", "-") + "-" + daemon + ".json"
			record, err := os.Create(filepath.Join(o.events, name))
			if err != nil {
				return nil, fmt.Errorf("keep the events: %w", err)
			}
			defer record.Close()
			p.record = record
		}
		found, err := b.play(ctx, p)
		if err != nil {
			return nil, err
		}
		with[daemon] = found
	}
	compared := compare(suite, with[stock], with[guarded])
	for i := range compared {
		for compared[i].differs() && compared[i].alone < maxAlone {
			if err := b.again(ctx, program, &compared[i], stderr); err != nil {
				return nil, err
			}
		}
	}
	return compared, nil
}

// again runs one test alone, with both daemons.
func (b *bench) again(ctx context.Context, program string, c *comparison, stderr io.Writer) error {
	c.alone++
	for _, daemon := range []string{stock, guarded} {
		found, err := b.play(ctx, play{
			daemon: daemon, suite: c.suite, program: program, pattern: exactly(c.test), parallel: 1,
			done: func(test string, v verdict) {
				fmt.Fprintf(stderr, "  alone %d, %-8s%s  %s %s\n", c.alone, daemon, v, c.suite, test)
			},
		})
		if err != nil {
			return err
		}
		if daemon == stock {
			c.stock = found.of(c.test)
		} else {
			c.guarded = found.of(c.test)
		}
	}
	return nil
}

// worse returns an error that names the tests that are worse with the guard.
func worse(all []comparison) error {
	var names []string
	for _, c := range only(all, comparison.worse) {
		names = append(names, c.suite+" "+c.test)
	}
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("%d tests are worse with the guard: %s", len(names), strings.Join(names, ", "))
}

// describe says what the page is made with.
func describe(ctx context.Context, b *bench, o options) (page, error) {
	_, revision, err := harness.Version(ctx, filepath.Join(b.path(guarded), "buildkitd"))
	if err != nil {
		return page{}, err
	}
	if revision == "" {
		return page{}, errors.New("the guarded daemon says nothing of the guard in its version")
	}
	return page{
		command: o.command(),
		lastRun: harness.LastRun(revision),
		release: b.source.version,
		tests:   o.tests,
		workers: strings.Join(o.workers, ", "),
	}, nil
}

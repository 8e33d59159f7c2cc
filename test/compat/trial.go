package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// step is a part of a trial.
type step struct {
	name string
	// needs are the steps without which it is not tried.
	needs []string
	run   func(workspace, context.Context) error
}

var steps = []step{
	{"modules", nil, workspace.require},
	{"guard", []string{"modules"}, workspace.compile},
	{"tests", []string{"guard"}, workspace.test},
	{"weave", []string{"modules"}, workspace.weave},
	{"daemon", []string{"guard", "weave"}, workspace.build},
	{"exports", []string{"daemon"}, workspace.export},
	{"scan", []string{"modules"}, workspace.scan},
}

// steps are those of a trial of the release.
func (r release) steps() []step {
	if isEngine(r.version) {
		return engineSteps
	}
	return steps
}

// trial is what became of the steps with a release.
type trial struct {
	release
	// passed are the steps that went well, failed those that did not; the others
	// could not be tried.
	passed []string
	failed map[string]error
}

// works tells whether every step went well.
func (t trial) works() bool { return len(t.passed) == len(t.steps()) }

// try tries a release. That it does not work is no error.
func (c checkout) try(ctx context.Context, r release, progress io.Writer) (trial, error) {
	t := trial{release: r, failed: map[string]error{}}
	err := c.withWorkspace(ctx, r.version, func(w workspace) error {
		for _, s := range r.steps() {
			if slices.ContainsFunc(s.needs, func(name string) bool { return !slices.Contains(t.passed, name) }) {
				continue
			}
			fmt.Fprintf(progress, "  %-8s", s.name)
			began := time.Now()
			err := s.run(w, ctx)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			took := time.Since(began).Round(time.Second)
			if err == nil {
				t.passed = append(t.passed, s.name)
				fmt.Fprintf(progress, "ok, %v\n", took)
				continue
			}
			t.failed[s.name] = err
			fmt.Fprintf(progress, "broken, %v: %v\n", took, err)
			var f *failure
			if errors.As(err, &f) {
				fmt.Fprintf(progress, "    %s\n", strings.ReplaceAll(f.withoutLog(), "\n", "\n    "))
			}
		}
		return nil
	})
	return t, err
}

// broken returns an error that names the promised releases that do not work.
func broken(trials []trial) error {
	var names []string
	for _, t := range trials {
		if t.promised && !t.works() {
			names = append(names, t.version)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("promised to work, and broken: %s", strings.Join(names, ", "))
}

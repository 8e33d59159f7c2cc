package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/bkguard/bkguard/test/harness"
)

// play is a run of tests against a daemon.
type play struct {
	daemon, suite string
	// program are the compiled tests, pattern is what -test.run takes.
	program, pattern string
	// parallel is how many tests run at the same time.
	parallel int
	// done is called for each test when its verdict is known.
	done func(test string, v verdict)
	// record receives the events; nil discards them.
	record io.Writer
}

// play runs the tests in namespaces of processes and mounts of their own, so that
// nothing that they start stays behind. Their files are in memory: each test starts a daemon
// with a root of its own, which would mostly wait for the disk.
func (b *bench) play(ctx context.Context, p play) (_ outcomes, err error) {
	// The path is short, as tests listen on sockets deep in the directory.
	temp, err := harness.TempDir()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()

	run, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	tests, output := io.Pipe()
	events, converted := io.Pipe()
	tested, err := harness.Start(harness.Command{
		Path: "unshare",
		Args: []string{
			"--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
			"sh", "-c", `mount -t tmpfs tmpfs "$TMPDIR" && exec "$@"`, "sh", p.program,
			"-test.v=test2json", "-test.run=" + p.pattern, fmt.Sprintf("-test.parallel=%d", p.parallel), "-test.timeout=3h",
		},
		Dir:    filepath.Join(b.source.dir, p.suite),
		Env:    b.environment(p.daemon, temp),
		Output: output,
	})
	if err != nil {
		return nil, fmt.Errorf("run the tests of %s: %w", p.suite, err)
	}
	ended := make(chan error, 2)
	go func() {
		// The status is looked at below; the events say which tests have failed.
		select {
		case <-tested.Done():
			ended <- nil
		case <-run.Done():
			ended <- errors.Join(context.Cause(run), tested.Kill(ctx))
		}
		output.Close()
	}()
	go func() {
		// The converter ends when its input does.
		convert := exec.Command(b.converter, "-p", p.suite)
		convert.Stdin, convert.Stdout = tests, converted
		err := convert.Run()
		ended <- err
		tests.CloseWithError(err)
		converted.Close()
	}()
	var r io.Reader = events
	if p.record != nil {
		r = io.TeeReader(events, p.record)
	}
	found, err := readEvents(r, p.done)
	if err != nil {
		cancel(err)
		events.CloseWithError(err)
	}
	if err := errors.Join(err, <-ended, <-ended); err != nil {
		return nil, fmt.Errorf("run the tests of %s with the %s daemon: %w", p.suite, p.daemon, err)
	}
	// Status 1 says that tests have failed, any other one that the rest has not run.
	if code := tested.State().ExitCode(); code > 1 || code == 1 && len(found) == 0 || code < 0 {
		return nil, fmt.Errorf("the tests of %s with the %s daemon have not come to their end: %v", p.suite, p.daemon, tested.State())
	}
	return found, nil
}

// exactly is the pattern for one test.
func exactly(test string) string {
	elements := strings.Split(test, "/")
	for i, e := range elements {
		elements[i] = "^" + regexp.QuoteMeta(e) + "$"
	}
	return strings.Join(elements, "/")
}

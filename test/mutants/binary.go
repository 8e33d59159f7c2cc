package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// binary is the compiled tests of a package, with its mutants.
type binary struct {
	path string
	// dir is the package's, scratch is for files of ours.
	dir, scratch string
	flags        []string
	// patience is how long a test may take at least.
	patience time.Duration
}

// sameDraws has rapid draw the same inputs each time, and keep what fails as it was drawn.
var sameDraws = []string{"-rapid.seed=1", "-rapid.shrinktime=1ns", "-rapid.nofailfile"}

// tests are the names of what go test runs without -bench.
func (b binary) tests(ctx context.Context) ([]string, error) {
	out, err := exec.CommandContext(ctx, b.path, "-test.list", "^(Test|Fuzz|Example)").Output()
	if err != nil {
		return nil, fmt.Errorf("list the tests: %w", err)
	}
	return strings.Fields(string(out)), nil
}

// errFailed is a test that fails, errEndless one that does not end in time.
var (
	errFailed  = errors.New("the test fails")
	errEndless = errors.New("the test does not end")
)

// maxAddresses is how much memory a test may map, so that a mutant without an end does not
// take the machine's.
const maxAddresses = 6 << 30

// run runs one test with a variable of chosen.go.txt set, for as long as it is allowed to.
func (b binary) run(ctx context.Context, test, variable string, allowed time.Duration) error {
	dir, err := os.MkdirTemp(b.scratch, "tmp-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) // what a killed test has left
	timed, cancel := context.WithTimeout(ctx, allowed)
	defer cancel()
	cmd := exec.CommandContext(timed, b.path, append([]string{"-test.paniconexit0", "-test.run", "^" + test + "$"}, b.flags...)...)
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), variable, "TMPDIR="+dir)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	// A test may start processes of its own.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return err
	}
	limitErr := unix.Prlimit(cmd.Process.Pid, unix.RLIMIT_AS, &unix.Rlimit{Cur: maxAddresses, Max: maxAddresses}, nil)
	err = cmd.Wait()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case timed.Err() != nil:
		return errEndless
	case errors.As(err, &exit):
		return fmt.Errorf("%w: %s", errFailed, lastLines(out.String()))
	case err != nil:
		return err
	}
	if limitErr != nil && !errors.Is(limitErr, syscall.ESRCH) { // it may have ended by then
		return fmt.Errorf("limit the memory of a test: %w", limitErr)
	}
	return nil
}

// lastLines is the end of what a test has written, in one line.
func lastLines(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-12):], " | ")
}

// coverage is what a test runs through, and for how long.
type coverage struct {
	test    string
	took    time.Duration
	mutants map[int]bool
}

// firstAllowed is for a test of which is not known yet how long it takes.
const firstAllowed = 10 * time.Minute

// cover runs a test without a mutant.
func (b binary) cover(ctx context.Context, test string) (coverage, error) {
	name := filepath.Join(b.scratch, test+".reached")
	begin := time.Now()
	if err := b.run(ctx, test, "BKGUARD_TEST_REACHED="+name, firstAllowed); err != nil {
		return coverage{}, fmt.Errorf("run %s without a mutant: %w", test, err)
	}
	c := coverage{test: test, took: time.Since(begin), mutants: map[int]bool{}}
	text, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return c, nil // it runs through nothing
	}
	if err != nil {
		return coverage{}, err
	}
	for line := range strings.FieldsSeq(string(text)) {
		n, err := strconv.Atoi(line)
		if err != nil {
			return coverage{}, fmt.Errorf("read what %s runs through: %w", test, err)
		}
		c.mutants[n] = true
	}
	return c, nil
}

// with runs the tests that run through a mutant, until one fails. The context ends it without
// a verdict.
func (b binary) with(ctx context.Context, n int, tests []coverage) (verdict, error) {
	covered := false
	for _, c := range tests {
		if !c.mutants[n] {
			continue
		}
		covered = true
		// A machine that is busy with something else must not kill a mutant.
		err := b.run(ctx, c.test, "BKGUARD_TEST_MUTANT="+strconv.Itoa(n), b.patience+20*c.took)
		switch {
		case errors.Is(err, errFailed):
			return killed, nil
		case errors.Is(err, errEndless):
			return timedOut, nil
		case err != nil:
			return "", err
		}
	}
	if !covered {
		return notCovered, nil
	}
	return survived, nil
}

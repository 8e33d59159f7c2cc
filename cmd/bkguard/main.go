// Command bkguard is for the people who run guarded buildkit daemons: it
// finds out whether a daemon is affected, estimates what a cache export would need,
// checks configurations, shows what a daemon is doing, and sets the kill-switch.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/sirupsen/logrus"
)

// Exit codes, as the help lists them.
const (
	exitOK = iota
	exitError
	exitNoFit
	exitAffected
	exitBroken
	exitDifferent
)

func main() {
	// What the guard would log is said by the commands themselves.
	logrus.SetOutput(io.Discard)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run runs the command line args and returns the exit code. Each failure is one
// line on stderr.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := rootCommand()
	root.Reader, root.Writer, root.ErrWriter = stdin, stdout, stderr
	err := root.Run(ctx, args)
	if err == nil {
		return exitOK
	}
	for _, failure := range failures(err) {
		fmt.Fprintf(stderr, "bkguard: %s\n", strings.ReplaceAll(failure.Error(), "\n", "; "))
	}
	switch {
	case errors.Is(err, errNoFit):
		return exitNoFit
	case errors.Is(err, errAffected):
		return exitAffected
	case errors.Is(err, errBroken):
		return exitBroken
	case errors.Is(err, errDifferent):
		return exitDifferent
	}
	return exitError
}

// failures takes a joined error apart.
func failures(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

package harness

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Main runs a program of the tests with its command line until it ends or is interrupted, and
// ends the process. An error is one line on stderr that begins with the name, but for
// flag.ErrHelp, which is none.
func Main(name string, run func(ctx context.Context, args []string, stdout, stderr io.Writer) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, name+":", err)
		os.Exit(1)
	}
}

// ParseFlags reads a command line. Help goes to stdout, as it was asked for, and the error is
// flag.ErrHelp then; another error says where help is.
func ParseFlags(flags *flag.FlagSet, args []string, usage string, stdout io.Writer) error {
	flags.SetOutput(io.Discard) // Main prints the error
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		_, writeErr := io.WriteString(stdout, usage)
		return errors.Join(err, writeErr)
	}
	if err != nil {
		return fmt.Errorf("%w (-h shows the flags)", err)
	}
	return nil
}

package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/moby/buildkit/util/suggest"
	"github.com/urfave/cli/v3"

	"github.com/bkguard/bkguard/guard"
)

const rootDescription = `bkguard keeps buildkitd alive when it exports build cache
(moby/buildkit#6088). This program is for those who run it:

   bkguard scan /var/lib/buildkit      is this daemon affected?
   bkguard estimate golang:1.26        would an export of this image explode?
   bkguard inspect app:cache           what is this build cache worth?
   bkguard check buildkitd.toml        is [guard] right, and what is in force?
   bkguard status --watch              what is the daemon doing?
   bkguard mode set single --wait 5s   change the mode, without a restart

Every command has examples in its own help. To have the shell complete
commands and modes: source <(bkguard completion bash)

EXIT CODES:
   0  done
   1  an error, told in one line
   2  estimate --fail-unless-fits: not every export fits
   3  scan: there are layers in more than one compression
   4  inspect: a cache is broken
   5  inspect A B: the caches differ`

// rootCommand returns all commands of the program.
func rootCommand() *cli.Command {
	var out output
	root := &cli.Command{
		Name:                  "bkguard",
		Usage:                 "operate guarded buildkit daemons",
		Description:           rootDescription,
		Version:               version(),
		HideHelpCommand:       true,
		EnableShellCompletion: true,
		ConfigureShellCompletionCommand: func(c *cli.Command) {
			c.Hidden = false
			c.Usage = "print the completion script of a shell: bash, zsh, fish or pwsh"
		},
		// run prints the error and has the exit code.
		ExitErrHandler: func(context.Context, *cli.Command, error) {},
		Flags: []cli.Flag{&cli.StringFlag{
			Name:        "format",
			Usage:       "print as `FORMAT`: table or json",
			Value:       formatTable,
			Destination: &out.format,
			Validator:   checkFormat,
		}},
		Commands: []*cli.Command{
			scanCommand(&out),
			estimateCommand(&out),
			inspectCommand(&out),
			checkCommand(&out),
			statusCommand(&out),
			modeCommand(&out),
		},
	}
	setUp(root)
	return root
}

// version is the guard's, with the revision if that is known.
func version() string {
	if guard.Revision == "" {
		return guard.Version
	}
	return guard.Version + ", revision " + guard.Revision
}

// setUp gives all commands what urfave has no inheritance for.
func setUp(c *cli.Command) {
	c.DisableSliceFlagSeparator = true
	c.OnUsageError = func(_ context.Context, c *cli.Command, err error, _ bool) error {
		return fmt.Errorf("%w (see %s --help)", err, c.FullName())
	}
	if len(c.Commands) > 0 {
		c.Action = needCommand
	}
	for _, sub := range c.Commands {
		setUp(sub)
	}
}

// needCommand is what a command does that only has commands of its own.
func needCommand(_ context.Context, c *cli.Command) error {
	if !c.Args().Present() {
		return cli.ShowSubcommandHelp(c)
	}
	var names []string
	for _, sub := range c.VisibleCommands() {
		names = append(names, sub.Name)
	}
	word, hint := c.Args().First(), ""
	if near, ok := suggest.Search(word, names, true); ok {
		hint = fmt.Sprintf(", did you mean %q?", near)
	}
	return fmt.Errorf("unknown command %q%s (allowed: %s)", word, hint, strings.Join(names, ", "))
}

// noArguments refuses arguments that a command does not take.
func noArguments(c *cli.Command) error {
	if c.Args().Present() {
		return fmt.Errorf("unexpected argument %q (see %s --help)", c.Args().First(), c.FullName())
	}
	return nil
}

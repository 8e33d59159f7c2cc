package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/guard"
)

const modeDescription = `The switch file holds a mode that wins over all others: over BKGUARD_MODE and
over the configuration. Daemons watch it, so a change is in force within a
second, without a restart, and for exports that do not upload yet. The file is
--file, else the switchFile of [guard] in --config.

MODES, from lax to strict:
   off      upstream's behaviour, the guard is out of the path
   observe  upstream's behaviour; what enforce would have done is reported
   enforce  all remotes of a record up to the limits, one chain beyond
   single   one chain per record, always
   block    cache exports are skipped; builds succeed

EXAMPLES:
   bkguard mode get
   bkguard mode set block --wait 5s
   bkguard mode clear --file /etc/buildkit/guard/mode`

const modeDaemonsDescription = `With --debug-addr, once for every daemon, it is told which of them see the mode.
A daemon that does not is no error, unless --wait says how long it may take.
Without --debug-addr, --wait asks the daemon at the debugAddress of --config.`

func modeCommand(out *output) *cli.Command {
	return &cli.Command{
		Name:        "mode",
		Usage:       "read and write the kill-switch",
		UsageText:   "bkguard mode get|set|clear [options]",
		Description: modeDescription,
		Commands: []*cli.Command{
			modeGetCommand(out),
			modeSetCommand(out),
			modeClearCommand(out),
		},
	}
}

func modeGetCommand(out *output) *cli.Command {
	var o modeOptions
	return &cli.Command{
		Name:      "get",
		Usage:     "print the mode of the switch file",
		UsageText: "bkguard mode get [options]",
		Description: `Prints the mode that the switch file sets, "none" without one.
A file that daemons ignore, such as one with an unknown mode, is an error.

` + modeDaemonsDescription + `

EXAMPLES:
   bkguard mode get
   bkguard mode get --file ./mode --debug-addr 10.0.0.7:6060 --debug-addr 10.0.0.8:6060`,
		Flags: o.flags(),
		Action: func(ctx context.Context, c *cli.Command) error {
			if err := noArguments(c); err != nil {
				return err
			}
			return o.run(ctx, c, out, guard.ReadSwitchFile)
		},
	}
}

func modeSetCommand(out *output) *cli.Command {
	var o modeOptions
	return &cli.Command{
		Name:      "set",
		Usage:     "write a mode to the switch file",
		UsageText: "bkguard mode set [options] off|observe|enforce|single|block",
		Description: `Replaces the switch file in one step, and keeps its permissions and owner. A
missing one is made, readable by everybody, with its directory.

` + modeDaemonsDescription + `

EXAMPLES:
   bkguard mode set single
   bkguard mode set off --file ./mode --wait 5s --debug-addr 10.0.0.7:6060`,
		Flags: o.flags(),
		ShellComplete: func(ctx context.Context, c *cli.Command) {
			if last := c.Args().Slice(); len(last) > 0 && strings.HasPrefix(last[len(last)-1], "-") {
				cli.DefaultCompleteWithFlags(ctx, c)
				return
			}
			for _, mode := range config.Modes() {
				fmt.Fprintln(c.Root().Writer, mode)
			}
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.Args().Len() != 1 {
				return fmt.Errorf("give one mode: off, observe, enforce, single or block (see %s --help)", c.FullName())
			}
			mode, err := config.ParseMode("mode", c.Args().First())
			if err != nil {
				return err
			}
			return o.run(ctx, c, out, func(path string) (config.Mode, error) {
				return mode, writeSwitchFile(path, mode)
			})
		},
	}
}

func modeClearCommand(out *output) *cli.Command {
	var o modeOptions
	return &cli.Command{
		Name:      "clear",
		Usage:     "remove the switch file",
		UsageText: "bkguard mode clear [options]",
		Description: `Removes the switch file, so that BKGUARD_MODE or the configuration set the mode
again. That there is none is fine.

` + modeDaemonsDescription + `

EXAMPLES:
   bkguard mode clear
   bkguard mode clear --wait 5s --debug-addr unix:///run/buildkit/debug.sock`,
		Flags: o.flags(),
		Action: func(ctx context.Context, c *cli.Command) error {
			if err := noArguments(c); err != nil {
				return err
			}
			return o.run(ctx, c, out, func(path string) (config.Mode, error) {
				return "", clearSwitchFile(path)
			})
		},
	}
}

// modeOptions are the flags of the commands for the switch file.
type modeOptions struct {
	file, config string
	addresses    []string
	wait         time.Duration
}

func (o *modeOptions) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "file", Aliases: []string{"f"}, Usage: "the switch `FILE`", Destination: &o.file, TakesFile: true},
		configFlag(&o.config, "its switchFile and debugAddress"),
		&cli.StringSliceFlag{Name: "debug-addr", Usage: "ask the daemon at `HOST:PORT` or unix:///PATH", Destination: &o.addresses},
		&cli.DurationFlag{Name: "wait", Usage: "wait for `DURATION` at most until the mode is in force", HideDefault: true, Destination: &o.wait, Validator: checkWait},
	}
}

func checkWait(d time.Duration) error {
	if d < 0 {
		return errors.New("negative")
	}
	return nil
}

// modeReport is what the commands for the switch file print.
type modeReport struct {
	File string `json:"file"`
	// Mode is empty if the file sets none.
	Mode    config.Mode  `json:"mode"`
	Daemons []daemonView `json:"daemons,omitempty"`
}

// run does something with the switch file, which gives the mode that it sets
// then, and reports which daemons see that. Nothing is done if any flag is wrong.
func (o *modeOptions) run(ctx context.Context, c *cli.Command, out *output, do func(path string) (config.Mode, error)) error {
	path, err := o.path()
	if err != nil {
		return err
	}
	daemons, err := o.daemons()
	if err != nil {
		return err
	}
	mode, err := do(path)
	if err != nil {
		return err
	}
	r := modeReport{File: path, Mode: mode}
	r.Daemons, err = await(ctx, daemons, mode, o.wait)
	return errors.Join(out.print(c.Root().Writer, r, r.text), err)
}

// path is that of the switch file.
func (o *modeOptions) path() (string, error) {
	if o.file != "" {
		return o.file, nil
	}
	c, err := readConfig(o.config)
	if err != nil {
		return "", fmt.Errorf("no switch file: give --file: %w", err)
	}
	if c.SwitchFile == "" {
		return "", fmt.Errorf("no switch file: give --file, or set switchFile in [guard] of %s", o.config)
	}
	return c.SwitchFile, nil
}

// daemons are those that are to be asked.
func (o *modeOptions) daemons() ([]daemon, error) {
	addresses := o.addresses
	if o.wait > 0 && len(addresses) == 0 {
		address, err := debugAddressOf(o.config)
		if err != nil {
			return nil, err
		}
		addresses = []string{address}
	}
	var daemons []daemon
	for _, address := range addresses {
		d, err := newDaemon(address)
		if err != nil {
			return nil, err
		}
		daemons = append(daemons, d)
	}
	return daemons, nil
}

func (r modeReport) text(w io.Writer) {
	if r.Mode == "" {
		fmt.Fprintf(w, "%s sets none\n", r.File)
	} else {
		fmt.Fprintf(w, "%s sets %s\n", r.File, r.Mode)
	}
	if len(r.Daemons) == 0 {
		return
	}
	rows := [][]string{{"DAEMON", "IN FORCE", "READS", "PROBLEM"}}
	for _, d := range r.Daemons {
		inForce := "no"
		if d.InForce {
			inForce = "yes"
		}
		rows = append(rows, []string{d.Address, inForce, d.File, d.Problem})
	}
	fmt.Fprintln(w)
	table(w, rows)
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/urfave/cli/v3"
	"golang.org/x/term"

	"github.com/bkguard/bkguard/guard"
)

// watchInterval is how often status --watch looks.
const watchInterval = time.Second

const statusDescription = `Asks a running daemon what its guard is doing: modes and who has set them, the
kill-switch, the limits, what has been done since the start, and the last
exports. The daemon must serve its debug pages: debugAddress in [grpc] of
buildkitd.toml, or --debugaddr. Without --debug-addr, that of --config is used.

With --watch this is repeated every second until it is interrupted. A daemon
that goes away meanwhile is waited for.

EXAMPLES:
   bkguard status --debug-addr unix:///run/buildkit/debug.sock
   bkguard status --debug-addr 10.0.0.7:6060 --watch
   bkguard status --format json | jq .exports`

// statusOptions are the flags of status.
type statusOptions struct {
	address   string
	config    string
	decisions int
	watch     bool
}

func statusCommand(out *output) *cli.Command {
	var o statusOptions
	return &cli.Command{
		Name:        "status",
		Usage:       "show what the guard of a running daemon is doing",
		UsageText:   "bkguard status [options]",
		Description: statusDescription,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "debug-addr", Usage: "the debug address, `HOST:PORT` or unix:///PATH", Destination: &o.address},
			configFlag(&o.config, "its debugAddress"),
			&cli.IntFlag{Name: "decisions", Usage: "show the last `N` exports, at most 50", Value: 10, Destination: &o.decisions, Validator: between(0, 50)},
			&cli.BoolFlag{Name: "watch", Aliases: []string{"w"}, Usage: "repeat every second", Destination: &o.watch},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			if err := noArguments(c); err != nil {
				return err
			}
			d, err := o.daemon()
			if err != nil {
				return err
			}
			s, err := d.status(ctx)
			if err != nil {
				return err
			}
			show := func(w io.Writer, s guard.Status) error {
				return out.print(w, s, func(w io.Writer) { statusText(w, d.address, s, o.decisions) })
			}
			if !o.watch {
				return show(c.Root().Writer, s)
			}
			return watch(ctx, c.Root().Writer, d, show)
		},
	}
}

func (o *statusOptions) daemon() (daemon, error) {
	address := o.address
	if address == "" {
		var err error
		if address, err = debugAddressOf(o.config); err != nil {
			return daemon{}, err
		}
	}
	return newDaemon(address)
}

// watch shows the status until ctx ends. Each picture is written at once, so
// that a terminal does not flicker.
func watch(ctx context.Context, w io.Writer, d daemon, show func(io.Writer, guard.Status) error) error {
	home := ""
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		home = "\x1b[H\x1b[2J"
	}
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		picture := bytes.NewBufferString(home)
		s, err := d.status(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			fmt.Fprintln(picture, err)
		default:
			if err := show(picture, s); err != nil {
				return err
			}
		}
		if _, err := picture.WriteTo(w); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

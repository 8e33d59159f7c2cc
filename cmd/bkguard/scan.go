package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/urfave/cli/v3"

	"github.com/bkguard/bkguard/internal/scan"
)

// errAffected ends scan with an exit code of its own.
var errAffected = errors.New("in more than one compression")

const scanDescription = `Tells whether a daemon is affected by moby/buildkit#6088, from the files below ROOT:
the root of a buildkitd, with the guard or without it, or the data root of a
Docker Engine. The daemon may be running. Nothing is asked of it, and nothing in
ROOT is changed: databases are copied to $TMPDIR first, and again if they have
changed meanwhile.

It lists the layers that are there in more than one compression, with the disk
that their variants take beside the blobs which records of the cache own, and
the chains of layers with the most combinations: what stock buildkitd would need
for a cache export of each at least, and what a guarded daemon makes of it. The
topmost layer counts once, as its blob is fixed.

A worker of containerd keeps its layers in the root of containerd: --containerd
says where that is. A Docker Engine that runs a containerd of its own has it in
its data root. With graph drivers, an engine has no layers in compressions.

VERDICTS, with the limits of [guard] in --config, or of its defaults:
   fits       within the limits
   spared     one chain of layers is exported for a record, its combinations are not built
   blocked    nothing is exported, the mode is block
   unguarded  beyond the limits, but mode off or observe leaves it to stock

A guarded daemon that runs tells the same of itself: bkguard status.

EXAMPLES:
   bkguard scan /var/lib/buildkit
   bkguard scan /var/lib/docker --containerd /var/lib/containerd
   bkguard scan /var/lib/buildkit --memory 4GB --limit 100
   bkguard scan --format json /var/lib/buildkit | jq '.workers[].chains[0]'

The exit code is 0 if every layer is there in one compression, 3 if not, and 1 if
that cannot be told.`

// scanOptions are the flags of scan.
type scanOptions struct {
	containerd string
	limit      int
	limits     limitOptions
}

func scanCommand(out *output) *cli.Command {
	var o scanOptions
	return &cli.Command{
		Name:        "scan",
		Usage:       "tell whether a daemon is affected, from the files below its root",
		UsageText:   "bkguard scan [options] ROOT",
		Description: scanDescription,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "containerd", Usage: "workers keep their layers in the containerd with this `ROOT`", Destination: &o.containerd},
			&cli.IntFlag{Name: "limit", Usage: "show the first `N` layers and chains; JSON has all", Value: 10, Destination: &o.limit, Validator: between(0, 1<<20)},
		}, o.limits.flags()...),
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.Args().Len() != 1 {
				return errors.New("give one root (see bkguard scan --help)")
			}
			report, err := o.scan(ctx, c.Args().First())
			if err != nil {
				return err
			}
			if err := out.print(c.Root().Writer, report, func(w io.Writer) { report.text(w, o.limit) }); err != nil {
				return err
			}
			if report.Affected {
				variants, layers := report.count()
				return fmt.Errorf("%d of %d layers are %w", variants, layers, errAffected)
			}
			return nil
		},
	}
}

// scan makes the report for a root.
func (o *scanOptions) scan(ctx context.Context, root string) (*scanReport, error) {
	l, err := o.limits.find()
	if err != nil {
		return nil, err
	}
	workers, err := scan.Root(ctx, root, o.containerd)
	if err != nil {
		return nil, err
	}
	return newScanReport(root, l, workers), nil
}

package main

import (
	"context"
	"os"

	"github.com/moby/buildkit/client"
	gwclient "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/util/progress/progressui"
	"github.com/tonistiigi/fsutil"
	"golang.org/x/sync/errgroup"
)

// buildOn runs the frontend in this process, on the daemon at an address, with
// the recipe and its files in a directory.
func buildOn(ctx context.Context, addr, output, dir string, frontend gwclient.BuildFunc) error {
	c, err := client.New(ctx, addr)
	if err != nil {
		return err
	}
	defer c.Close()
	files, err := fsutil.NewFS(dir)
	if err != nil {
		return err
	}
	opt := client.SolveOpt{
		FrontendAttrs: map[string]string{"filename": "Recipe"},
		LocalMounts:   map[string]fsutil.FS{"context": files, "dockerfile": files},
	}
	if output != "" {
		opt.Exports = []client.ExportEntry{{
			Type:  client.ExporterImage,
			Attrs: map[string]string{"name": output, "push": "true"},
		}}
	}
	display, err := progressui.NewDisplay(os.Stderr, progressui.AutoMode)
	if err != nil {
		return err
	}
	status := make(chan *client.SolveStatus)
	var eg errgroup.Group
	eg.Go(func() error {
		_, err := c.Build(ctx, opt, "", frontend, status)
		return err
	})
	eg.Go(func() error {
		// It ends with the build, which closes the channel.
		_, err := display.UpdateFrom(context.WithoutCancel(ctx), status)
		return err
	})
	return eg.Wait()
}

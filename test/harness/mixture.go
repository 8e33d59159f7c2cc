package harness

import (
	"context"

	"github.com/moby/buildkit/util/compression"
)

// MixCompressions builds and pushes an image in gzip and then in zstd, so that
// the worker holds every layer in both. This is the state in which exporting
// cache kills a stock daemon.
func (d *Daemon) MixCompressions(ctx context.Context, dockerfile, image string) error {
	return d.BuildIn(ctx, Build{Dockerfile: dockerfile}, image, compression.Gzip, compression.Zstd)
}

// BuildIn runs a build and pushes its image in one compression after the other,
// so that the worker holds every layer in all of them. The order matters: the
// first is not forced, so that the steps own a blob in it before they are
// converted.
func (d *Daemon) BuildIn(ctx context.Context, build Build, image string, in ...compression.Type) error {
	for n, c := range in {
		attributes := []string{"compression=" + c.String()}
		if n > 0 {
			attributes = append(attributes, "force-compression=true")
		}
		build.Output = PushOutput(image+":"+c.String(), attributes...)
		if _, err := d.Build(ctx, build); err != nil {
			return err
		}
	}
	return nil
}

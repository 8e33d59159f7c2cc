package harness

import "context"

// MixCompressions builds and pushes an image in gzip and then in zstd, so that
// the worker holds every layer in both. This is the state in which exporting
// cache kills a stock daemon. The order matters: the steps must own a gzip blob
// before they are converted.
func (d *Daemon) MixCompressions(ctx context.Context, dockerfile, image string) error {
	for _, output := range []string{
		PushOutput(image + ":gzip"),
		PushOutput(image+":zstd", "compression=zstd", "force-compression=true"),
	} {
		if _, err := d.Build(ctx, Build{Dockerfile: dockerfile, Output: output}); err != nil {
			return err
		}
	}
	return nil
}

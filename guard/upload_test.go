package guard

import (
	"context"
	"testing"

	"github.com/moby/buildkit/cache/remotecache"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/util/compression"
	"github.com/moby/buildkit/util/progress"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/config"
)

// oneSender is an exporter whose only goroutine sends all layers of a record and
// closes none of them before the end, as that for s3 does when its other goroutines
// had nothing to send (cache/remotecache/s3/s3.go).
type oneSender struct {
	takenDown
}

func (e *oneSender) Finalize(ctx context.Context) (map[string]string, error) {
	remote := e.results[0].Result
	for _, desc := range remote.Descriptors {
		done := progress.OneOff(ctx, "writing layer "+desc.Digest.String())
		ra, err := remote.Provider.ReaderAt(ctx, desc)
		if err != nil {
			return nil, err
		}
		defer ra.Close()
		if _, err := ra.ReadAt(make([]byte, ra.Size()), 0); err != nil {
			return nil, err
		}
		if err := done(nil); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// TestUploadsEndWithTheirProgress has memory for one layer: the next one must not wait
// for a layer that was sent.
func TestUploadsEndWithTheirProgress(t *testing.T) {
	c := newTestCache(t)
	g := newTestGuard(t, config.Config{MaxMemory: config.Memory{Bytes: 1}})
	e := decorated(t, g, "s3", func(context.Context, session.Group, map[string]string) (remotecache.Exporter, error) {
		return &oneSender{}, nil
	}, nil)
	addRecords(t, c, g.Worker(c.worker()), e, compression.New(compression.Gzip), c.Chain(t, imageLayers))
	_, err := e.Finalize(c.Ctx)
	require.NoError(t, err)
	require.Zero(t, g.Status().Memory.Held)
}

// TestUploadsEndWithTheExport has an exporter that closes no layer, as that for azblob
// (cache/remotecache/azblob/exporter.go).
func TestUploadsEndWithTheExport(t *testing.T) {
	c := newTestCache(t)
	g := newTestGuard(t, config.Config{})
	inner := &innerExporter{}
	e := decorated(t, g, "azblob", resolving(inner), nil)
	addRecords(t, c, g.Worker(c.worker()), e, e.Config().Compression, c.Chain(t, 1))
	inner.finalizing = func(ctx context.Context) {
		remote := inner.results[0].Result
		_, err := remote.Provider.ReaderAt(ctx, remote.Descriptors[0])
		require.NoError(t, err)
		require.NotZero(t, g.Status().Memory.Held)
	}
	_, err := e.Finalize(c.Ctx)
	require.NoError(t, err)
	require.Zero(t, g.Status().Memory.Held)
}

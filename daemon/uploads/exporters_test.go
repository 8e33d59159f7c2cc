package uploads

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/pkg/labels"
	"github.com/moby/buildkit/cache/remotecache"
	"github.com/moby/buildkit/cache/remotecache/azblob"
	"github.com/moby/buildkit/cache/remotecache/s3"
	"github.com/moby/buildkit/solver"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/internal/memory"
	"github.com/bkguard/bkguard/internal/steps"
	"github.com/bkguard/bkguard/internal/uploads"
)

// exporterTypes are those that wait for memory.
var exporterTypes = []string{"s3", "azblob"}

// newExporter makes upstream's exporter of a type that sends to a server.
func newExporter(tb testing.TB, exporterType string, s *server) remotecache.Exporter {
	tb.Helper()
	resolve, attrs := s3.ResolveCacheExporterFunc(), map[string]string{
		"bucket": "cache", "region": "r", "endpoint_url": s.URL, "use_path_style": "true",
		"access_key_id": "id", "secret_access_key": "key",
	}
	if exporterType == "azblob" {
		resolve, attrs = azblob.ResolveCacheExporterFunc(), map[string]string{
			"account_url": s.URL + "/azure", "account_name": "azure", "secret_access_key": "a2V5",
		}
	}
	e, err := resolve(tb.Context(), nil, attrs)
	require.NoError(tb, err)
	return e
}

// zeros are layers that are read from nowhere, so that they take no memory.
type zeros struct {
	layers *uploads.Layers // nil waits for nothing
	read   atomic.Int64    // bytes
}

func (z *zeros) ReaderAt(ctx context.Context, desc ocispecs.Descriptor) (content.ReaderAt, error) {
	return z.layers.ReaderAt(ctx, zerosProvider{z}, desc)
}

func (z *zeros) Info(_ context.Context, dgst digest.Digest) (content.Info, error) {
	return content.Info{Digest: dgst}, nil
}

type zerosProvider struct{ zeros *zeros }

func (p zerosProvider) ReaderAt(_ context.Context, desc ocispecs.Descriptor) (content.ReaderAt, error) {
	return &zerosReader{zeros: p.zeros, size: desc.Size}, nil
}

type zerosReader struct {
	zeros *zeros
	size  int64
}

func (r *zerosReader) Size() int64 { return r.size }

func (r *zerosReader) Close() error { return nil }

func (r *zerosReader) ReadAt(p []byte, off int64) (int, error) {
	n := int(min(int64(len(p)), r.size-off))
	clear(p[:n])
	r.zeros.read.Add(int64(n))
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// add gives an exporter a record of layers of these sizes.
func (z *zeros) add(tb testing.TB, e remotecache.Exporter, sizes ...int64) {
	tb.Helper()
	remote := &solver.Remote{Provider: z}
	for i, size := range sizes {
		dgst := digest.FromString(fmt.Sprint("layer ", i))
		remote.Descriptors = append(remote.Descriptors, ocispecs.Descriptor{
			MediaType:   ocispecs.MediaTypeImageLayer,
			Digest:      dgst,
			Size:        size,
			Annotations: map[string]string{labels.LabelUncompressed: dgst.String()},
		})
	}
	_, ok, err := e.Add(digest.FromString("record"), nil, []solver.CacheExportResult{{CreatedAt: time.Unix(1, 0), Result: remote}})
	require.NoError(tb, err)
	require.True(tb, ok)
}

// TestExportersGiveBackWhatTheyHold sends nine layers with memory for one of them. A
// layer that is not given back when it was sent would stop the last one until its
// lease ends, for longer than the test may take.
func TestExportersGiveBackWhatTheyHold(t *testing.T) {
	const layers, size = 9, 1 << 20
	for _, exporterType := range exporterTypes {
		t.Run(exporterType, func(t *testing.T) {
			s := newServer(t)
			s.goOn()
			e := newExporter(t, exporterType, s)
			cost, parallel := uploads.Of(exporterType, nil)
			require.NotNil(t, cost)
			reading, _ := cost(size)
			gate := memory.NewGate(reading, 1, nil)
			z := &zeros{layers: uploads.New(gate.Line(nil), cost, parallel)}
			z.add(t, e, slices.Repeat([]int64{size}, layers)...)
			ctx, done := steps.Watch(t.Context(), z.layers.Step)
			defer done()
			_, err := e.Finalize(ctx)
			require.NoError(t, err)
			assert.EqualValues(t, layers*size, z.read.Load())
			assert.Greater(t, s.received.Load(), int64(layers*size), "all layers and the manifest")
			assert.Zero(t, gate.Status().Held, "the exporter tells of each layer that it was sent")
			assert.Zero(t, gate.Status().Expired)
		})
	}
}

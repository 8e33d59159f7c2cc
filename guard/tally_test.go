package guard

import (
	"context"
	"errors"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/util/bklog"
	"github.com/moby/buildkit/util/compression"
	digest "github.com/opencontainers/go-digest"
	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/internal/choice"
)

// logged is a context with a logger of its own, which keeps all that is written.
func logged(ctx context.Context) (context.Context, *logtest.Hook) {
	logger, hook := logtest.NewNullLogger()
	logger.SetLevel(logrus.DebugLevel)
	return bklog.WithLogger(ctx, logrus.NewEntry(logger)), hook
}

// messages are the lines of a log with their levels.
func messages(hook *logtest.Hook) []string {
	var all []string
	for _, entry := range hook.AllEntries() {
		all = append(all, entry.Level.String()+": "+entry.Message)
	}
	return all
}

var errFirst, errSecond = errors.New("first"), errors.New("second")

// TestTallyOfRecords adds records of which some are spared, and some could not be looked up.
func TestTallyOfRecords(t *testing.T) {
	finding := func(layers int, err error) *finding {
		return &finding{requested: compression.Zstd, estimate: NewEstimate(repeat(2, layers)), err: err}
	}
	var got tally
	got.add(finding(9, nil), false)
	assert.Equal(t, tally{}, got)
	got.add(finding(3, nil), true)
	got.add(finding(5, errFirst), true)
	got.add(finding(4, nil), true)
	got.add(finding(9, errSecond), false)
	assert.Equal(t, tally{
		records: 3, widest: NewEstimate(repeat(2, 5)), requested: "zstd", err: errFirst,
		avoided: NewEstimate(repeat(2, 3)).UpstreamBytes() + NewEstimate(repeat(2, 4)).UpstreamBytes() + NewEstimate(repeat(2, 5)).UpstreamBytes(),
	}, got)
}

// sizedStore has blobs but for one, of which it cannot tell.
type sizedStore struct {
	content.InfoReaderProvider // nil
	unknown                    digest.Digest
}

func (s sizedStore) Info(_ context.Context, dgst digest.Digest) (content.Info, error) {
	if dgst == s.unknown {
		return content.Info{}, errSecond
	}
	return content.Info{Digest: dgst}, nil
}

// TestTallyOfLayers has a blob in two layers, and a layer of which another blob is written.
func TestTallyOfLayers(t *testing.T) {
	blob := func(name string, size int64) choice.Blob {
		desc := own(name)
		desc.Size = size
		return choice.Blob{Descriptor: desc, Provider: sizedStore{unknown: digest.FromString("c")}}
	}
	var pool choice.Pool
	a := pool.Add(choice.Layer{Own: blob("a", 10), Variants: []choice.Blob{blob("b", 7)}})
	c := pool.Add(choice.Layer{Own: blob("c", 100)})
	chosen := pool.Choose(choice.Smallest())
	_, ok := chosen.Chain(t.Context(), []*choice.Layer{a, c, a})
	require.True(t, ok)
	for _, before := range []error{nil, errFirst} {
		got := tally{records: 1, err: before}
		got.write(chosen)
		want := tally{records: 1, layers: 3, blobs: 2, bytes: 107, replaced: 1, err: errSecond}
		if before != nil {
			want.err = before
		}
		assert.Equal(t, want, got)
	}
}

func TestReportOfAnExport(t *testing.T) {
	for name, tc := range map[string]struct {
		tally tally
		lines []string
	}{
		"nothing":       {tally{}, nil},
		"spared":        {tally{records: 1}, []string{"info: combinations spared"}},
		"not looked up": {tally{err: errFirst}, []string{"warning: variants not looked up"}},
		"both":          {tally{records: 1, err: errFirst}, []string{"warning: variants not looked up"}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, hook := logged(t.Context())
			var written bool
			lines := clientLines(ctx, func(ctx context.Context) {
				written = tc.tally.report(ctx, &export{exporterType: "s3"}, "gzip")
			})
			assert.Equal(t, tc.lines, messages(hook))
			assert.Equal(t, tc.lines != nil, written)
			assert.Len(t, lines, tc.tally.records, "the client is told of what was spared")
		})
	}
}

// TestRecordsAreLogged has each record in the log for whoever wants to know more: what is
// asked by a decorated exporter, and by others.
func TestRecordsAreLogged(t *testing.T) {
	c := newTestCache(t)
	ref, plain := c.Chain(t, 4, compression.Zstd), c.Add(t, nil, 50, compression.Gzip)
	for name, tc := range map[string]struct {
		maxRemotes int
		broken     bool
		ask        func(ctx context.Context, g *Guard, w *storeWorker) ([]*solver.Remote, error)
		want       []string
	}{
		"spared": {1, false, func(ctx context.Context, g *Guard, w *storeWorker) ([]*solver.Remote, error) {
			return getRemotes(ctx, g.Worker(w), ref, requested(compression.Zstd), true)
		}, []string{"debug: combinations of a record spared"}},
		"not looked up": {1, true, func(ctx context.Context, g *Guard, w *storeWorker) ([]*solver.Remote, error) {
			return getRemotes(ctx, g.Worker(w), ref, requested(compression.Zstd), true)
		}, []string{"debug: variants of a record not looked up"}},
		"within the limits": {100, false, func(ctx context.Context, g *Guard, w *storeWorker) ([]*solver.Remote, error) {
			return getRemotes(ctx, g.Worker(w), ref, requested(compression.Zstd), true)
		}, nil},
		"spared in an export": {1, false, func(ctx context.Context, g *Guard, w *storeWorker) ([]*solver.Remote, error) {
			return getRemotes(ctx, g.Worker(w), ref, requested(exportCompression{compression.Zstd, g.newExport("s3", "", nil)}), true)
		}, []string{"debug: combinations of a record spared"}},
		"plain in an export": {1, false, func(ctx context.Context, g *Guard, w *storeWorker) ([]*solver.Remote, error) {
			return getRemotes(ctx, g.Worker(w), plain, requested(exportCompression{compression.Zstd, g.newExport("s3", "", nil)}), true)
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, hook := logged(c.Ctx)
			g := newTestGuard(t, config.Config{MaxRemotes: tc.maxRemotes})
			inner := c.worker().(*storeWorker)
			if tc.broken {
				inner = c.brokenWorker()
			}
			_, err := tc.ask(ctx, g, inner)
			require.NoError(t, err)
			assert.Equal(t, tc.want, messages(hook))
			walkErrors := int64(0)
			if tc.broken {
				walkErrors = 1
			}
			assert.Equal(t, walkErrors, g.Status().WalkErrors)
		})
	}
}

// silentStore is a content store that cannot tell what it has.
type silentStore struct{ content.Store }

func (silentStore) Info(context.Context, digest.Digest) (content.Info, error) {
	return content.Info{}, errFirst
}

// TestDescriptorsOfTheEstimate holds the fields of every line about combinations.
func TestDescriptorsOfTheEstimate(t *testing.T) {
	e := NewEstimate([]int{2, 3, 1})
	assert.Equal(t, logrus.Fields{"layers": 3, "compressions": 3, "remotes": "6", "avoided": e.UpstreamBytes()}, fields(e))
}

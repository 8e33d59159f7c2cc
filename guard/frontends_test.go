package guard

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/control"
	"github.com/moby/buildkit/executor"
	"github.com/moby/buildkit/frontend"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/compression"
	digest "github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/internal/baseimage"
	"github.com/bkguard/bkguard/internal/cachetest"
)

// write puts a document into the store.
func (c *testCache) write(tb testing.TB, mediaType string, document any) ocispecs.Descriptor {
	tb.Helper()
	data, err := json.Marshal(document)
	require.NoError(tb, err)
	desc := ocispecs.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	require.NoError(tb, content.WriteBlob(c.Ctx, c.Store, desc.Digest.String(), bytes.NewReader(data), desc))
	return desc
}

// image writes the manifest of the chain of so many layers, and returns what the
// resolution of its configuration says.
func (c *testCache) image(tb testing.TB, layers int, platform string) (manifest ocispecs.Descriptor, resolved *sourceresolver.MetaResponse) {
	tb.Helper()
	file := ocispecs.Image{Platform: platforms.MustParse(platform), RootFS: ocispecs.RootFS{Type: "layers"}}
	m := ocispecs.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispecs.MediaTypeImageManifest}
	for n := range layers {
		desc, _ := cachetest.Layer(tb, n, compression.Gzip)
		m.Layers = append(m.Layers, desc)
		file.RootFS.DiffIDs = append(file.RootFS.DiffIDs, digest.FromString(fmt.Sprint(n)))
	}
	m.Config = c.write(tb, ocispecs.MediaTypeImageConfig, file)
	manifest = c.write(tb, ocispecs.MediaTypeImageManifest, m)
	manifest.Platform = &file.Platform
	return manifest, resolvedImage(tb, "docker-image://example.com/image:tag", manifest.Digest, file)
}

func resolvedImage(tb testing.TB, identifier string, dgst digest.Digest, file ocispecs.Image) *sourceresolver.MetaResponse {
	tb.Helper()
	data, err := json.Marshal(file)
	require.NoError(tb, err)
	return &sourceresolver.MetaResponse{
		Op:    &pb.SourceOp{Identifier: identifier},
		Image: &sourceresolver.ResolveImageResponse{Digest: dgst, Config: data},
	}
}

// testFrontend resolves some sources.
type testFrontend struct {
	sources []string
	opt     sourceresolver.Opt
	err     error
}

func (f *testFrontend) Solve(ctx context.Context, bridge frontend.FrontendLLBBridge, _ executor.Executor, _ map[string]string, _ map[string]*pb.Definition, _ string, _ *session.Manager) (*frontend.Result, error) {
	for _, id := range f.sources {
		if _, err := bridge.ResolveSourceMetadata(ctx, &pb.SourceOp{Identifier: id}, f.opt); err != nil {
			return nil, err
		}
	}
	if f.err != nil {
		return nil, f.err
	}
	return &frontend.Result{Metadata: map[string][]byte{"the": []byte("result")}}, nil
}

// testBridge knows some sources and keeps what it is warned of. Any other method
// panics.
type testBridge struct {
	frontend.FrontendLLBBridge // nil
	known                      map[string]*sourceresolver.MetaResponse
	warnings                   []string
	details                    []string
}

var errUnknownSource = errors.New("not found")

func (b *testBridge) ResolveSourceMetadata(_ context.Context, op *pb.SourceOp, _ sourceresolver.Opt) (*sourceresolver.MetaResponse, error) {
	if strings.HasPrefix(op.Identifier, "local://") {
		return &sourceresolver.MetaResponse{Op: op}, nil
	}
	known, ok := b.known[op.Identifier]
	if !ok {
		return nil, errUnknownSource
	}
	return known, nil
}

func (b *testBridge) Warn(_ context.Context, _ digest.Digest, msg string, opts frontend.WarnOpts) error {
	b.warnings = append(b.warnings, msg)
	for _, line := range opts.Detail {
		b.details = append(b.details, string(line))
	}
	return errors.New("nobody listens") // which is no matter
}

// ofAnImage are options as every frontend sends them.
var ofAnImage = sourceresolver.Opt{ImageOpt: &sourceresolver.ResolveImageOpt{}}

// solve runs a decorated frontend.
func (f *testFrontend) solve(t *testing.T, g *Guard, c *testCache, b *testBridge, opt map[string]string) {
	t.Helper()
	decorated := g.Frontends(map[string]frontend.Frontend{"test": f}, c.Store)["test"]
	result, err := decorated.Solve(t.Context(), b, nil, opt, nil, "", nil)
	if f.err != nil {
		assert.Equal(t, f.err, err)
		assert.Nil(t, result)
		return
	}
	require.NoError(t, err)
	assert.Equal(t, "result", string(result.Metadata["the"]))
}

func TestFrontendsCountWhatTheWorkerHolds(t *testing.T) {
	const layers = 10
	c := newTestCache(t)
	_, resolved := c.image(t, layers, "linux/amd64")
	ref := c.Chain(t, layers)
	b := &testBridge{known: map[string]*sourceresolver.MetaResponse{"a": resolved, "b": resolved}}
	f := &testFrontend{sources: []string{"a", "b", "a"}, opt: ofAnImage}
	g := newTestGuard(t, config.Config{})

	f.solve(t, g, c, b, nil)
	assert.Empty(t, b.warnings, "in one compression")
	c.Convert(t, ref, compression.Zstd)
	f.solve(t, g, c, b, map[string]string{"requestid": "frontend.lint"})
	assert.Empty(t, b.warnings, "a build of no image")
	f.solve(t, g, c, b, nil)
	assert.Equal(t, []string{"cache guard: example.com/image:tag has 10 layers, which this worker holds in 2 compressions: " +
		"a cache export without the guard takes at least 600KiB of memory for 512 combinations, " +
		"see https://github.com/bkguard/bkguard/blob/main/docs/frontends.md"}, b.warnings, "once for two stages")
	assert.Equal(t, []string{"The guard of this daemon exports one chain of them."}, b.details)

	b.warnings, b.details = nil, nil
	f.solve(t, newTestGuard(t, config.Config{MaxRemotes: 512}), c, b, nil)
	assert.Empty(t, b.warnings, "as many as the limit")
	f.solve(t, newTestGuard(t, config.Config{Mode: config.ModeOff}), c, b, nil)
	assert.Len(t, b.warnings, 1)
	assert.Equal(t, []string{"The guard of this daemon leaves it at that: mode off is set by guard."}, b.details)

	b.warnings, b.details = nil, nil
	f.solve(t, newTestGuard(t, config.Config{Mode: config.ModeObserve}), c, b, nil)
	assert.Equal(t, []string{"The guard of this daemon leaves it at that: mode observe is set by guard."}, b.details)

	f.err = errors.New("cannot build")
	f.solve(t, g, c, b, nil)
	assert.Len(t, b.warnings, 1, "a build that has failed")
}

func TestFrontendsWarnOfTheWorstPlatform(t *testing.T) {
	c := newTestCache(t)
	c.Chain(t, 12, compression.Zstd)
	var index ocispecs.Index
	b := &testBridge{known: make(map[string]*sourceresolver.MetaResponse)}
	f := &testFrontend{opt: ofAnImage}
	for platform, layers := range map[string]int{"linux/amd64": 11, "linux/arm64": 12, "linux/s390x": 2} {
		manifest, resolved := c.image(t, layers, platform)
		index.Manifests = append(index.Manifests, manifest)
		b.known[platform] = resolved
		f.sources = append(f.sources, platform)
	}
	index.SchemaVersion, index.MediaType = 2, ocispecs.MediaTypeImageIndex
	root := c.write(t, ocispecs.MediaTypeImageIndex, index)
	for _, resolved := range b.known {
		resolved.Image.Digest = root.Digest
	}
	f.solve(t, newTestGuard(t, config.Config{}), c, b, nil)
	require.Len(t, b.warnings, 1)
	assert.Contains(t, b.warnings[0], "example.com/image:tag for linux/arm64 has 12 layers, which this worker holds in 2 compressions")
}

// TestFrontendsLeaveOddImagesAlone has images of which no numbers can be had.
func TestFrontendsLeaveOddImagesAlone(t *testing.T) {
	c := newTestCache(t)
	file := ocispecs.Image{RootFS: ocispecs.RootFS{DiffIDs: []digest.Digest{"sha256:a", "sha256:b"}}}
	broken := &sourceresolver.MetaResponse{
		Op:    &pb.SourceOp{},
		Image: &sourceresolver.ResolveImageResponse{Digest: digest.FromString("x"), Config: []byte("{")},
	}
	b := &testBridge{known: map[string]*sourceresolver.MetaResponse{
		"nil":            nil,
		"git":            {Op: &pb.SourceOp{Identifier: "git://x"}, Git: &sourceresolver.ResolveGitResponse{}},
		"broken":         broken,
		"scratch":        resolvedImage(t, "docker-image://x", digest.FromString("x"), ocispecs.Image{}),
		"pruned":         resolvedImage(t, "docker-image://x", digest.FromString("gone"), file),
		"no manifest":    resolvedImage(t, "docker-image://x", c.write(t, "text/plain", "text").Digest, file),
		"unknown type":   resolvedImage(t, "docker-image://x", c.write(t, "application/x", map[string]any{"mediaType": "application/x", "config": 1, "layers": 2}).Digest, file),
		"without digest": resolvedImage(t, "docker-image://x", "", file),
	}}
	g := newTestGuard(t, config.Config{MaxRemotes: 1})
	for name := range b.known {
		(&testFrontend{sources: []string{name}, opt: ofAnImage}).solve(t, g, c, b, nil)
	}
	assert.Empty(t, b.warnings)

	// The log has why.
	f := &guardedFrontend{guard: g, store: c.Store}
	for name, want := range map[string]string{"pruned": "not found", "no manifest": "cannot unmarshal", "unknown type": "Manifest.config"} {
		ctx, hook := logged(c.Ctx)
		var seen baseimage.Seen
		seen.AddSource(b.known[name])
		f.warn(ctx, b, seen.ByDigest()[0])
		require.Equal(t, []string{"debug: base image not counted"}, messages(hook), name)
		assert.ErrorContains(t, hook.LastEntry().Data["error"].(error), want, name)
	}

	decorated := g.Frontends(map[string]frontend.Frontend{"test": &testFrontend{sources: []string{"missing"}}}, c.Store)["test"]
	_, err := decorated.Solve(t.Context(), b, nil, nil, nil, "", nil)
	assert.Equal(t, errUnknownSource, err)
}

// TestImageOfAFrontendIsNoBase asks as gateway.v0 does for its own image.
func TestImageOfAFrontendIsNoBase(t *testing.T) {
	c := newTestCache(t)
	_, resolved := c.image(t, 10, "linux/amd64")
	c.Chain(t, 10, compression.Zstd)
	b := &testBridge{known: map[string]*sourceresolver.MetaResponse{"a": resolved}}
	f := &testFrontend{sources: []string{"a"}}
	f.solve(t, newTestGuard(t, config.Config{}), c, b, map[string]string{"source": "a"})
	assert.Empty(t, b.warnings)
	f.solve(t, newTestGuard(t, config.Config{}), c, b, nil)
	assert.Len(t, b.warnings, 1, "without a source it is a base")
}

func TestControlDecoratesFrontendsIfAsked(t *testing.T) {
	c := newTestCache(t)
	f := &testFrontend{}
	opt := control.Opt{Frontends: map[string]frontend.Frontend{"test": f}, ContentStore: c.Store}
	assert.Same(t, f, newTestGuard(t, config.Config{}).Control(opt).Frontends["test"])
	asked := newTestGuard(t, config.Config{WarnImages: true})
	assert.IsType(t, &guardedFrontend{}, asked.Control(opt).Frontends["test"])
	assert.Same(t, f, opt.Frontends["test"], "the given map is as it was")
	once := asked.Frontends(opt.Frontends, c.Store)
	assert.Equal(t, once, asked.Frontends(once, c.Store))
	opt.ContentStore = nil
	assert.Same(t, f, asked.Control(opt).Frontends["test"], "nothing can be counted")
	assert.Same(t, f, asked.Frontends(opt.Frontends, nil)["test"])
}

// BenchmarkFrontends measures a frontend that does nothing but resolve an image
// with 61 layers, as it is and decorated.
func BenchmarkFrontends(b *testing.B) {
	const layers = 61
	c := newTestCache(b)
	_, resolved := c.image(b, layers, "linux/amd64")
	c.Convert(b, c.Chain(b, layers), compression.Zstd)
	bare := &testFrontend{sources: []string{"a"}, opt: ofAnImage}
	decorated := newTestGuard(b, config.Config{}).Frontends(map[string]frontend.Frontend{"test": bare}, c.Store)["test"]
	for name, f := range map[string]frontend.Frontend{"bare": bare, "decorated": decorated} {
		b.Run(name, func(b *testing.B) {
			bridge := &testBridge{known: map[string]*sourceresolver.MetaResponse{"a": resolved}}
			for b.Loop() {
				_, err := f.Solve(b.Context(), bridge, nil, nil, nil, "", nil)
				require.NoError(b, err)
			}
		})
	}
}

// TestImagesOfGatewaysAreTold has a bridge that knows one image, and asks for it in all ways.
func TestImagesOfGatewaysAreTold(t *testing.T) {
	image := resolvedImage(t, "docker-image://a", digest.FromString("a"), ocispecs.Image{RootFS: ocispecs.RootFS{DiffIDs: []digest.Digest{"sha256:a"}}})
	for name, tc := range map[string]struct {
		gateway bool
		opt     sourceresolver.Opt
		want    int
	}{
		"a frontend":                   {false, sourceresolver.Opt{}, 1},
		"the image of a gateway":       {true, sourceresolver.Opt{}, 0},
		"an image, through a gateway":  {true, ofAnImage, 1},
		"a layout, through a gateway":  {true, sourceresolver.Opt{OCILayoutOpt: &sourceresolver.ResolveOCILayoutOpt{}}, 1},
		"what fails, through a bridge": {false, sourceresolver.Opt{LogName: "fails"}, 0},
	} {
		bridge := &watchedBridge{FrontendLLBBridge: answeringBridge{answer: image}, gateway: tc.gateway}
		_, err := bridge.ResolveSourceMetadata(t.Context(), &pb.SourceOp{}, tc.opt)
		assert.Equal(t, tc.opt.LogName != "", err != nil)
		assert.Len(t, bridge.seen.ByDigest(), tc.want, name)
	}
}

// answeringBridge has an answer even if it fails.
type answeringBridge struct {
	frontend.FrontendLLBBridge // nil
	answer                     *sourceresolver.MetaResponse
}

func (b answeringBridge) ResolveSourceMetadata(_ context.Context, _ *pb.SourceOp, opt sourceresolver.Opt) (*sourceresolver.MetaResponse, error) {
	if opt.LogName == "fails" {
		return b.answer, errUnknownSource
	}
	return b.answer, nil
}

func TestNilGuardLeavesFrontendsAlone(t *testing.T) {
	f := &testFrontend{}
	var g *Guard
	assert.Same(t, f, g.Frontends(map[string]frontend.Frontend{"test": f}, newTestCache(t).Store)["test"])
}

// countedStore is a store that cannot tell of one blob, and counts its readers.
type countedStore struct {
	content.InfoReaderProvider
	unknown        digest.Digest
	opened, closed int
}

func (s *countedStore) Info(ctx context.Context, dgst digest.Digest) (content.Info, error) {
	if dgst == s.unknown {
		return content.Info{}, errFirst
	}
	return s.InfoReaderProvider.Info(ctx, dgst)
}

func (s *countedStore) ReaderAt(ctx context.Context, desc ocispecs.Descriptor) (content.ReaderAt, error) {
	s.opened++
	ra, err := s.InfoReaderProvider.ReaderAt(ctx, desc)
	return &countedReader{ra, s}, err
}

type countedReader struct {
	content.ReaderAt
	store *countedStore
}

func (r *countedReader) Close() error {
	r.store.closed++
	return r.ReaderAt.Close()
}

// TestImageThatIsHalfCounted has a layer of which the store cannot tell, below many others.
func TestImageThatIsHalfCounted(t *testing.T) {
	c := newTestCache(t)
	_, resolved := c.image(t, 12, "linux/amd64")
	c.Chain(t, 12, compression.Zstd)
	layer, _ := cachetest.Layer(t, 0, compression.Gzip)
	var seen baseimage.Seen
	seen.AddSource(resolved)
	for _, unknown := range []digest.Digest{"", layer.Digest} {
		store := &countedStore{InfoReaderProvider: c.Store, unknown: unknown}
		b := &testBridge{}
		ctx, hook := logged(c.Ctx)
		(&guardedFrontend{guard: newTestGuard(t, config.Config{}), store: store}).warn(ctx, b, seen.ByDigest()[0])
		assert.Equal(t, unknown == "", len(b.warnings) == 1)
		assert.Equal(t, unknown == "", len(hook.AllEntries()) == 0)
		assert.NotZero(t, store.opened)
		assert.Equal(t, store.opened, store.closed)
	}
}

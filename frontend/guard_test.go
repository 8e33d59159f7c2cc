package frontend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	gwclient "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/solver/pb"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// daemon is a client of a daemon that has some images, and keeps what it is
// warned of. Any method that it has not panics.
type daemon struct {
	gwclient.Client // nil
	opts            map[string]string
	images          map[string]image

	mu sync.Mutex
	// resolved counts the calls to resolve an image; warnings are their texts.
	// Both are protected by mu.
	resolved int
	warnings []string
}

// image is what the resolution of its configuration returns.
type image struct {
	digest digest.Digest
	config []byte
}

func newImage(t *testing.T, name string, layers int, platform string) image {
	t.Helper()
	file := ocispecs.Image{Platform: platforms.MustParse(platform)}
	for n := range layers {
		file.RootFS.DiffIDs = append(file.RootFS.DiffIDs, digest.FromString(fmt.Sprint(n)))
	}
	config, err := json.Marshal(file)
	require.NoError(t, err)
	return image{digest.FromString(name), config}
}

var errUnknownImage = errors.New("not found")

func (d *daemon) ResolveImageConfig(_ context.Context, ref string, opt sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.resolved++
	key := ref
	if opt.ImageOpt != nil && opt.ImageOpt.Platform != nil {
		key += " " + platforms.Format(*opt.ImageOpt.Platform)
	}
	i, ok := d.images[key]
	if !ok {
		return "", "", nil, errUnknownImage
	}
	return "example.com/" + ref, i.digest, i.config, nil
}

func (d *daemon) ResolveSourceMetadata(ctx context.Context, op *pb.SourceOp, opt sourceresolver.Opt) (*sourceresolver.MetaResponse, error) {
	ref, ok := strings.CutPrefix(op.Identifier, "docker-image://")
	if !ok {
		return &sourceresolver.MetaResponse{Op: op}, nil
	}
	name, dgst, config, err := d.ResolveImageConfig(ctx, ref, opt)
	if err != nil {
		return nil, err
	}
	return &sourceresolver.MetaResponse{
		Op:    &pb.SourceOp{Identifier: "docker-image://" + name},
		Image: &sourceresolver.ResolveImageResponse{Digest: dgst, Config: config},
	}, nil
}

func (d *daemon) BuildOpts() gwclient.BuildOpts { return gwclient.BuildOpts{Opts: d.opts} }

func (d *daemon) Warn(_ context.Context, _ digest.Digest, msg string, _ gwclient.WarnOpts) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.warnings = append(d.warnings, msg)
	return errors.New("nobody listens") // which is no matter
}

// resolving is a frontend that resolves images by all ways there are, at once. A
// name may be followed by a platform.
func resolving(names ...string) gwclient.BuildFunc {
	return func(ctx context.Context, c gwclient.Client) (*gwclient.Result, error) {
		errs := make([]error, 2*len(names))
		var wg sync.WaitGroup
		for n, name := range names {
			ref, platform, found := strings.Cut(name, " ")
			opt := sourceresolver.Opt{}
			if found {
				p := platforms.MustParse(platform)
				opt.ImageOpt = &sourceresolver.ResolveImageOpt{Platform: &p}
			}
			wg.Go(func() { _, _, _, errs[2*n] = c.ResolveImageConfig(ctx, ref, opt) })
			wg.Go(func() {
				_, errs[2*n+1] = c.ResolveSourceMetadata(ctx, &pb.SourceOp{Identifier: "docker-image://" + ref}, opt)
			})
		}
		wg.Wait()
		if n := slices.IndexFunc(errs, func(err error) bool { return err != nil }); n >= 0 {
			return nil, errs[n]
		}
		r := gwclient.NewResult()
		r.AddMeta("the", []byte("result"))
		return r, nil
	}
}

func (d *daemon) build(t *testing.T, f gwclient.BuildFunc) {
	t.Helper()
	result, err := f(t.Context(), d)
	require.NoError(t, err)
	assert.Equal(t, "result", string(result.Metadata["the"]))
}

func TestAnImageIsWarnedOfOnce(t *testing.T) {
	d := &daemon{images: map[string]image{
		"small":            newImage(t, "small", 9, "linux/amd64"),
		"large":            newImage(t, "large", 61, "linux/amd64"),
		"same":             newImage(t, "large", 61, "linux/amd64"),
		"both linux/amd64": newImage(t, "both", 12, "linux/amd64"),
		"both linux/arm64": newImage(t, "both", 13, "linux/arm64"),
	}}
	d.build(t, Guard(resolving("small", "large", "large", "large", "same", "large")))
	require.Len(t, d.warnings, 1)
	assert.Regexp(t, `^cache guard: example\.com/(large|same) has 61 layers: on a worker that holds them in 2 compressions, `+
		`a cache export without the guard takes over 16EiB of memory for 2\^60 combinations, `+
		`see https://github\.com/bkguard/bkguard/blob/main/docs/frontends\.md$`, d.warnings[0])
	assert.Equal(t, 12, d.resolved, "the daemon is asked as often as by the frontend alone")

	d.warnings = nil
	d.build(t, Guard(resolving("both linux/amd64", "both linux/arm64", "both linux/amd64")))
	require.Len(t, d.warnings, 1)
	assert.Contains(t, d.warnings[0], "example.com/both for linux/arm64 has 13 layers")

	d.warnings = nil
	d.build(t, Guard(resolving("both linux/arm64", "large")))
	require.Len(t, d.warnings, 2, "two images")
}

// TestPlatformWithTheMostLayersCounts has it first and last.
func TestPlatformWithTheMostLayersCounts(t *testing.T) {
	d := &daemon{images: map[string]image{
		"both linux/amd64": newImage(t, "both", 12, "linux/amd64"),
		"both linux/arm64": newImage(t, "both", 13, "linux/arm64"),
	}}
	for _, order := range [][]string{{"linux/amd64", "linux/arm64"}, {"linux/arm64", "linux/amd64"}} {
		d.warnings = nil
		d.build(t, Guard(func(ctx context.Context, c gwclient.Client) (*gwclient.Result, error) {
			for _, platform := range order {
				p := platforms.MustParse(platform)
				_, _, _, err := c.ResolveImageConfig(ctx, "both", sourceresolver.Opt{ImageOpt: &sourceresolver.ResolveImageOpt{Platform: &p}})
				require.NoError(t, err)
			}
			return resolving()(ctx, c)
		}))
		require.Len(t, d.warnings, 1)
		assert.Contains(t, d.warnings[0], "example.com/both for linux/arm64 has 13 layers")
	}
}

func TestEitherWayToResolveIsSeen(t *testing.T) {
	d := &daemon{images: map[string]image{"large": newImage(t, "large", 61, "linux/amd64")}}
	for name, resolve := range map[string]func(context.Context, gwclient.Client) error{
		"a configuration": func(ctx context.Context, c gwclient.Client) error {
			_, _, _, err := c.ResolveImageConfig(ctx, "large", sourceresolver.Opt{})
			return err
		},
		"a source": func(ctx context.Context, c gwclient.Client) error {
			_, err := c.ResolveSourceMetadata(ctx, &pb.SourceOp{Identifier: "docker-image://large"}, sourceresolver.Opt{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			d.warnings = nil
			d.build(t, Guard(func(ctx context.Context, c gwclient.Client) (*gwclient.Result, error) {
				require.NoError(t, resolve(ctx, c))
				return resolving()(ctx, c)
			}))
			require.Len(t, d.warnings, 1)
			assert.Contains(t, d.warnings[0], "cache guard: example.com/large has 61 layers")

			_, err := Guard(func(ctx context.Context, c gwclient.Client) (*gwclient.Result, error) {
				return nil, resolve(ctx, c)
			})(t.Context(), &daemon{})
			assert.Equal(t, errUnknownImage, err)
		})
	}
}

func TestLimitAndCompressionsAreOptions(t *testing.T) {
	d := &daemon{images: map[string]image{"image": newImage(t, "image", 9, "linux/amd64")}}
	for name, test := range map[string]struct {
		options []Option
		want    string
	}{
		"256 combinations are allowed": {nil, ""},
		"one less":                     {[]Option{WithMaxRemotes(255)}, "in 2 compressions"},
		"a third compression":          {[]Option{WithCompressions(3)}, "in 3 compressions"},
		"more of both":                 {[]Option{WithCompressions(3), WithMaxRemotes(6561)}, ""},
		"a single compression":         {[]Option{WithCompressions(1), WithMaxRemotes(1)}, ""},
		"none means the defaults":      {[]Option{WithCompressions(-1), WithMaxRemotes(-1)}, ""},
		"zero means them, too":         {[]Option{WithMaxRemotes(0)}, ""},
		"for both":                     {[]Option{WithCompressions(0), WithMaxRemotes(255)}, "in 2 compressions"},
	} {
		t.Run(name, func(t *testing.T) {
			d.warnings = nil
			d.build(t, Guard(resolving("image"), test.options...))
			if test.want == "" {
				assert.Empty(t, d.warnings)
				return
			}
			require.Len(t, d.warnings, 1)
			assert.Contains(t, d.warnings[0], test.want)
		})
	}
}

func TestWhatIsNoImageIsLeftOut(t *testing.T) {
	d := &daemon{images: map[string]image{
		"broken":         {digest.FromString("broken"), []byte("{")},
		"scratch":        newImage(t, "scratch", 0, "linux/amd64"),
		"without config": {digest.FromString("none"), nil},
		"without digest": {"", newImage(t, "", 61, "linux/amd64").config},
	}}
	for name := range d.images {
		d.build(t, Guard(func(ctx context.Context, c gwclient.Client) (*gwclient.Result, error) {
			_, _, _, err := c.ResolveImageConfig(ctx, name, sourceresolver.Opt{})
			require.NoError(t, err)
			return resolving()(ctx, c)
		}, WithMaxRemotes(1)))
	}
	assert.Empty(t, d.warnings)
}

func TestErrorsAreThoseOfTheFrontend(t *testing.T) {
	d := &daemon{images: map[string]image{"large": newImage(t, "large", 61, "linux/amd64")}}
	_, err := Guard(resolving("large", "missing"))(t.Context(), d)
	assert.Equal(t, errUnknownImage, err, "not wrapped")
	assert.Empty(t, d.warnings, "of a build that has failed")
}

func TestOtherRequestsAreNotWarned(t *testing.T) {
	d := &daemon{
		opts:   map[string]string{"requestid": "frontend.lint"},
		images: map[string]image{"large": newImage(t, "large", 61, "linux/amd64")},
	}
	d.build(t, Guard(resolving("large")))
	assert.Empty(t, d.warnings)
}

// containerDaemon is the client that a frontend in a container has.
type containerDaemon struct{ *daemon }

func (containerDaemon) CurrentFrontend() (*llb.State, error) {
	return nil, errors.New("the method of the client")
}

func TestTheOptionalMethodIsKept(t *testing.T) {
	d := &daemon{}
	look := func(want bool) gwclient.BuildFunc {
		return Guard(func(ctx context.Context, c gwclient.Client) (*gwclient.Result, error) {
			f, ok := c.(interface{ CurrentFrontend() (*llb.State, error) })
			assert.Equal(t, want, ok)
			if ok {
				_, err := f.CurrentFrontend()
				assert.EqualError(t, err, "the method of the client")
			}
			return resolving()(ctx, c)
		})
	}
	d.build(t, look(false))
	_, err := look(true)(t.Context(), containerDaemon{d})
	require.NoError(t, err)
}

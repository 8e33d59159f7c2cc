package test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/frontend/dockerfile/builder"
	gwclient "github.com/moby/buildkit/frontend/gateway/client"
	digest "github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tonistiigi/fsutil"
	"golang.org/x/sync/errgroup"

	"github.com/bkguard/bkguard/frontend"
	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

// assumedWarning is what the middleware says of an image with 61 layers.
const assumedWarning = " has 61 layers: on a worker that holds them in 2 compressions, " +
	"a cache export without the guard takes over 16EiB of memory for 2^60 combinations, see https://"

// fiveStages is a Dockerfile with five stages on the same base image.
func fiveStages(base string) string {
	text := "FROM " + base + " AS stage-0\n"
	for n := range 4 {
		text += fmt.Sprintf("FROM %s AS stage-%d\nCOPY --from=stage-%d /bin/step /step\n", base, n+1, n)
	}
	return text
}

// clientBuild is a build of upstream's client; see inProcess and onDaemon.
type clientBuild func(context.Context, *client.Client, client.SolveOpt, chan *client.SolveStatus) (*client.SolveResponse, error)

// inProcess builds with a frontend in this process.
func inProcess(f gwclient.BuildFunc) clientBuild {
	return func(ctx context.Context, c *client.Client, opt client.SolveOpt, status chan *client.SolveStatus) (*client.SolveResponse, error) {
		return c.Build(ctx, opt, "", f, status)
	}
}

// onDaemon builds with a frontend of the daemon, or with the one in an image.
func onDaemon(name, image string) clientBuild {
	return func(ctx context.Context, c *client.Client, opt client.SolveOpt, status chan *client.SolveStatus) (*client.SolveResponse, error) {
		opt.Frontend = name
		opt.FrontendAttrs["source"] = image
		return c.Solve(ctx, nil, opt, status)
	}
}

// run builds a Dockerfile on a daemon. It returns all that the daemon has
// reported, in order.
func (b clientBuild) run(ctx context.Context, t *testing.T, d *harness.Daemon, dockerfile string) (*client.SolveResponse, []*client.SolveStatus, error) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o600))
	files, err := fsutil.NewFS(dir)
	require.NoError(t, err)
	c, err := client.New(ctx, d.Address())
	require.NoError(t, err)
	defer c.Close()
	var (
		eg       errgroup.Group
		response *client.SolveResponse
		reported []*client.SolveStatus
		status   = make(chan *client.SolveStatus)
	)
	eg.Go(func() (err error) {
		response, err = b(ctx, c, client.SolveOpt{
			FrontendAttrs: map[string]string{"build-arg:SOURCE_DATE_EPOCH": "0"},
			LocalMounts:   map[string]fsutil.FS{"context": files, "dockerfile": files},
			Exports:       []client.ExportEntry{{Type: client.ExporterImage}},
		}, status)
		return err
	})
	for s := range status {
		reported = append(reported, s)
	}
	return response, reported, eg.Wait()
}

// TestFrontendWarnsInTheStatusStream holds that a client is told once of a base
// image, also if five stages share it, on a step that it knows and that has an
// event to come, and that the result is that of upstream's frontend.
func TestFrontendWarnsInTheStatusStream(t *testing.T) {
	t.Parallel()
	registry := parts.Registry(t)
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: 61})
	require.NoError(t, err)
	binary, err := harness.Compile(t.Context(), "./test/harness/dockerfile")
	require.NoError(t, err)
	image, err := registry.PushProgram(t.Context(), "dockerfile", binary)
	require.NoError(t, err)
	daemon := startDaemon(t, harness.DaemonOptions{Binary: binaries(t).Stock, Registries: []string{registry.Host}})
	for name, test := range map[string]struct {
		build      clientBuild
		dockerfile string
	}{
		// Upstream's frontend has a data race in it with more than one stage
		// (frontend/dockerfile/builder/resolvecache.go, CacheError).
		"in process":     {inProcess(frontend.Guard(builder.Build)), harness.RunSteps(base, 1)},
		"in a container": {onDaemon("gateway.v0", image), fiveStages(base)},
	} {
		t.Run(name, func(t *testing.T) {
			bare, reported, err := onDaemon("dockerfile.v0", "").run(t.Context(), t, daemon, test.dockerfile)
			require.NoError(t, err)
			assert.Empty(t, warnings(reported))
			guarded, reported, err := test.build.run(t.Context(), t, daemon, test.dockerfile)
			require.NoError(t, err)
			const result = "containerimage.config.digest"
			assert.NotEmpty(t, bare.ExporterResponse[result])
			assert.Equal(t, bare.ExporterResponse[result], guarded.ExporterResponse[result])

			told := warnings(reported)
			require.Len(t, told, 1)
			assert.Contains(t, string(told[0].Short), "cache guard: "+base+assumedWarning)
			assert.Len(t, told[0].Detail, 2)
			assert.NotEmpty(t, told[0].URL)
			// The plain progress shows a warning with the next event of its step.
			before, after := eventsAround(reported, told[0].Vertex)
			assert.Positive(t, before, "the step is not known")
			assert.Positive(t, after, "the step has no event any more")
		})
	}
}

func warnings(reported []*client.SolveStatus) []*client.VertexWarning {
	var all []*client.VertexWarning
	for _, s := range reported {
		all = append(all, s.Warnings...)
	}
	return all
}

// eventsAround counts the events of a step until its warning is there, and from
// then on. Of what comes together, clients look at the events first.
func eventsAround(reported []*client.SolveStatus, step digest.Digest) (before, after int) {
	warned := false
	for _, s := range reported {
		warned = warned || len(s.Warnings) > 0
		for _, v := range s.Vertexes {
			switch {
			case v.Digest != step:
			case warned:
				after++
				if len(s.Warnings) > 0 {
					before++
				}
			default:
				before++
			}
		}
	}
	return before, after
}

// TestFrontendErrorsAreUnchanged compares the failures of upstream's frontend
// with those that it has with the middleware, and in a daemon with warnImages.
func TestFrontendErrorsAreUnchanged(t *testing.T) {
	t.Parallel()
	registry := parts.Registry(t)
	private, err := harness.StartPrivateRegistry(t.Context(), binaries(t).Registry)
	require.NoError(t, err)
	removeWithTest(t, private)
	artifact, err := registry.PushArtifact(t.Context())
	require.NoError(t, err)
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: 12})
	require.NoError(t, err)
	registries := []string{registry.Host, private.Host}
	stock := startDaemon(t, harness.DaemonOptions{Binary: binaries(t).Stock, Registries: registries})
	warning := startDaemon(t, harness.DaemonOptions{
		Binary:     binaries(t).Guarded,
		Config:     "guard.warnImages = true\n",
		Registries: registries,
	})
	for name, test := range map[string]struct{ dockerfile, want string }{
		"an image that does not exist": {"FROM " + registry.Host + "/none:latest\n", "not found"},
		"a private image":              {"FROM " + private.Host + "/image:latest\n", "401 Unauthorized"},
		"a manifest of unknown type":   {"FROM " + artifact + "\n", "encountered unknown type application/vnd.test.unknown+json"},
		"a step that fails":            {"FROM " + base + "\nRUN [\"/bin/none\"]\n", "/bin/none"},
	} {
		fails := func(t *testing.T, d *harness.Daemon, b clientBuild) string {
			t.Helper()
			_, _, err := b.run(t.Context(), t, d, test.dockerfile)
			require.ErrorContains(t, err, test.want)
			return err.Error()
		}
		t.Run(name, func(t *testing.T) {
			assert.Equal(t,
				fails(t, stock, inProcess(builder.Build)),
				fails(t, stock, inProcess(frontend.Guard(builder.Build))))
			assert.Equal(t,
				fails(t, stock, onDaemon("dockerfile.v0", "")),
				fails(t, warning, onDaemon("dockerfile.v0", "")))
		})
	}
}

func exampleFrontend(t *testing.T) []byte {
	t.Helper()
	binary, err := harness.Compile(t.Context(), "./examples/frontend")
	require.NoError(t, err)
	return binary
}

// TestExampleFrontend builds with the example in a container and in a process of
// its own, as its documentation says.
func TestExampleFrontend(t *testing.T) {
	t.Parallel()
	registry := parts.Registry(t)
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: 61})
	require.NoError(t, err)
	binary := exampleFrontend(t)
	image, err := registry.PushProgram(t.Context(), "recipe", binary)
	require.NoError(t, err)
	daemon := startDaemon(t, harness.DaemonOptions{Binary: binaries(t).Stock, Registries: []string{registry.Host}})
	files := map[string]string{
		"Recipe":    "# a comment\nbase " + base + "\ncopy hello.txt /hello.txt\nrun /bin/step /run.txt text\n",
		"hello.txt": "hello",
	}
	warned := func(out string) int { return strings.Count(out, "WARN: cache guard: "+base+assumedWarning) }

	result, err := daemon.Build(t.Context(), harness.Build{
		Frontend: "gateway.v0",
		Opts:     []string{"source=" + image, "filename=Recipe"},
		Files:    files,
		Output:   harness.PushOutput(registry.Host + "/container:latest"),
	})
	require.NoError(t, err)
	assert.Equal(t, 1, warned(result.Output), result.Output)

	dir := t.TempDir()
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	program := filepath.Join(t.TempDir(), "frontend")
	require.NoError(t, os.WriteFile(program, binary, 0o700))
	out, err := harness.Run(t.Context(), harness.Command{
		Path: program,
		Args: []string{"-addr", daemon.Address(), "-output", registry.Host + "/process:latest", dir},
	})
	require.NoError(t, err, out)
	assert.Equal(t, 1, warned(out), out)

	for _, built := range []string{"container", "process"} {
		// The last step fails unless both files are there.
		_, err = daemon.Build(t.Context(), harness.Build{
			Dockerfile: "FROM " + registry.Host + "/" + built + " AS built\nFROM scratch\nCOPY --from=built /hello.txt /run.txt /\n",
		})
		assert.NoError(t, err, built)
	}
}

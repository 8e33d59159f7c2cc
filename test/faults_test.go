package test

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/containerd/v2/pkg/labels"
	digest "github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/internal/inspect"
	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

var faultRounds = flag.Int("faults", 1, "inject each fault so many `times`")

// faultLayers is the number of layers of the base image in the tests of faults,
// which stock can take in two compressions.
const faultLayers = 12

// scene is a build whose cache is exported while something is broken, and what
// is known of it from before.
type scene struct {
	registry *harness.Registry
	build    harness.Build
	// base are the layers of the base image, bottom layer first, uncompressed.
	base []digest.Digest
	// tree is the result of the build.
	tree harness.Tree
}

// newScene makes a scene whose build has RUN steps.
func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{registry: parts.Registry(t)}
	base, err := s.registry.PushBase(t.Context(), harness.Base{Layers: faultLayers})
	require.NoError(t, err)
	image, err := s.registry.Image(t.Context(), base)
	require.NoError(t, err)
	for _, blob := range image.Blobs {
		s.base = append(s.base, digest.Digest(blob.Annotations[labels.LabelUncompressed]))
	}
	s.build.Dockerfile = harness.RunSteps(base, steps)
	return s
}

// start starts a daemon that holds every layer of the build in two compressions.
func (s *scene) start(t *testing.T, o harness.DaemonOptions, name string) *harness.Daemon {
	t.Helper()
	o.Registries = append(o.Registries, s.registry.Host)
	daemon := startDaemon(t, o)
	s.tree = s.unpack(t, daemon)
	require.NoError(t, daemon.MixCompressions(t.Context(), s.build.Dockerfile, s.registry.Host+"/image-"+name))
	return daemon
}

// unpack builds and returns the files of the result.
func (s *scene) unpack(t *testing.T, d *harness.Daemon) harness.Tree {
	t.Helper()
	dir := t.TempDir()
	build := s.build
	build.Output = "type=local,dest=" + dir
	_, err := d.Build(t.Context(), build)
	require.NoError(t, err)
	tree, err := harness.ReadTree(dir)
	require.NoError(t, err)
	return tree
}

// to is the build with its cache exported, all records of it, to a repository on
// a host: the registry, or a proxy before it.
func (s *scene) to(host, repository string, attributes ...string) harness.Build {
	build := s.build
	build.ExportCache = []string{strings.Join(append([]string{"type=registry", "mode=max", "ref=" + host + "/" + repository}, attributes...), ",")}
	return build
}

// exportWhile exports while something happens, from when the export has begun. Its
// context ends with the build; if the export never begins, that is before.
func exportWhile(t *testing.T, d *harness.Daemon, b harness.Build, happens func(context.Context) error) (harness.BuildResult, error) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	exporting := &trigger{text: "exporting cache", seen: make(chan struct{})}
	happened := make(chan error)
	go func() {
		<-exporting.seen
		happened <- happens(ctx)
	}()
	b.Progress = exporting
	result, err := d.Build(t.Context(), b)
	stop()
	exporting.fire()
	require.NoError(t, <-happened)
	return result, err
}

// trigger is a writer that closes seen when it is written a text.
type trigger struct {
	text string
	once sync.Once
	seen chan struct{}
}

func (t *trigger) Write(p []byte) (int, error) {
	if strings.Contains(string(p), t.text) {
		t.fire()
	}
	return len(p), nil
}

func (t *trigger) fire() { t.once.Do(func() { close(t.seen) }) }

// retry holds that a daemon has lost nothing: its worker answers, all steps are
// still cached and it exports. What it has exported is checked.
func (s *scene) retry(t *testing.T, d *harness.Daemon, repository string, attributes ...string) {
	t.Helper()
	for _, question := range [][]string{{"debug", "workers"}, {"du"}} {
		out, err := d.Buildctl(t.Context(), question...)
		require.NoError(t, err, out)
	}
	result, err := d.Build(t.Context(), s.to(s.registry.Host, repository, attributes...))
	require.NoError(t, err)
	assert.Equal(t, result.Steps, result.Cached, result.Output)
	s.check(t, repository)
}

// check holds that a cache is whole, and what checkImport does.
func (s *scene) check(t *testing.T, repository string) {
	t.Helper()
	longest := s.checkChains(t, repository)
	assert.Greater(t, longest, len(s.base), "layers of the longest chain")
	s.checkImport(t, "type=registry,ref="+s.registry.Host+"/"+repository)
}

// checkImport holds that a daemon which knows nothing but a cache executes no step, and
// that what it unpacks is the result of the build.
func (s *scene) checkImport(t *testing.T, from string) {
	t.Helper()
	fresh := startDaemon(t, harness.DaemonOptions{Binary: binaries(t).Guarded, Registries: []string{s.registry.Host}})
	build := s.build
	build.ImportCache = []string{from}
	result, err := fresh.Build(t.Context(), build)
	require.NoError(t, err)
	assert.NotZero(t, result.Steps, result.Output)
	assert.Equal(t, result.Steps, result.Cached, result.Output)
	assert.Equal(t, s.tree, s.unpack(t, fresh), "files of the result")
	_, err = fresh.Stop(t.Context())
	require.NoError(t, err)
}

// checkChains downloads a cache and holds that all of it is there, that every
// blob is what its digest says and holds the layer that it is said to hold, and
// that every chain begins with the layers of the base image in their order, each
// once. It returns the length of the longest.
func (s *scene) checkChains(t *testing.T, repository string) int {
	t.Helper()
	for _, c := range inRegistry(t.Context(), t, s.registry.Host+"/"+repository) {
		assert.NotEqual(t, inspect.Broken, c.Worst(), "%v", c.Findings) // stock writes layers twice
	}
	m, err := s.registry.Cache(t.Context(), s.registry.Host+"/"+repository)
	require.NoError(t, err)
	layerOf, err := s.registry.Uncompressed(t.Context(), s.registry.Host+"/"+repository, m.Digests())
	require.NoError(t, err)
	for _, blob := range m.Blobs {
		assert.Equal(t, layerOf[blob.Digest].String(), blob.Annotations[labels.LabelUncompressed], "uncompressed digest of %s", blob.Digest)
	}
	chains, err := m.Chains()
	require.NoError(t, err)
	longest := 0
	for _, chain := range chains {
		var layers []digest.Digest
		for _, blob := range chain {
			layers = append(layers, layerOf[blob])
		}
		bottom := min(len(layers), len(s.base))
		assert.Equal(t, s.base[:bottom], layers[:bottom], "bottom layers of a chain")
		for _, layer := range layers[bottom:] {
			assert.False(t, slices.Contains(s.base, layer), "%s is a layer of the base image", layer)
		}
		longest = max(longest, len(chain))
	}
	return longest
}

// checkWhole holds that a cache is whole if there is one.
func (s *scene) checkWhole(t *testing.T, repository string) {
	t.Helper()
	there, err := s.registry.Has(t.Context(), s.registry.Host+"/"+repository)
	require.NoError(t, err)
	if there {
		s.checkChains(t, repository)
	}
}

// startProxies starts what makes proxies; it is stopped with the test.
func startProxies(t *testing.T) *harness.Toxiproxy {
	t.Helper()
	toxi, err := harness.StartToxiproxy(t.Context(), parts.Tool(t, "toxiproxy"))
	require.NoError(t, err)
	removeWithTest(t, toxi)
	return toxi
}

// inRounds runs a fault as often as is asked for, each time with a repository
// that nothing was exported to.
func inRounds(t *testing.T, name string, fault func(t *testing.T, round int, repository string)) {
	t.Helper()
	for round := range *faultRounds {
		t.Run(fmt.Sprintf("round %d", round+1), func(t *testing.T) {
			fault(t, round, repositoryOf(name, round))
		})
	}
}

// repositoryOf is a repository for one round of a fault.
func repositoryOf(fault string, round int) string {
	return fmt.Sprintf("cache-%s-%d", strings.ReplaceAll(fault, " ", "-"), round+1)
}

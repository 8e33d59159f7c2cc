package docker

import (
	"fmt"
	"testing"

	apicontainer "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

// images are the base images of the tests, by their names.
var images = map[string]harness.Base{
	"30 layers":          {Layers: 30},
	"61 layers":          {Layers: 61},
	"61 layers of 8 MiB": {Layers: 61, LayerSize: 8 << 20},
}

// play makes the builds of moby/buildkit issue 6088 on an engine: one in gzip, one in zstd with
// every layer converted, and one that exports its cache. The error is that of the first build
// that fails.
func play(t *testing.T, e *harness.Engine, base, place string) error {
	t.Helper()
	for _, b := range []harness.BuildxBuild{
		{Output: harness.PushOutput(place + ":gzip")},
		{Output: harness.PushOutput(place+":zstd", "compression=zstd", "force-compression=true")},
		{CacheTo: []string{"type=registry,mode=max,ref=" + place + ":cache"}},
	} {
		b.Dockerfile = dockerfile(base)
		if _, err := e.Build(t.Context(), b); err != nil {
			return err
		}
	}
	return nil
}

// TestExportSurvives holds that the guarded engine exports layers in two compressions within a
// memory limit that the stock one is killed with, that the cache is whole, and that a container
// which runs meanwhile is not disturbed.
func TestExportSurvives(t *testing.T) {
	registry := parts.Registry(t)
	for name, image := range images {
		t.Run(name, func(t *testing.T) {
			base, err := registry.PushBase(t.Context(), image)
			require.NoError(t, err)
			place := fmt.Sprintf("%s/%d-%d", registry.Host, image.Layers, image.LayerSize)

			e := parts.Engine(t, harness.EngineOptions{Binary: guarded(t), MemoryLimit: limit})
			running := startContainer(t, e, registry)
			require.NoError(t, play(t, e, base, place))
			assertUndisturbed(t, e, running)
			exit, err := e.Stop(t.Context())
			require.NoError(t, err)
			assert.Equal(t, 0, exit.Code)
			assert.Zero(t, exit.Usage.OOMKills)
			t.Logf("guarded: peak %d MiB", exit.PeakRSS>>20)

			fresh := startDaemon(t, registry)
			result, err := fresh.Build(t.Context(), harness.Build{Dockerfile: dockerfile(base), ImportCache: []string{"type=registry,ref=" + place + ":cache"}})
			require.NoError(t, err)
			assert.Equal(t, steps, result.Cached, result.Output)

			other := parts.Engine(t, harness.EngineOptions{Binary: stock(t), MemoryLimit: limit})
			require.Error(t, play(t, other, base, place+"-stock"))
			exit, err = other.Stop(t.Context())
			require.NoError(t, err)
			assert.True(t, exit.OOMKilled(), "the stock engine has ended with %v", exit)
		})
	}
}

// container is one that runs, and since when.
type container struct{ id, started string }

// startContainer starts a container that reads its input until it is stopped.
func startContainer(t *testing.T, e *harness.Engine, registry *harness.Registry) container {
	t.Helper()
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: 1})
	require.NoError(t, err)
	_, err = e.Build(t.Context(), harness.BuildxBuild{
		Dockerfile: "FROM " + base + "\nENTRYPOINT [\"/bin/step\", \"/out\", \"text\", \"/dev/stdin\"]\n",
		Output:     "type=docker,name=reads",
	})
	require.NoError(t, err)
	created, err := e.Client.ContainerCreate(t.Context(), client.ContainerCreateOptions{
		Config:     &apicontainer.Config{Image: "reads", OpenStdin: true},
		HostConfig: &apicontainer.HostConfig{NetworkMode: "none"},
	})
	require.NoError(t, err)
	_, err = e.Client.ContainerStart(t.Context(), created.ID, client.ContainerStartOptions{})
	require.NoError(t, err)
	return container{created.ID, startedAt(t, e, created.ID)}
}

// startedAt is when a container was started that runs.
func startedAt(t *testing.T, e *harness.Engine, id string) string {
	t.Helper()
	found, err := e.Client.ContainerInspect(t.Context(), id, client.ContainerInspectOptions{})
	require.NoError(t, err)
	require.True(t, found.Container.State.Running, "%+v", found.Container.State)
	return found.Container.State.StartedAt
}

// assertUndisturbed holds that a container has run all the time.
func assertUndisturbed(t *testing.T, e *harness.Engine, c container) {
	t.Helper()
	assert.Equal(t, c.started, startedAt(t, e, c.id))
}

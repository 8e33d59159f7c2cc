package docker

import (
	"testing"

	"github.com/moby/moby/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

// TestGraphDriverIsAsStock builds with the image store that the engine had before containerd's,
// which exports inline cache only, and holds that both engines make such an image and find its
// cache again.
func TestGraphDriverIsAsStock(t *testing.T) {
	registry := parts.Registry(t)
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: 12})
	require.NoError(t, err)
	layers := map[string][]string{}
	for name, binary := range map[string]string{"guarded": guarded(t), "stock": stock(t)} {
		place := registry.Host + "/" + name
		o := harness.EngineOptions{Binary: binary, GraphDriver: true}
		e := parts.Engine(t, o)
		_, err := e.Build(t.Context(), harness.BuildxBuild{
			Dockerfile: dockerfile(base),
			Output:     "type=image,name=" + place + ",push=true",
			CacheTo:    []string{"type=inline"},
		})
		require.NoError(t, err)
		found, err := e.Client.ImageInspect(t.Context(), place)
		require.NoError(t, err)
		require.Len(t, found.RootFS.Layers, 12+steps)
		layers[name] = found.RootFS.Layers[:12] // those of steps have their times in them

		_, err = e.Build(t.Context(), harness.BuildxBuild{Dockerfile: dockerfile(base), CacheTo: []string{"type=registry,ref=" + place + ":cache"}})
		require.ErrorContains(t, err, "Cache export is not supported for the docker driver", name)

		result, err := parts.Engine(t, o).Build(t.Context(), harness.BuildxBuild{Dockerfile: dockerfile(base), CacheFrom: []string{"type=registry,ref=" + place}})
		require.NoError(t, err)
		assert.Equal(t, steps, result.Cached, "%s: %s", name, result.Output)
	}
	assert.Equal(t, layers["stock"], layers["guarded"])
}

// TestAnswersAreStock holds that what the engine says of itself is what the stock one says, but for
// versions.
func TestAnswersAreStock(t *testing.T) {
	type answers struct {
		platform, components []string
		drivers, runtimes    any
		features             any
		version, commit      string
	}
	ask := func(binary string) answers {
		e := parts.Engine(t, harness.EngineOptions{Binary: binary})
		version, err := e.Client.ServerVersion(t.Context(), client.ServerVersionOptions{})
		require.NoError(t, err)
		info, err := e.Client.Info(t.Context(), client.InfoOptions{})
		require.NoError(t, err)
		a := answers{drivers: info.Info.Plugins, runtimes: info.Info.Runtimes, features: info.Info.SecurityOptions, version: version.Version}
		a.platform = []string{version.APIVersion, version.MinAPIVersion, version.Os, version.Arch, info.Info.Driver, info.Info.CgroupDriver, info.Info.OperatingSystem}
		for _, c := range version.Components {
			a.components = append(a.components, c.Name)
			if c.Name == "Engine" {
				a.commit = c.Details["GitCommit"]
			}
		}
		return a
	}
	ours, others := ask(guarded(t)), ask(stock(t))
	assert.Contains(t, ours.commit, "bkguard-")
	assert.NotContains(t, others.commit, "bkguard")
	ours.commit = others.commit
	assert.Equal(t, others, ours)
}

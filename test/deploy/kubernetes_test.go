package deploy

import (
	"encoding/json"
	"path"
	"slices"
	"strings"
	"testing"

	buildkitd "github.com/moby/buildkit/cmd/buildkitd/config"
	toml "github.com/pelletier/go-toml/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/guard"

	"github.com/bkguard/bkguard/test/parts"
)

// manifest has the fields of any kind that the tests look at.
type manifest struct {
	Kind     string
	Metadata struct{ Name string }
	Data     map[string]string
	Spec     struct {
		Selector    json.RawMessage
		PodSelector struct{ MatchLabels map[string]string }
		Template    struct {
			Metadata struct{ Labels map[string]string }
			Spec     struct {
				Containers []struct {
					Args            []string
					Image           string
					SecurityContext struct {
						Privileged   bool
						RunAsNonRoot bool
					}
					VolumeMounts []struct{ Name, MountPath, SubPath string }
				}
				Volumes []struct {
					Name      string
					ConfigMap struct{ Name string }
				}
			}
		}
	}
}

// manifests builds a kustomization, and has the code of the API server check it.
func manifests(t *testing.T, name string) []manifest {
	t.Helper()
	text := check(t, "", parts.Tool(t, "kustomize"), "build", deployed("kubernetes/"+name))
	var all []manifest
	for line := range strings.Lines(check(t, text, parts.Tool(t, "kubecheck"))) {
		var m manifest
		require.NoError(t, json.Unmarshal([]byte(line), &m))
		all = append(all, m)
	}
	return all
}

// find returns the only manifest of a kind whose name begins with a prefix.
func find(t *testing.T, all []manifest, kind, prefix string) manifest {
	t.Helper()
	found := slices.DeleteFunc(slices.Clone(all), func(m manifest) bool {
		return m.Kind != kind || !strings.HasPrefix(m.Metadata.Name, prefix)
	})
	require.Len(t, found, 1)
	return found[0]
}

// variants are the kustomizations, and whether their daemon is root.
var variants = map[string]bool{"base": true, "rootless": false}

func TestAPIServerAcceptsTheManifests(t *testing.T) {
	for variant, isRoot := range variants {
		all := manifests(t, variant)
		assert.Len(t, all, 6)
		daemon := find(t, all, "StatefulSet", "buildkitd").Spec.Template.Spec.Containers[0]
		assert.Equal(t, isRoot, daemon.SecurityContext.Privileged, variant)
		assert.Equal(t, !isRoot, daemon.SecurityContext.RunAsNonRoot, variant)
		tag := release(t) + "-bkguard." + guard.Version
		if !isRoot {
			tag += "-rootless"
		}
		assert.Equal(t, "registry.example.com/bkguard:"+tag, daemon.Image)
	}
}

// TestManifestsSelectTheDaemon holds that service, network policy and disruption
// budget are about the pods of the stateful set.
func TestManifestsSelectTheDaemon(t *testing.T) {
	for variant := range variants {
		all := manifests(t, variant)
		labels := find(t, all, "StatefulSet", "buildkitd").Spec.Template.Metadata.Labels
		require.NotEmpty(t, labels)
		text, err := json.Marshal(labels)
		require.NoError(t, err)
		assert.JSONEq(t, string(text), string(find(t, all, "Service", "buildkitd").Spec.Selector))
		assert.JSONEq(t, `{"matchLabels":`+string(text)+`}`, string(find(t, all, "PodDisruptionBudget", "buildkitd").Spec.Selector))
		assert.Equal(t, labels, find(t, all, "NetworkPolicy", "buildkitd").Spec.PodSelector.MatchLabels)
	}
}

// TestDaemonReadsItsConfigMaps follows the daemon's configuration, and the
// switch file that this names, to the ConfigMaps they come from.
func TestDaemonReadsItsConfigMaps(t *testing.T) {
	for variant := range variants {
		all := manifests(t, variant)
		pod := find(t, all, "StatefulSet", "buildkitd").Spec.Template.Spec
		// source is the ConfigMap that a path is mounted from, as a directory.
		source := func(file string) string {
			for _, mount := range pod.Containers[0].VolumeMounts {
				for _, volume := range pod.Volumes {
					if mount.MountPath == path.Dir(file) && mount.Name == volume.Name {
						require.Empty(t, mount.SubPath, "changes would not arrive")
						return volume.ConfigMap.Name
					}
				}
			}
			require.Fail(t, "nothing is mounted", file)
			return ""
		}
		require.Len(t, pod.Containers[0].Args, 2)
		require.Equal(t, "--config", pod.Containers[0].Args[0])
		file := pod.Containers[0].Args[1]
		configMap := find(t, all, "ConfigMap", "buildkitd-config-")
		assert.Equal(t, configMap.Metadata.Name, source(file), variant)
		text := configMap.Data[path.Base(file)]
		table, err := config.Parse(file, []byte(text))
		require.NoError(t, err)

		toggle := find(t, all, "ConfigMap", "buildkitd-switch")
		assert.Equal(t, toggle.Metadata.Name, source(table.SwitchFile), variant)
		assert.Contains(t, toggle.Data, path.Base(table.SwitchFile))

		// Upstream ignores what it does not know.
		var whole struct {
			buildkitd.Config
			Guard any `toml:"guard"`
		}
		require.NoError(t, toml.NewDecoder(strings.NewReader(text)).DisallowUnknownFields().Decode(&whole), variant)
		assert.NotEmpty(t, whole.GRPC.DebugAddress)
	}
}

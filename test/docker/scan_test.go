package docker

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

// scan runs bkguard scan on the data root of an engine, which must end with an exit code.
func scan(t *testing.T, e *harness.Engine, code int) string {
	t.Helper()
	b, err := harness.FindBinaries()
	require.NoError(t, err)
	out, err := harness.Run(t.Context(), harness.Command{
		Path: "sh",
		Args: []string{"-c", `"$0" scan --format json "$1"; echo "exit code $?"`, filepath.Join(filepath.Dir(b.Guarded), "bkguard"), e.Root()},
	})
	require.NoError(t, err)
	require.Contains(t, out, fmt.Sprintf("exit code %d", code), out)
	return out
}

// TestScanFindsVariants holds that the data root of a stock engine which runs tells what layers are there in
// two compressions, and that of a guarded one what the engine says itself.
func TestScanFindsVariants(t *testing.T) {
	registry := parts.Registry(t)
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: 9})
	require.NoError(t, err)
	for name, binary := range map[string]string{"stock": stock(t), "guarded": guarded(t)} {
		t.Run(name, func(t *testing.T) {
			e := parts.Engine(t, harness.EngineOptions{Binary: binary})
			assert.Contains(t, scan(t, e, 0), `"affected": false`, "of an empty engine")
			place := registry.Host + "/scan"
			for n, b := range []harness.BuildxBuild{
				{Output: harness.PushOutput(place)},
				{Output: harness.PushOutput(place, "compression=zstd", "force-compression=true")},
			} {
				b.Dockerfile = dockerfile(base)
				_, err := e.Build(t.Context(), b)
				require.NoError(t, err)
				if n == 0 {
					assert.Contains(t, scan(t, e, 0), `"affected": false`)
				}
			}
			out := scan(t, e, 3)
			var found struct {
				Workers []struct {
					Name     string
					Layers   int
					Variants []any
					Chains   []struct{ Remotes string }
				}
			}
			require.NoError(t, json.NewDecoder(strings.NewReader(out)).Decode(&found))
			require.Len(t, found.Workers, 1)
			w := found.Workers[0]
			assert.Equal(t, "containerd-overlayfs", w.Name)
			assert.Equal(t, 12, w.Layers)
			assert.Len(t, w.Variants, 12)
			require.Len(t, w.Chains, 1)
			assert.Equal(t, "2048", w.Chains[0].Remotes)
			if name == "guarded" {
				assert.Regexp(t, `variants +12 of 12 layers in more than one compression, .* surplus; 12 layers make 2048 remotes`, bkguard(t, "status", "--debug-addr", e.Address()))
			}
		})
	}
}

// TestScanOfAGraphDriver holds that an engine which keeps its images with a graph driver has no
// layers in compressions, and that scan says so.
func TestScanOfAGraphDriver(t *testing.T) {
	registry := parts.Registry(t)
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: 3})
	require.NoError(t, err)
	e := parts.Engine(t, harness.EngineOptions{Binary: stock(t), GraphDriver: true})
	_, err = e.Build(t.Context(), harness.BuildxBuild{Dockerfile: dockerfile(base), CacheTo: []string{"type=inline"}, Output: "type=docker,name=graph"})
	require.NoError(t, err)
	out := scan(t, e, 0)
	assert.Contains(t, out, `"affected": false`)
	assert.Contains(t, out, `"graphDriver": true`)
}

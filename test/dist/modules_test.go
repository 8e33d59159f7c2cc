package dist

import (
	"debug/buildinfo"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/guard"
)

// component is one of a list of modules, as CycloneDX has it.
type component struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// TestModulesAreThoseOfTheProgram compares the lists of modules with what the compiler has
// left in the programs.
func TestModulesAreThoseOfTheProgram(t *testing.T) {
	r := aRelease(t)
	for program, want := range map[string]component{
		"linux-amd64/buildkitd": {"github.com/moby/buildkit", buildkitVersion(t)},
		"linux-amd64/buildctl":  {"github.com/moby/buildkit", buildkitVersion(t)},
		"linux-amd64/bkguard":   {"github.com/bkguard/bkguard", "v" + guard.Version},
		"windows-amd64/bkguard": {"github.com/bkguard/bkguard", "v" + guard.Version},
	} {
		t.Run(program, func(t *testing.T) {
			platform, name := filepath.Split(program)
			text, err := os.ReadFile(r.dist(name + "-" + guard.Version + "-" + filepath.Clean(platform) + ".cdx.json"))
			require.NoError(t, err)
			var list struct {
				BOMFormat string `json:"bomFormat"`
				Metadata  struct {
					Component component `json:"component"`
				} `json:"metadata"`
				Components []component `json:"components"`
			}
			require.NoError(t, json.Unmarshal(text, &list))
			assert.Equal(t, "CycloneDX", list.BOMFormat)
			assert.Equal(t, want, list.Metadata.Component)

			info, err := buildinfo.ReadFile(filepath.Join(r.dir, "bin/release", program))
			require.NoError(t, err)
			modules := []component{{"std", info.GoVersion}}
			for _, m := range info.Deps {
				if m.Replace != nil {
					m = m.Replace
				}
				modules = append(modules, component{m.Path, m.Version})
			}
			assert.ElementsMatch(t, modules, list.Components)
		})
	}
}

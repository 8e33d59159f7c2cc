// Package dist tests what make dist makes.
package dist

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// root is the directory of the module.
const root = "../.."

// TestProgramIsBuiltForWorkstations builds bkguard for the systems that have no daemon of
// their own and ask one elsewhere.
func TestProgramIsBuiltForWorkstations(t *testing.T) {
	for _, platform := range []string{"darwin/arm64", "windows/amd64"} {
		t.Run(platform, func(t *testing.T) {
			system, architecture, _ := strings.Cut(platform, "/")
			build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(t.TempDir(), "bkguard"), "./cmd/bkguard")
			build.Dir = root
			build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+architecture)
			out, err := build.CombinedOutput()
			require.NoError(t, err, "%s", out)
		})
	}
}

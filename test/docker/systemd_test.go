package docker

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestSystemdUnderstandsTheDropIn has systemd read the unit of the released engine with our
// drop-in, with the engine where it was built. It ignores what it does not understand, so that
// nothing at all may be printed.
func TestSystemdUnderstandsTheDropIn(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	require.NoError(t, err, "run make systemd-analyze first")
	list := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/moby/moby/v2")
	list.Dir = "../../tools/dockerd"
	module, err := list.Output()
	require.NoError(t, err)
	released := filepath.Join(strings.TrimSpace(string(module)), "contrib", "init", "systemd")
	dropIn, err := os.ReadFile("../../deploy/systemd/docker.service.d/bkguard.conf")
	require.NoError(t, err)

	const installed = "/usr/local/bin/dockerd"
	dir := t.TempDir()
	units := map[string]string{"docker.service.d/bkguard.conf": strings.Replace(string(dropIn), installed, guarded(t), 1)}
	require.Contains(t, string(dropIn), "\nExecStart=\nExecStart="+installed+" ")
	for _, name := range []string{"docker.service", "docker.socket"} {
		unit, err := os.ReadFile(filepath.Join(released, name))
		require.NoError(t, err)
		units[name] = string(unit)
	}
	command := strings.TrimPrefix(string(dropIn)[strings.LastIndex(string(dropIn), "ExecStart="):], "ExecStart="+installed)
	assert.Contains(t, units["docker.service"], "ExecStart=/usr/bin/dockerd"+command, "the flags of the released unit")
	require.NoError(t, os.Mkdir(filepath.Join(dir, "docker.service.d"), 0o755))
	for name, text := range units {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	verify := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", filepath.Join(dir, "docker.service"))
	verify.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":")
	out, err := verify.CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Empty(t, string(out))
}

package deploy

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	units "github.com/docker/go-units"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/test/harness"
)

// TestSystemdUnderstandsTheUnits has systemd read the units, with the daemon
// where it was built. It ignores what it does not understand, so that nothing at
// all may be printed.
func TestSystemdUnderstandsTheUnits(t *testing.T) {
	b, err := harness.FindBinaries()
	require.NoError(t, err)
	analyze, err := exec.LookPath("systemd-analyze")
	require.NoError(t, err, "run make systemd-analyze first")
	const installed = "/usr/local/bin/buildkitd"
	dir := t.TempDir()
	service := read(t, deployed("systemd/buildkit.service"))
	require.Contains(t, service, "ExecStart="+installed+" ")
	paths := []string{filepath.Join(dir, "buildkit.service"), filepath.Join(dir, "buildkit.socket")}
	write(t, paths[0], strings.Replace(service, installed, b.Guarded, 1))
	write(t, paths[1], read(t, deployed("systemd/buildkit.socket")))

	out, err := exec.CommandContext(t.Context(), analyze, append([]string{"verify", "--man=no"}, paths...)...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Empty(t, string(out))
}

// TestGarbageIsCollectedBeforeTheKernelSlowsDown holds the order of the limits:
// GOMEMLIMIT, MemoryHigh, MemoryMax.
func TestGarbageIsCollectedBeforeTheKernelSlowsDown(t *testing.T) {
	service := read(t, deployed("systemd/buildkit.service"))
	size := func(key string) uint64 {
		m := regexp.MustCompile(`(?m)^` + key + `=(\S+)$`).FindStringSubmatch(service)
		require.NotNil(t, m, key)
		bytes, err := units.RAMInBytes(m[1])
		require.NoError(t, err)
		return uint64(bytes)
	}
	maximum := size("MemoryMax")
	assert.Less(t, config.Default().MemoryLimit.Of(maximum), size("MemoryHigh"))
	assert.Less(t, size("MemoryHigh"), maximum)
}

package frontend

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestNoDaemonIsLinked holds that a frontend gets no daemon with the middleware.
func TestNoDaemonIsLinked(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	require.NoError(t, err)
	packages := strings.Fields(string(out))
	require.True(t, slices.Contains(packages, "github.com/bkguard/bkguard/cost"))
	for _, name := range []string{"control", "cache", "worker", "executor", "solver/llbsolver"} {
		assert.False(t, slices.Contains(packages, "github.com/moby/buildkit/"+name), name)
	}
}

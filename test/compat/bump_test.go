package main

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestBumpRefusesWhatIsNoRelease holds that make bump says in one line what is
// wrong, before it changes anything.
func TestBumpRefusesWhatIsNoRelease(t *testing.T) {
	root, err := findCheckout(t.Context())
	require.NoError(t, err)
	for _, version := range []string{"", "0.33.1", "v0.33", "latest", "v0.33.1; exit 0"} {
		cmd := exec.CommandContext(t.Context(), "tools/bump.sh", version)
		cmd.Dir = root.dir
		out, err := cmd.CombinedOutput()
		require.Error(t, err, version)
		assert.Equal(t, `bump: BUILDKIT="`+version+`" is not a release of buildkit (allowed: one such as `+root.buildkit+")\n", string(out))
	}
	for _, version := range []string{"", "v0.33.1", "v29.0.0", "v2.0", "latest"} {
		cmd := exec.CommandContext(t.Context(), "tools/bump.sh", "engine", version)
		cmd.Dir = root.dir
		out, err := cmd.CombinedOutput()
		require.Error(t, err, version)
		assert.Equal(t, `bump: ENGINE="`+version+`" is not a release of the engine's module (allowed: one such as `+root.engine+")\n", string(out))
	}
}

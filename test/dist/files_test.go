package dist

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sums reads the checksums of a release.
func sums(t *testing.T, r *release) map[string]string {
	t.Helper()
	text, err := os.ReadFile(r.dist("SHA256SUMS"))
	require.NoError(t, err)
	sums := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		sum, name, ok := strings.Cut(strings.TrimSpace(line), "  ")
		require.True(t, ok, line)
		sums[name] = sum
	}
	return sums
}

func TestReleaseHasItsFiles(t *testing.T) {
	r := aRelease(t)
	var found []string
	entries, err := os.ReadDir(r.dist(""))
	require.NoError(t, err)
	for _, entry := range entries {
		found = append(found, entry.Name())
	}
	assert.ElementsMatch(t, names("SHA256SUMS",
		"bkguard-VERSION-linux-amd64.tar.gz", "bkguard-VERSION-darwin-arm64.tar.gz", "bkguard-VERSION-windows-amd64.tar.gz",
		"bkguard_VERSION-1_amd64.deb", "bkguard-VERSION-1.x86_64.rpm", "bkguard_VERSION-r1_x86_64.apk",
		"bkguard-buildkit_VERSION-1_amd64.deb", "bkguard-buildkit-VERSION-1.x86_64.rpm", "bkguard-buildkit_VERSION-r1_x86_64.apk",
		"bkguard-VERSION-linux-amd64.cdx.json", "buildctl-VERSION-linux-amd64.cdx.json", "buildkitd-VERSION-linux-amd64.cdx.json",
		"bkguard-VERSION-darwin-arm64.cdx.json", "bkguard-VERSION-windows-amd64.cdx.json",
	), found)
	sums := sums(t, r)
	assert.Len(t, sums, len(found)-1, "all but the list itself")
	for name, want := range sums {
		content, err := os.ReadFile(r.dist(name))
		require.NoError(t, err)
		sum := sha256.Sum256(content)
		assert.Equal(t, want, hex.EncodeToString(sum[:]), name)
	}
}

// TestReleaseIsTheSameBytes makes the release again, in another directory, by somebody with
// other settings.
func TestReleaseIsTheSameBytes(t *testing.T) {
	again, err := newRelease(aRelease(t).dir, []string{"TZ=Asia/Tokyo", "LC_ALL=C", "USER=somebody", "HOSTNAME=elsewhere"})
	require.NoError(t, err)
	assert.Equal(t, sums(t, aRelease(t)), sums(t, again))
}

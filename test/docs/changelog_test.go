package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/guard"
)

var (
	versionHeading = regexp.MustCompile(`(?m)^## \[(\d+\.\d+\.\d+)\] - (\S+)$`)
	versionLink    = regexp.MustCompile(`(?m)^\[(\d+\.\d+\.\d+)\]: https://\S+$`)
	changeHeading  = regexp.MustCompile(`(?m)^### (\w+)`)
)

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	require.NoError(t, err)
	return string(text)
}

// TestChangelogIsOfThisVersion holds that the changelog begins with the version that is built,
// that newer versions stand above older ones, and that it has the form that it names.
func TestChangelogIsOfThisVersion(t *testing.T) {
	text := read(t, "CHANGELOG.md")
	var versions, links []string
	var dates []time.Time
	for _, m := range versionHeading.FindAllStringSubmatch(text, -1) {
		versions = append(versions, m[1])
		date, err := time.Parse(time.DateOnly, m[2])
		require.NoError(t, err)
		dates = append(dates, date)
	}
	require.NotEmpty(t, versions)
	assert.Equal(t, guard.Version, versions[0])
	assert.True(t, slices.IsSortedFunc(dates, func(a, b time.Time) int { return b.Compare(a) }), dates)
	for _, m := range versionLink.FindAllStringSubmatch(text, -1) {
		links = append(links, m[1])
	}
	assert.Equal(t, versions, links)
	for _, m := range changeHeading.FindAllStringSubmatch(text, -1) {
		assert.Contains(t, []string{"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security", "Upgrading"}, m[1])
	}
}

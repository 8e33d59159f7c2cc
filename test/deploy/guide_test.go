package deploy

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// described tells whether the operating guide has a word or a line as such.
func described(t *testing.T, text string) bool {
	t.Helper()
	return strings.Contains(read(t, filepath.Join(root, "docs/operating.md")), "`"+text+"`")
}

func TestGuideDescribesEveryAlert(t *testing.T) {
	for _, name := range alerts(t) {
		assert.True(t, described(t, name), name)
	}
}

var logLine = regexp.MustCompile(`\.(?:Info|Warn|Error)\("([^"]+)"\)`)

func TestGuideDescribesEveryLineOfTheLog(t *testing.T) {
	for _, dir := range []string{"guard", "internal/process"} {
		files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
		require.NoError(t, err)
		lines := 0
		for _, file := range files {
			for _, line := range submatches(logLine, read(t, file)) {
				lines++
				assert.True(t, described(t, line), line)
			}
		}
		assert.NotZero(t, lines, dir)
	}
}

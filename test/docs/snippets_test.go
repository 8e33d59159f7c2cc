// Package docs checks the code in the documentation.
package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const root = "../.."

var snippet = regexp.MustCompile("(?s)\n```go\n(.*?\n)```\n")

// TestSnippetsAreCompiled holds that the Go code of a page stands in a file that
// is built and run. Indentation does not count.
func TestSnippetsAreCompiled(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "examples/daemon/*.go"))
	require.NoError(t, err)
	var compiled []string
	for _, file := range files {
		compiled = append(compiled, unindented(t, file))
	}
	page, err := os.ReadFile(filepath.Join(root, "docs/embedding.md"))
	require.NoError(t, err)
	snippets := snippet.FindAllStringSubmatch(string(page), -1)
	require.NotEmpty(t, snippets)
	for _, s := range snippets {
		assert.Condition(t, func() bool { return anyContains(compiled, trimLines(s[1])) }, s[1])
	}
}

func unindented(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return trimLines(string(text))
}

// trimLines takes the indentation from all lines.
func trimLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return strings.Join(lines, "\n")
}

func anyContains(texts []string, part string) bool {
	for _, text := range texts {
		if strings.Contains(text, "\n"+part) {
			return true
		}
	}
	return false
}

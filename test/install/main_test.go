// Package install tests the blocks of docs/install.md: each is run with the real programs that it
// names, or read by the tool that it is for. What can only be parsed says so on the page.
package install

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

func TestMain(m *testing.M) { parts.Main(m) }

// root is the directory of the module.
const root = "../.."

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
}

// absolute is a path in the module that holds from everywhere.
func absolute(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(root, name))
	require.NoError(t, err)
	return path
}

// bin are the directories of the programs that the page builds and installs, as PATH has them.
func bin(t *testing.T) string {
	t.Helper()
	return absolute(t, "bin") + ":" + os.Getenv("PATH")
}

// run runs a program that must succeed, and returns what it has written.
func run(t *testing.T, c harness.Command) string {
	t.Helper()
	out, err := harness.Run(t.Context(), c)
	require.NoError(t, err, "%s\n%s", strings.Join(c.Args, " "), out)
	return out
}

package deploy

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
)

// root is the directory of the module.
const root = "../.."

// deployed is the path of a file under deploy/.
func deployed(name string) string { return filepath.Join(root, "deploy", name) }

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

// submatches are the first groups of all matches.
func submatches(pattern *regexp.Regexp, text string) []string {
	var found []string
	for _, m := range pattern.FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	return found
}

// check runs a program that must succeed, and returns what it has written to
// stdout.
func check(t *testing.T, input, program string, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &stdout, &stderr
	require.NoError(t, cmd.Run(), "%s%s", &stdout, &stderr)
	return stdout.String()
}

// startDaemon starts a guarded daemon.
func startDaemon(t *testing.T, o harness.DaemonOptions) *harness.Daemon {
	t.Helper()
	b, err := harness.FindBinaries()
	require.NoError(t, err)
	o.Binary, o.Buildctl = b.Guarded, b.Buildctl
	d, err := harness.StartDaemon(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := d.Stop(context.Background())
		assert.NoError(t, err)
		assert.NoError(t, d.Remove())
	})
	return d
}

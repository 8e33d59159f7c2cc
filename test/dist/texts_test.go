package dist

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/config"
)

// setKey is a line of the configuration that a "#" switches off.
var setKey = regexp.MustCompile(`(?m)^( *)# ([A-Za-z]+ = |\[guard\.)`)

// TestInstalledConfigurationSetsNothing holds that the installed file has every line of the
// example, and that the defaults are in force until somebody takes a "#" away.
func TestInstalledConfigurationSetsNothing(t *testing.T) {
	dir := installed(t, "dpkg")
	path := filepath.Join(dir, "etc/buildkit/buildkitd.toml")
	installed, err := os.ReadFile(path)
	require.NoError(t, err)
	settings, err := config.Settings(path, installed)
	require.NoError(t, err)
	assert.NotEmpty(t, settings)
	for _, s := range settings {
		assert.Zero(t, s.Line, s.Key)
	}
	example, err := os.ReadFile(filepath.Join(root, "config/buildkitd.example.toml"))
	require.NoError(t, err)
	assert.Equal(t, setKey.ReplaceAllString(string(example), "$1$2"), setKey.ReplaceAllString(string(installed), "$1$2"))
	assert.Contains(t, run(t, filepath.Join(dir, "usr/bin/bkguard"), "check", path), path+" is valid\n")
}

// TestUnitsStartWhatIsInstalled holds that the program of the unit is where the package, or
// the archive below /usr/local, has put it.
func TestUnitsStartWhatIsInstalled(t *testing.T) {
	start := regexp.MustCompile(`(?m)^ExecStart=(/\S+) `)
	archive := names("bkguard-VERSION-linux-amd64")[0]
	unpacked := t.TempDir()
	unpack(t, aRelease(t).dist(archive+".tar.gz"), unpacked)
	local := filepath.Join(unpacked, "usr/local")
	require.NoError(t, os.Mkdir(filepath.Dir(local), 0o755))
	require.NoError(t, os.Rename(filepath.Join(unpacked, archive), local))
	for dir, unit := range map[string]string{
		unpacked:             "usr/local/lib/systemd/system/buildkit.service",
		installed(t, "dpkg"): "usr/lib/systemd/system/buildkit.service",
		installed(t, "rpm"):  "usr/lib/systemd/system/buildkit.service",
	} {
		text, err := os.ReadFile(filepath.Join(dir, unit))
		require.NoError(t, err)
		program := start.FindStringSubmatch(string(text))
		require.NotNil(t, program, "%s", text)
		assert.FileExists(t, filepath.Join(dir, program[1]))
	}
}

// TestManualPageIsReadable has mandoc read the installed page.
func TestManualPageIsReadable(t *testing.T) {
	dir := installed(t, "dpkg")
	page := filepath.Join(dir, "usr/share/man/man1/bkguard.1.gz")
	assert.NotContains(t, run(t, "mandoc", "-T", "lint", "-W", "error", page), "ERROR")
	text := run(t, "mandoc", "-T", "ascii", "-O", "width=100", page)
	for _, words := range []string{"estimate", "--fail-unless-fits", "mode set", "EXAMPLES"} {
		assert.Contains(t, text, words)
	}
}

package install

import (
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	toml "github.com/pelletier/go-toml/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	buildkitd "github.com/moby/buildkit/cmd/buildkitd/config"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/guard"
	"github.com/bkguard/bkguard/test/harness"
)

const pagePath = "docs/install.md"

// page is docs/install.md: the texts of its blocks by their names, which stand behind the language.
type page struct {
	blocks map[string]string
	// seen are the names of those that a test has asked for.
	seen map[string]bool
}

var (
	fence     = regexp.MustCompile("(?m)^```")
	namedCode = regexp.MustCompile("(?ms)^```[a-z]+ ([a-z-]+)\n(.*?)^```$")
)

func readPage(t *testing.T) *page {
	t.Helper()
	p := &page{map[string]string{}, map[string]bool{}}
	text := read(t, absolute(t, pagePath))
	for _, m := range namedCode.FindAllStringSubmatch(text, -1) {
		require.NotContains(t, p.blocks, m[1])
		p.blocks[m[1]] = m[2]
	}
	require.Len(t, fence.FindAllString(text, -1), 2*len(p.blocks), "a block has no name")
	return p
}

// block is the text of a block.
func (p *page) block(t *testing.T, name string) string {
	t.Helper()
	require.Contains(t, p.blocks, name)
	p.seen[name] = true
	return p.blocks[name]
}

// TestPage follows docs/install.md from its first block to its last one.
func TestPage(t *testing.T) {
	p := readPage(t)
	t.Run("buildx", p.testBuildx)
	t.Run("kubernetes driver", p.testKubernetesDriver)
	t.Run("systemd", p.testSystemd)
	t.Run("kubernetes", p.testKubernetes)
	t.Run("engine", p.testEngine)
	t.Run("commands", p.testCommands)
	t.Run("every block was looked at", func(t *testing.T) {
		assert.ElementsMatch(t, slices.Collect(maps.Keys(p.blocks)), slices.Collect(maps.Keys(p.seen)))
	})
}

var codeWord = regexp.MustCompile("`([a-z-]+)`")

// TestPageSaysHowEachBlockIsChecked holds that the table at its end names every block once.
func TestPageSaysHowEachBlockIsChecked(t *testing.T) {
	text := read(t, absolute(t, pagePath))
	_, section, found := strings.Cut(text, "\n## How this page is checked\n")
	require.True(t, found)
	var named []string
	for line := range strings.Lines(section) {
		if cells := strings.Split(line, "|"); len(cells) == 4 {
			for _, m := range codeWord.FindAllStringSubmatch(cells[1], -1) {
				named = append(named, m[1])
			}
		}
	}
	assert.ElementsMatch(t, slices.Collect(maps.Keys(readPage(t).blocks)), named)
}

var (
	imageTag       = regexp.MustCompile(`(?:registry\.example\.com/bkguard:|newTag: )(\S+)`)
	packageVersion = regexp.MustCompile(`dist/bkguard(?:-buildkit)?_([^_]+)_amd64\.deb`)
)

// TestPageNamesThisVersion holds that the images and packages of the page are those of this checkout.
func TestPageNamesThisVersion(t *testing.T) {
	tags := imageTag.FindAllStringSubmatch(read(t, absolute(t, pagePath)), -1)
	require.NotEmpty(t, tags)
	for _, tag := range tags {
		assert.Equal(t, release(t)+"-bkguard."+guard.Version, tag[1])
	}
	packages := packageVersion.FindAllStringSubmatch(read(t, absolute(t, pagePath)), -1)
	require.Len(t, packages, 2)
	for _, p := range packages {
		assert.Equal(t, guard.Version+"-1", p[1])
	}
}

var buildkitVersion = regexp.MustCompile(`github.com/moby/buildkit (v\S+)`)

// release is the release of buildkit that the daemon is built from.
func release(t *testing.T) string {
	t.Helper()
	version := buildkitVersion.FindStringSubmatch(read(t, absolute(t, "daemon/go.mod")))
	require.NotNil(t, version)
	return version[1]
}

// parsed holds that the shell understands a block, and bkguard the commands for it in there.
func (p *page) parsed(t *testing.T, name string) {
	t.Helper()
	text := p.block(t, name)
	out, err := exec.CommandContext(t.Context(), "/bin/sh", "-nc", text).CombinedOutput()
	require.NoError(t, err, "%s: %s", name, out)
	for _, m := range ownCommand.FindAllStringSubmatch(text, -1) {
		if m[1] == "check" {
			continue // its argument is a file of the reader's machine
		}
		// The help takes flags, and no word behind them.
		args := slices.DeleteFunc(strings.Fields(m[0])[1:], func(word string) bool { return word == string(config.ModeOff) })
		run(t, harness.Command{Path: absolute(t, "bin/bkguard"), Args: append(args, "--help")})
	}
}

var ownCommand = regexp.MustCompile(`(?m)\bbkguard (check|mode|status)\b.*$`)

// testCommands parses what needs a systemd, a cluster, GitHub or nerdctl to be run.
func (p *page) testCommands(t *testing.T) {
	for _, name := range []string{
		"actions-switch", "engine-check", "engine-start", "kubernetes-apply", "kubernetes-check",
		"kubernetes-driver-check", "nerdctl", "packages", "systemd-check", "systemd-start",
	} {
		p.parsed(t, name)
	}
	// make test and make test-docker have run them, as all programs are there.
	for name, targets := range map[string]string{"systemd-build": "all runc", "engine-build": "dockerd bin/bkguard"} {
		assert.Equal(t, "make "+targets+"\n", p.block(t, name))
	}
}

// checkConfig holds that bkguard and buildkitd understand the text of a buildkitd.toml.
func checkConfig(t *testing.T, path string, flags ...string) {
	t.Helper()
	run(t, harness.Command{Path: absolute(t, "bin/bkguard"), Args: append(append([]string{"check"}, flags...), path)})
	// Upstream ignores what it does not know.
	var whole struct {
		buildkitd.Config
		Guard any `toml:"guard"`
	}
	require.NoError(t, toml.NewDecoder(strings.NewReader(read(t, path))).DisallowUnknownFields().Decode(&whole))
	assert.NotNil(t, whole.Guard)
}

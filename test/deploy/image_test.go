package deploy

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

var (
	fromImage       = regexp.MustCompile(`(?m)^FROM (\S+)`)
	goVersion       = regexp.MustCompile(`(?m)^go (\S+)`)
	buildkitVersion = regexp.MustCompile(`(?m)^(?:require)?\s+github.com/moby/buildkit (\S+)`)
)

// TestDockerfileHasNoWarnings has buildkit check the file. An image on loopback
// stands in for those that it begins with.
func TestDockerfileHasNoWarnings(t *testing.T) {
	registry := parts.Registry(t)
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: 1})
	require.NoError(t, err)
	daemon := startDaemon(t, harness.DaemonOptions{Registries: []string{registry.Host}})
	build := harness.Build{
		Dockerfile: read(t, deployed("image/Dockerfile")),
		Opts:       []string{"requestid=frontend.lint"},
	}
	for _, from := range submatches(fromImage, build.Dockerfile) {
		build.Opts = append(build.Opts, "context:"+from+"=docker-image://"+base)
	}
	result, err := daemon.Build(t.Context(), build)
	require.NoError(t, err)
	assert.Contains(t, result.Output, "load metadata for "+base)
	// The client succeeds, whatever it prints.
	assert.NotContains(t, result.Output, "WARNING")
	assert.NotContains(t, result.Output, "ERROR")
}

// release is the version of buildkit that the daemon is built from.
func release(t *testing.T) string {
	t.Helper()
	version := buildkitVersion.FindStringSubmatch(read(t, filepath.Join(root, "daemon/go.mod")))
	require.NotNil(t, version)
	return version[1]
}

// TestImageIsOfTheReleaseThatIsBuilt holds that the guarded daemon replaces one
// of the same version.
func TestImageIsOfTheReleaseThatIsBuilt(t *testing.T) {
	var images []string
	for _, image := range submatches(fromImage, read(t, deployed("image/Dockerfile"))) {
		if strings.HasPrefix(image, "moby/buildkit:") {
			images = append(images, image)
		}
	}
	want := "moby/buildkit:" + release(t)
	assert.ElementsMatch(t, []string{want, want + "-rootless"}, images)
}

// TestImageIsBuiltByItsGo holds that the compiler in the image is not older than
// what the modules ask for: it would fetch no other.
func TestImageIsBuiltByItsGo(t *testing.T) {
	images := submatches(fromImage, read(t, deployed("image/Dockerfile")))
	for _, module := range []string{"go.mod", "daemon/go.mod"} {
		assert.Equal(t, []string{"golang:" + submatches(goVersion, read(t, filepath.Join(root, module)))[0]}, images[:1], module)
	}
}

// TestContextOfTheImageIsTheSource sends the context that the image is built
// from, and looks at what arrives.
func TestContextOfTheImageIsTheSource(t *testing.T) {
	dir, sent := t.TempDir(), t.TempDir()
	write(t, filepath.Join(dir, "Dockerfile"), "FROM scratch\nCOPY . /\n")
	write(t, filepath.Join(dir, "Dockerfile.dockerignore"), read(t, deployed("image/Dockerfile.dockerignore")))
	daemon := startDaemon(t, harness.DaemonOptions{})
	out, err := daemon.Buildctl(t.Context(), "build", "--frontend", "dockerfile.v0",
		"--local", "context="+root, "--local", "dockerfile="+dir, "--output", "type=local,dest="+sent)
	require.NoError(t, err, out)
	for _, name := range []string{"Makefile", "go.mod", "guard/guard.go", "config/config.go", "daemon/go.sum", "daemon/weave/main.go", "daemon/seam/seam.go"} {
		assert.FileExists(t, filepath.Join(sent, name))
	}
	for _, name := range []string{".git", "bin", "dist", "daemon/vendor", "daemon/overlay", "engine/vendor", "engine/overlay"} {
		assert.NoDirExists(t, filepath.Join(sent, name))
	}
}

package install

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

// host is a machine with a Docker Engine of the release, a registry on loopback, and Docker's own
// command line with buildx.
type host struct {
	registry *harness.Registry
	engine   *harness.Engine
	// env is what the commands of the page get.
	env []string
}

// startHost starts what the blocks for buildx need.
func startHost(t *testing.T) *host {
	t.Helper()
	_, stock, err := harness.FindEngines()
	require.NoError(t, err)
	initPath, err := exec.LookPath("tini-static")
	require.NoError(t, err, "run make tini-static first")
	registry := parts.Registry(t)
	e := parts.Engine(t, harness.EngineOptions{Binary: stock, Args: []string{"--init-path", initPath}})
	config := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(config, "cli-plugins"), 0o755))
	require.NoError(t, os.Symlink(parts.Tool(t, "buildx"), filepath.Join(config, "cli-plugins", "docker-buildx")))
	return &host{registry: registry, engine: e, env: []string{
		"PATH=" + filepath.Dir(parts.Tool(t, "docker")) + ":" + bin(t), "HOME=" + config, "DOCKER_CONFIG=" + config, "DOCKER_HOST=" + e.Address(),
	}}
}

// here is a block of the page on this host: with its registry, and builders in the cgroups of the
// engine, of which nothing is left, and in its network, as it has no other.
func (h *host) here(block string) string {
	cgroup := "/" + filepath.Base(filepath.Dir(h.engine.LogPath()))
	block = strings.ReplaceAll(block, "registry.example.com", h.registry.Host)
	return strings.ReplaceAll(block, "buildx create", "buildx create --driver-opt network=host --driver-opt cgroup-parent="+cgroup)
}

// sh runs a block in a directory, and returns what it has written.
func (h *host) sh(t *testing.T, dir, script string) string {
	t.Helper()
	return run(t, harness.Command{Path: "/bin/sh", Args: []string{"-euxc", script}, Dir: dir, Env: h.env})
}

// releaseImage is a stand-in for the image of the release, which cannot be fetched here: buildctl
// and runc as they are on this machine, with the libraries that they ask for.
func (h *host) releaseImage(t *testing.T) string {
	t.Helper()
	b, err := harness.FindBinaries()
	require.NoError(t, err)
	runc, err := exec.LookPath("runc")
	require.NoError(t, err, "run make runc first")
	dir := t.TempDir()
	for name, program := range map[string]string{"buildctl": b.Buildctl, "runc": runc} {
		place(t, program, filepath.Join(dir, "files/usr/bin", name))
		for _, library := range libraries(t, program) {
			place(t, library, filepath.Join(dir, "files", library))
		}
	}
	write(t, filepath.Join(dir, "files/tmp/.keep"), "")
	write(t, filepath.Join(dir, "Dockerfile"), "FROM scratch\nCOPY files /\nENV PATH=/usr/bin\nENTRYPOINT [\"buildkitd\"]\n")
	name := h.registry.Host + "/release"
	h.sh(t, dir, "docker buildx build -t "+name+" --push .")
	return name
}

// libraries are the shared libraries that a program asks for, none if it is static.
func libraries(t *testing.T, program string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ldd", program).CombinedOutput()
	if err != nil {
		require.Contains(t, string(out), "not a dynamic executable")
		return nil
	}
	var found []string
	for field := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(field, "/") {
			found = append(found, field)
		}
	}
	require.NotEmpty(t, found)
	return found
}

// place copies a program to where an image or a context has it.
func place(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o755))
	require.NoError(t, os.WriteFile(to, content, 0o755))
}

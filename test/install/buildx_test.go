package install

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

// testBuildx makes the image of the page and builders of it, by hand and as GitHub and GitLab do.
func (p *page) testBuildx(t *testing.T) {
	h := startHost(t)
	base := h.releaseImage(t)
	stage := t.TempDir()
	for _, name := range []string{"buildkitd", "bkguard"} {
		place(t, absolute(t, "bin/"+name), filepath.Join(stage, "src/bin", name))
	}
	contexts := " --build-context build=" + stage + " --build-context moby/buildkit:" + release(t) + "=docker-image://" + base
	image := strings.Replace(p.block(t, "image"), "buildx build", "buildx build"+contexts, 1)
	h.sh(t, absolute(t, "."), h.here(image))
	assert.Contains(t, keysOnly(h.sh(t, root, h.here(p.block(t, "image-check")))), strings.TrimSpace(keysOnly(p.block(t, "image-version"))))

	dir := t.TempDir()
	t.Run("by hand", func(t *testing.T) {
		write(t, filepath.Join(dir, "buildkitd.toml"), p.block(t, "buildx-config"))
		checkConfig(t, filepath.Join(dir, "buildkitd.toml"))
		h.sh(t, dir, h.here(p.block(t, "buildx")))
		out := h.sh(t, dir, p.block(t, "buildx-check"))
		assert.Contains(t, keysOnly(out), strings.TrimSpace(keysOnly(p.block(t, "start-line"))))
		assert.Contains(t, out, "memoryLimit=3865470566 memoryLimitSource=cgroup mode=enforce", "90% of 4 GiB")
		assert.Contains(t, out, "enforce, set by guard")
		h.build(t)
		assert.Regexp(t, `(?m)^exports +1 spared$`, h.sh(t, dir, p.block(t, "buildx-check")))
		assert.Contains(t, h.sh(t, dir, p.block(t, "buildx-switch")), "/run/buildkit/guard-mode sets off")
		remove, again, found := strings.Cut(p.block(t, "buildx-remove"), "\n")
		require.True(t, found)
		h.sh(t, dir, remove)
		// The image of upstream is not here. The volume with the state is.
		h.sh(t, dir, h.here(again))
		assert.Contains(t, h.sh(t, dir, "docker volume ls"), "buildx_buildkit_guarded0_state")
		h.sh(t, dir, "docker buildx rm guarded")
	})
	t.Run("GitHub Actions", func(t *testing.T) { p.testActions(t, h) })
	t.Run("GitLab", func(t *testing.T) { p.testGitLab(t, h) })
}

// figures are what differs from start to start, and from commit to commit.
var figures = regexp.MustCompile(`time="[^"]*" |[-=][0-9a-f]{12}(?:\.m)?\b|\d+`)

// keysOnly is a line without its figures.
func keysOnly(line string) string { return figures.ReplaceAllString(line, "") }

// build makes an image in gzip and in zstd, and exports the cache of it.
func (h *host) build(t *testing.T) {
	t.Helper()
	base, err := h.registry.PushBase(t.Context(), harness.Base{Layers: 12})
	require.NoError(t, err)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "Dockerfile"), harness.RunSteps(base, 1))
	image := h.registry.Host + "/app"
	h.sh(t, dir, "docker buildx build -t "+image+" --push .")
	h.sh(t, dir, "docker buildx build --output type=image,name="+image+",push=true,compression=zstd,force-compression=true .")
	out := h.sh(t, dir, "docker buildx build --cache-to type=registry,mode=max,ref="+image+":cache .")
	assert.Contains(t, out, "13 layers in 2 compressions")
}

// testActions has actionlint read the workflow, and makes a builder of what it says.
func (p *page) testActions(t *testing.T, h *host) {
	text := p.block(t, "actions")
	file := filepath.Join(t.TempDir(), "image.yml")
	write(t, file, text)
	run(t, harness.Command{Path: parts.Tool(t, "actionlint"), Args: []string{"-no-color", "-shellcheck=", "-pyflakes=", file}})

	var workflow struct {
		Jobs map[string]struct {
			Steps []struct {
				Uses, Run string
				With      map[string]string
			}
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(text), &workflow))
	steps := workflow.Jobs["image"].Steps
	require.Len(t, steps, 4)
	with := steps[1].With
	dir := t.TempDir()
	write(t, filepath.Join(dir, "buildkitd.toml"), with["buildkitd-config-inline"])
	checkConfig(t, filepath.Join(dir, "buildkitd.toml"))
	create := "docker buildx create --name " + with["name"] + " --driver docker-container --buildkitd-config buildkitd.toml --bootstrap --use"
	for option := range strings.Lines(with["driver-opts"]) {
		create += " --driver-opt '" + strings.TrimSpace(option) + "'"
	}
	const variable = "${{ vars.BKGUARD_MODE }}"
	require.Contains(t, create, variable)
	for value, mode := range map[string]string{"": "mode=enforce modeSource=guard", "off": "mode=off modeSource=environment"} {
		h.sh(t, dir, h.here(strings.Replace(create, variable, value, 1)))
		out := h.sh(t, dir, steps[3].Run)
		assert.Contains(t, out, "memoryLimitSource=config "+mode)
		h.sh(t, dir, "docker buildx rm "+with["name"])
	}
}

// testGitLab has GitLab's schema read the configuration, and runs its script.
func (p *page) testGitLab(t *testing.T, h *host) {
	text := p.block(t, "gitlab")
	dir := t.TempDir()
	write(t, filepath.Join(dir, ".gitlab-ci.yml"), text)
	// It asks git for the names of the project.
	h.sh(t, dir, "git init --quiet . && git -c user.name=test -c user.email=test@example.com commit --quiet --allow-empty -m test")
	check := filepath.Join(parts.Tool(t, "gitlabci"), "node_modules/.bin/gitlab-ci-local")
	assert.Contains(t, h.sh(t, dir, check+" --list"), "build-image")

	var pipeline struct {
		Variables map[string]string
		Job       struct {
			Variables map[string]string
			Script    []string
		} `yaml:"build-image"`
	}
	require.NoError(t, yaml.Unmarshal([]byte(text), &pipeline))
	base, err := h.registry.PushBase(t.Context(), harness.Base{Layers: 1})
	require.NoError(t, err)
	write(t, filepath.Join(dir, "Dockerfile"), harness.RunSteps(base, 1))
	job := *h
	job.env = append(job.env, "BKGUARD_MODE=observe", "IMAGE="+h.here(pipeline.Variables["IMAGE"]),
		"BUILDKITD_CONFIG="+pipeline.Job.Variables["BUILDKITD_CONFIG"])
	out := job.sh(t, dir, h.here(strings.Join(pipeline.Job.Script, "\n")))
	checkConfig(t, filepath.Join(dir, "buildkitd.toml"))
	assert.Contains(t, out, "memoryLimitSource=config mode=observe modeSource=environment")
	assert.Regexp(t, `(?m)^exports +1 plain$`, out)
	h.sh(t, dir, "docker buildx rm guarded && docker context rm engine")
}

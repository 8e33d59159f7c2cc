package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/bkguard/bkguard/guard"
	"github.com/bkguard/bkguard/test/harness"
)

// workflow has what the tests look at. actionlint has checked the rest.
type workflow struct {
	Permissions map[string]string
	Jobs        map[string]struct {
		Timeout  int `yaml:"timeout-minutes"`
		Strategy struct{ Matrix map[string][]string }
		Steps    []struct{ Name, Uses, Run string }
	}
}

func workflows(t *testing.T) map[string]workflow {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, ".github/workflows/*.yml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	all := map[string]workflow{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var w workflow
		require.NoError(t, yaml.Unmarshal(text, &w))
		all[filepath.Base(file)] = w
	}
	return all
}

// TestWorkflowsAreUnderstood has actionlint read all workflows, with the inputs of all actions. It
// would run a shellcheck that it finds, so that the result depended on the machine.
func TestWorkflowsAreUnderstood(t *testing.T) {
	actionlint, err := harness.FindTool("actionlint")
	require.NoError(t, err)
	for name := range workflows(t) {
		out, err := exec.CommandContext(t.Context(), actionlint, "-no-color", "-shellcheck=", "-pyflakes=",
			filepath.Join(root, ".github/workflows", name)).CombinedOutput()
		assert.NoError(t, err, "%s", out)
	}
}

// TestWorkflowsMayDoLittle holds that a job reads only, unless it says otherwise, that each ends,
// and that each action has a version.
func TestWorkflowsMayDoLittle(t *testing.T) {
	for name, w := range workflows(t) {
		assert.Equal(t, map[string]string{"contents": "read"}, w.Permissions, name)
		assert.NotEmpty(t, w.Jobs, name)
		for job, j := range w.Jobs {
			assert.NotZero(t, j.Timeout, "%s, %s", name, job)
			for _, step := range j.Steps {
				if step.Uses != "" {
					assert.Regexp(t, `@v\d+$`, step.Uses)
				}
			}
		}
	}
}

// TestWorkflowRunsTheTargetsOfContinuousIntegration compares the targets of ci.yml with those of
// .ci/run.
func TestWorkflowRunsTheTargetsOfContinuousIntegration(t *testing.T) {
	_, targets, found := strings.Cut(read(t, ".ci/run"), "\nexec make ")
	require.True(t, found)
	assert.Equal(t, strings.Fields(targets), workflows(t)["ci.yml"].Jobs["test"].Strategy.Matrix["target"])
}

// TestReleaseFindsItsVersionAndNotes runs the steps that look into this checkout.
func TestReleaseFindsItsVersionAndNotes(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"CHANGELOG.md", "guard/guard.go"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(read(t, name)), 0o600))
	}
	step := func(name, tag string) error {
		for _, s := range workflows(t)["release.yml"].Jobs["dist"].Steps {
			if s.Name == name {
				cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", s.Run)
				cmd.Dir, cmd.Env = dir, append(os.Environ(), "GITHUB_REF_NAME="+tag)
				return cmd.Run()
			}
		}
		require.Fail(t, "no such step", name)
		return nil
	}
	const version, notes = "The tag is the version", "The notes are in CHANGELOG.md"
	require.NoError(t, step(version, "v"+guard.Version))
	require.Error(t, step(version, "v0.0.1"))
	require.NoError(t, step(notes, "v"+guard.Version))
	text, err := os.ReadFile(filepath.Join(dir, "notes.md"))
	require.NoError(t, err)
	assert.Contains(t, string(text), "\n### Added\n")
	assert.NotContains(t, string(text), "## [")
	assert.NotContains(t, string(text), "\n[0.")
	require.Error(t, step(notes, "v0.0.1"))
}

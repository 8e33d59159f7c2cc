package docs

import (
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// decode reads a file in which no key may be unknown.
func decode(t *testing.T, name string, into any) {
	t.Helper()
	decoder := yaml.NewDecoder(strings.NewReader(read(t, name)))
	decoder.KnownFields(true)
	require.NoError(t, decoder.Decode(into), name)
}

// dependabot has the keys of .github/dependabot.yml that are in use here, as GitHub's
// documentation names them: no schema of it is at hand.
type dependabot struct {
	Version int
	Updates []struct {
		Ecosystem   string `yaml:"package-ecosystem"`
		Directory   string
		Directories []string
		Schedule    struct{ Interval string }
		Limit       int `yaml:"open-pull-requests-limit"`
		Ignore      []struct {
			Name string `yaml:"dependency-name"`
		}
		Groups map[string]struct{ Patterns []string }
	}
}

// TestDependabotKnowsEveryModule holds that no module, package or image is forgotten. The stock
// engine moves with `make bump` alone.
func TestDependabotKnowsEveryModule(t *testing.T) {
	var d dependabot
	decode(t, ".github/dependabot.yml", &d)
	assert.Equal(t, 2, d.Version)
	known := map[string][]string{"gomod": {"/tools/dockerd"}}
	for _, u := range d.Updates {
		assert.Contains(t, []string{"weekly", "monthly"}, u.Schedule.Interval)
		dirs := u.Directories
		if u.Directory != "" {
			dirs = append(dirs, u.Directory)
		}
		known[u.Ecosystem] = append(known[u.Ecosystem], dirs...)
	}
	for ecosystem, file := range map[string]string{"gomod": "go.mod", "npm": "package.json", "docker": "Dockerfile"} {
		assert.ElementsMatch(t, directoriesOf(t, file), known[ecosystem], ecosystem)
	}
	assert.Equal(t, []string{"/"}, known["github-actions"])
}

// directoriesOf are the directories of this repository that have a file with a name.
func directoriesOf(t *testing.T, name string) []string {
	t.Helper()
	list := exec.CommandContext(t.Context(), "git", "ls-files", name, "*/"+name)
	list.Dir = root
	out, err := list.Output()
	require.NoError(t, err)
	var dirs []string
	for file := range strings.FieldsSeq(string(out)) {
		dirs = append(dirs, path.Join("/", path.Dir(file)))
	}
	require.NotEmpty(t, dirs)
	return dirs
}

// form has the keys of an issue form, as GitHub's documentation names them.
type form struct {
	Name, Description string
	Labels            []string
	Body              []struct {
		Type, ID   string
		Attributes struct {
			Label, Description, Value, Render string
			Options                           []any
		}
		Validations struct{ Required bool }
	}
}

func TestIssueFormsAreForms(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, ".github/ISSUE_TEMPLATE/*.yml"))
	require.NoError(t, err)
	forms := 0
	for _, file := range files {
		if filepath.Base(file) == "config.yml" {
			continue
		}
		forms++
		var f form
		decode(t, filepath.Join(".github/ISSUE_TEMPLATE", filepath.Base(file)), &f)
		assert.NotEmpty(t, f.Name, file)
		assert.NotEmpty(t, f.Description, file)
		var ids []string
		for _, field := range f.Body {
			assert.Contains(t, []string{"checkboxes", "dropdown", "input", "markdown", "textarea"}, field.Type)
			if field.Type == "markdown" {
				assert.NotEmpty(t, field.Attributes.Value, file)
				continue
			}
			assert.NotEmpty(t, field.Attributes.Label, "%s: %s", file, field.ID)
			assert.Equal(t, field.Type == "checkboxes" || field.Type == "dropdown", len(field.Attributes.Options) > 0, "%s: %s", file, field.ID)
			ids = append(ids, field.ID)
		}
		require.NotEmpty(t, ids, file)
		assert.NotContains(t, ids, "")
		slices.Sort(ids)
		assert.Equal(t, slices.Compact(slices.Clone(ids)), ids, "ids are unique")
	}
	assert.NotZero(t, forms)
}

func TestIssuesLeadToPrivateReports(t *testing.T) {
	var config struct {
		Blank bool                                `yaml:"blank_issues_enabled"`
		Links []struct{ Name, URL, About string } `yaml:"contact_links"`
	}
	decode(t, ".github/ISSUE_TEMPLATE/config.yml", &config)
	require.NotEmpty(t, config.Links)
	assert.Contains(t, read(t, "SECURITY.md"), "<"+config.Links[0].URL+">")
}

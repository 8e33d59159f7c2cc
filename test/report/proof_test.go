package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// project is the root of the repository.
const project = "../.."

// marks are those of Markdown: the addresses of links, brackets and code.
var marks = regexp.MustCompile("\\]\\([^)]*\\)|[\\[`]")

// TestReadmeHasTheClaims holds that each claim stands in the README in its words.
func TestReadmeHasTheClaims(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(project, "README.md"))
	require.NoError(t, err)
	readme := strings.Join(strings.Fields(marks.ReplaceAllString(string(text), "")), " ")
	for _, p := range proofs {
		assert.Contains(t, readme, p.says)
	}
}

// TestCommandsOfProofsAreThere holds that each command is one that this repository has.
func TestCommandsOfProofsAreThere(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(project, "Makefile"))
	require.NoError(t, err)
	goTest := regexp.MustCompile(`^go test -run '?([A-Za-z|]+)'? \./(\S+)$`)
	for _, p := range proofs {
		target, isMake := strings.CutPrefix(p.command, "make ")
		name, isReport := strings.CutPrefix(p.command, "go run ./test/report -only ")
		test := goTest.FindStringSubmatch(p.command)
		switch {
		case isMake:
			assert.Contains(t, string(makefile), "\n.PHONY: "+target+"\n")
		case isReport:
			assert.Equal(t, name, p.section)
			assert.True(t, slices.ContainsFunc(sections, func(known section) bool { return known.name == name }), name)
		case assert.NotNil(t, test, p.command):
			for name := range strings.SplitSeq(test[1], "|") {
				assert.True(t, hasTest(t, filepath.Join(project, test[2]), name), "%s has no test %s", test[2], name)
			}
		}
		_, err := os.Stat(filepath.Join(project, "docs", strings.Split(p.page, "#")[0]))
		require.NoError(t, err)
	}
}

// hasTest reports whether a package has a test whose name begins so.
func hasTest(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	require.NoError(t, err)
	return slices.ContainsFunc(files, func(file string) bool {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		return strings.Contains(string(text), "\nfunc "+name)
	})
}

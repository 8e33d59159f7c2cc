package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	r, err := parse([]byte("# comment\n\n  base image\nrun /bin/a  b\ncopy x /y\n"))
	require.NoError(t, err)
	assert.Equal(t, recipe{base: "image", steps: []step{
		{line: "run /bin/a b", run: []string{"/bin/a", "b"}},
		{line: "copy x /y", src: "x", dst: "/y"},
	}}, r)
	for text, want := range map[string]string{
		"":                     "recipe: no base",
		"run x\n":              "recipe line 1: the base comes first",
		"base a\n\nbase b\n":   "recipe line 3: there is a base already",
		"base a\ncopy x\n":     `recipe line 2: "copy x" is none of: base IMAGE, run PROGRAM [ARGUMENT...], copy SOURCE TARGET`,
		"base a\ndelete all\n": `recipe line 2: "delete all" is none of: base IMAGE, run PROGRAM [ARGUMENT...], copy SOURCE TARGET`,
	} {
		_, err := parse([]byte(text))
		assert.EqualError(t, err, want)
	}
}

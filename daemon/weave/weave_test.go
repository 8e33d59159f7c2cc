package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const upstreamMain = `package main

import "github.com/moby/buildkit/control"

func main() {
	cfg, err := config.LoadFile(c.String("config"))
	other, err := config.LoadFile(defaultConfigPath())
	if err = wc.Add(w); err != nil {
		return err
	}
	return control.NewController(control.Opt{
		Workers: wc, // a comment
	})
}
`

func TestWeaveOpensEachSeam(t *testing.T) {
	woven, changes, err := weave("main.go", []byte(upstreamMain))
	require.NoError(t, err)
	assert.Equal(t, `package main

import seam "github.com/bkguard/bkguard/daemon/seam"

import "github.com/moby/buildkit/control"

func main() {
	cfg, err := seam.LoadFile(c.String("config"))
	other, err := config.LoadFile(defaultConfigPath())
	if err = wc.Add(seam.Worker(w)); err != nil {
		return err
	}
	return control.NewController(seam.Control(control.Opt{
		Workers: wc, // a comment
	}))
}
`, string(woven))
	assert.Len(t, changes, len(seams))
}

func TestWeaveRefusesAnotherMain(t *testing.T) {
	for name, source := range map[string]string{
		"config.LoadFile(c.String(\"config\")) is called 0 times": strings.Replace(upstreamMain, `c.String("config")`, `path`, 1),
		"wc.Add() is called 2 times":                              strings.Replace(upstreamMain, "return err\n", "return wc.Add(w2)\n", 1),
		"control.NewController() is called 0 times":               strings.Replace(upstreamMain, "NewController", "New", 1),
		"parse upstream's main":                                   "package",
	} {
		_, _, err := weave("main.go", []byte(source))
		assert.ErrorContains(t, err, name)
	}
}

func TestRunWritesAnOverlay(t *testing.T) {
	dir := t.TempDir()
	main := filepath.Join(dir, "upstream.go")
	require.NoError(t, os.WriteFile(main, []byte(upstreamMain), 0o600))
	var out bytes.Buffer
	require.NoError(t, run([]string{main, filepath.Join(dir, "overlay")}, &out))
	assert.Contains(t, out.String(), "upstream.go:6:14: config.LoadFile is now seam.LoadFile\n")
	overlay, err := os.ReadFile(filepath.Join(dir, "overlay", "overlay.json"))
	require.NoError(t, err)
	assert.JSONEq(t, `{"Replace": {"`+main+`": "`+filepath.Join(dir, "overlay", "main.go")+`"}}`, string(overlay))
	assert.FileExists(t, filepath.Join(dir, "overlay", "main.go"))

	require.ErrorContains(t, run([]string{filepath.Join(dir, "absent.go"), dir}, &out), "read upstream's main")
	require.ErrorContains(t, run(nil, &out), "usage")
}

package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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

// buildkitd is woven by its seams.
func buildkitd(name, source string) (woven []byte, changes []string, err error) {
	p := programs["buildkitd"]
	return weave(name, []byte(source), p.seamImport, p.files[0].seams)
}

func TestWeaveOpensEachSeam(t *testing.T) {
	woven, changes, err := buildkitd("main.go", upstreamMain)
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
	assert.Len(t, changes, 3)
}

// TestWeaveOpensASeamSeveralTimes has an engine of two builders.
func TestWeaveOpensASeamSeveralTimes(t *testing.T) {
	const builders = `package buildkit

func one() error {
	err = wc.Add(w)
	return control.NewController(opt)
}

func other() error {
	wc.Add(w)
	return control.NewController(opt)
}
`
	p := programs["dockerd"]
	woven, changes, err := weave("controller.go", []byte(builders), p.seamImport, p.files[1].seams)
	require.NoError(t, err)
	assert.Equal(t, strings.NewReplacer(
		"package buildkit\n", "package buildkit\n\nimport seam \"github.com/bkguard/bkguard/engine/seam\"\n",
		"wc.Add(w)", "wc.Add(seam.Worker(w))",
		"NewController(opt)", "NewController(seam.Control(opt))",
	).Replace(builders), string(woven))
	assert.Len(t, changes, 4)

	_, _, err = weave("controller.go", []byte(strings.Replace(builders, "wc.Add", "wc.Append", 1)), p.seamImport, p.files[1].seams)
	require.EqualError(t, err, "controller.go: wc.Add() is called 1 times, not 2: this release needs another seam")

	woven, changes, err = weave("daemon.go", []byte("package command\n\nvar cfg, err = loadDaemonCliConfig(opts)\n"), p.seamImport, p.files[0].seams)
	require.NoError(t, err)
	assert.Contains(t, string(woven), "var cfg, err = seam.Config(loadDaemonCliConfig(opts))\n")
	assert.Equal(t, []string{"daemon.go:3:16: the results of loadDaemonCliConfig go through seam.Config"}, changes)
}

func TestWeaveRefusesAnotherMain(t *testing.T) {
	for name, source := range map[string]string{
		"config.LoadFile(c.String(\"config\")) is called 0 times": strings.Replace(upstreamMain, `c.String("config")`, `path`, 1),
		"wc.Add() is called 2 times":                              strings.Replace(upstreamMain, "return err\n", "return wc.Add(w2)\n", 1),
		"control.NewController() is called 0 times":               strings.Replace(upstreamMain, "NewController", "New", 1),
		"parse upstream's source":                                 "package",
	} {
		_, _, err := buildkitd("main.go", source)
		assert.ErrorContains(t, err, name)
	}
}

// fragments are what FuzzWeave makes a main.go of, in one function after another.
var fragments = []string{
	`cfg, err := config.LoadFile(c.String("config"))`,
	`config.LoadFile(c.String("config"))`,
	`config.LoadFile(defaultConfigPath())`,
	`config.LoadFile(c.String("config"), true)`,
	`config . LoadFile( c.String("config") )`,
	"if err = wc.Add(w); err != nil {\n\treturn err\n}",
	`wc.Add(w...)`,
	`wc.Add(func() worker.Worker { return w }())`,
	"wc.Add(`a\r\nb`)",
	`(wc.Add)(w)`,
	"wc.\n\tAdd(w)",
	`defer wc.Add(w) // wc.Add(w)`,
	`wc.Add()`,
	`wc.Add(config.LoadFile(c.String("config")))`,
	`wc.Add(wc.Add(w))`,
	"return control.NewController(control.Opt{\n\tWorkers: wc, // a comment\n})",
	"control.NewController(\n\topt, /* the options */\n)",
	`control.NewController(wc.Add(w))`,
	`go control.NewController(control.NewController(opt))`,
	"//line other.go:7",
	"/* control.NewController(opt)\r\n*/",
	"_ = \"wc.Add(w)\"",
	"}\n\nfunc _() {",
}

// FuzzWeave opens the seams of any main.go: of a text, of fragments in its only
// function, or of both. What has been opened can be closed again by what the
// parser finds, and is then the same to the byte.
func FuzzWeave(f *testing.F) {
	upstream, err := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/moby/buildkit/cmd/buildkitd").Output()
	require.NoError(f, err)
	source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(upstream)), "main.go"))
	require.NoError(f, err)
	f.Add(string(source), []byte{})
	f.Add(upstreamMain, []byte{})
	f.Add(strings.ReplaceAll(upstreamMain, "\n", "\r\n"), []byte{})
	f.Add("\ufeff"+upstreamMain, []byte{})
	f.Add("package main", []byte{0, 5, 15})
	f.Add("// Package main.\npackage /* main */ main // main\n", []byte{2, 11, 22, 19, 16, 0})
	f.Add("package main; import \"fmt\"\n", []byte{13, 16})
	f.Add("package main", []byte{18, 0, 8})
	f.Add("package main", []byte{17, 1})
	f.Add("package main", []byte{20, 4, 8, 15})
	f.Fuzz(func(t *testing.T, text string, statements []byte) {
		source := text
		if len(statements) > 0 {
			source += "\n\nfunc main() {\n"
			for _, n := range statements {
				source += fragments[int(n)%len(fragments)] + "\n"
			}
			source += "}\n"
		}
		if strings.Contains(source, "seam") {
			return // would be taken for ours below
		}
		woven, changes, err := buildkitd("upstream/main.go", source)
		if err != nil {
			require.Empty(t, woven)
			if !strings.Contains(err.Error(), "parse upstream's source: upstream/main.go:") {
				require.Regexp(t, `^upstream/main\.go: (config\.LoadFile\(c\.String\("config"\)\)|wc\.Add\(\)|control\.NewController\(\)) is called \d+ times, not 1:`, err)
			}
			return
		}
		require.Len(t, changes, 3)
		require.Equal(t, source, closed(t, string(woven)))
	})
}

// closed takes the seams out of a woven main.go.
func closed(t *testing.T, woven string) string {
	t.Helper()
	imported := "\n\nimport seam " + strconv.Quote(programs["buildkitd"].seamImport)
	require.Equal(t, 1, strings.Count(woven, imported))
	for _, s := range programs["buildkitd"].files[0].seams {
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, "", woven, parser.SkipObjectResolution)
		require.NoError(t, err, "%s", woven)
		offset := func(p token.Pos) int { return files.PositionFor(p, false).Offset }
		var found []*ast.CallExpr
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && woven[offset(call.Fun.Pos()):offset(call.Fun.End())] == s.replace+s.wrap {
				found = append(found, call)
			}
			return true
		})
		require.Len(t, found, 1, "%s in %s", s.replace+s.wrap, woven)
		function, end := offset(found[0].Fun.Pos()), offset(found[0].Fun.End())
		opening, closing := offset(found[0].Lparen), offset(found[0].Rparen)
		if s.replace != "" {
			woven = woven[:function] + s.call + woven[end:]
		} else {
			woven = woven[:function] + woven[opening+1:closing] + woven[closing+1:]
		}
	}
	return strings.Replace(woven, imported, "", 1)
}

func TestRunWritesAnOverlay(t *testing.T) {
	dir := t.TempDir()
	vendored := filepath.Join(dir, "vendor")
	main := filepath.Join(vendored, programs["buildkitd"].files[0].path)
	require.NoError(t, os.MkdirAll(filepath.Dir(main), 0o755))
	require.NoError(t, os.WriteFile(main, []byte(upstreamMain), 0o600))
	var out bytes.Buffer
	require.NoError(t, run([]string{"buildkitd", vendored, filepath.Join(dir, "overlay")}, &out))
	assert.Contains(t, out.String(), "main.go:6:14: config.LoadFile is now seam.LoadFile\n")
	overlay, err := os.ReadFile(filepath.Join(dir, "overlay", "overlay.json"))
	require.NoError(t, err)
	assert.JSONEq(t, `{"Replace": {"`+main+`": "`+filepath.Join(dir, "overlay", "main.go")+`"}}`, string(overlay))
	assert.FileExists(t, filepath.Join(dir, "overlay", "main.go"))

	require.ErrorContains(t, run([]string{"dockerd", vendored, dir}, &out), "read upstream's source")
	require.EqualError(t, run([]string{"dockered", vendored, dir}, &out), `unknown program "dockered" (allowed: buildkitd, dockerd)`)
	require.EqualError(t, run(nil, &out), "usage: weave PROGRAM VENDORED DIRECTORY (programs: buildkitd, dockerd)")
}

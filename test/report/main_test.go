package main

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestReportIsOfItsData holds that the pages and the plots are what the program makes
// of the data beside them.
func TestReportIsOfItsData(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(filepath.Join(dir, "docs"), os.DirFS(filepath.Join(project, "docs"))))
	plots, err := filepath.Glob(filepath.Join(dir, dataDir, "*.svg"))
	require.NoError(t, err)
	for _, path := range plots {
		require.NoError(t, os.Remove(path))
	}
	require.NoError(t, write(dir))

	written, err := filepath.Glob(filepath.Join(dir, dataDir, "*.svg"))
	require.NoError(t, err)
	assert.Len(t, written, len(plots))
	files := []string{"docs/benchmarks.md", "docs/proof.md"}
	for _, path := range written {
		files = append(files, filepath.Join(dataDir, filepath.Base(path)))
	}
	for _, file := range files {
		want, err := os.ReadFile(filepath.Join(dir, file))
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join(project, file))
		require.NoError(t, err)
		assert.True(t, bytes.Equal(want, got), "%s is older than its data: go run ./test/report -only page", file)
	}
}

func TestParse(t *testing.T) {
	for names, args := range map[string][]string{
		"conversions,levels,uploads,layers,compressions,concurrent,crowd,records,engines,imports,overhead,guard": {},
		"imports,layers": {"-only", "imports,layers"},
		"":               {"-only", "page"},
	} {
		chosen, err := parse(args, io.Discard)
		require.NoError(t, err)
		var got string
		for n, s := range chosen {
			if n > 0 {
				got += ","
			}
			got += s.name
		}
		assert.Equal(t, names, got)
	}
	for want, args := range map[string][]string{
		`-only "x" is no section (allowed: conversions, levels, uploads, layers, compressions, concurrent, crowd, records, engines, imports, overhead, guard, or page)`: {"-only", "layers,x"},
		`unexpected argument "x" (-h shows the flags)`:       {"x"},
		"flag provided but not defined: -y (-h shows the fl": {"-y"},
	} {
		_, err := parse(args, io.Discard)
		require.ErrorContains(t, err, want)
	}
}

func TestHelpShowsFlagsAndExamples(t *testing.T) {
	var out bytes.Buffer
	require.ErrorIs(t, run(t.Context(), []string{"-h"}, &out, io.Discard), flag.ErrHelp)
	for _, want := range []string{"-only NAMES", "layers,compressions,", "go run ./test/report -only page"} {
		assert.Contains(t, out.String(), want)
	}
}

package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestChartsAreDrawnForLightAndDark(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, sample().writeCharts(dir))
	for name, want := range map[string][]string{
		"conversions-memory":  {"stock, limit 512MiB", "stock, no limit", "guarded, no limit", "killed", "Peak memory of an export of an image in zstd, layers of 1 MiB", "limit 512MiB"},
		"conversions-time":    {"killed", "Time of an export of an image in zstd"},
		"levels-memory":       {"compression-level", "64 layers of 1 MiB"},
		"levels-time":         {"compression-level"},
		"layers-memory":       {"stock, limit 512MiB", "stock, limit 3GiB", "guarded, limit 512MiB", "killed", "layers of the image", "64"},
		"layers-time":         {"killed", "1s", "10s"},
		"compressions-memory": {"export of a cache, 12 layers"},
		"compressions-time":   {"compressions that the layers exist in"},
		"concurrent-memory":   {"8 at once", "killed"},
		"imports-cached":      {"steps, of 3", "inline, gzip"},
		"imports-blobs":       {"blobs", "17"},
		"overhead":            {"40ms", "42ms", "1.5s", "seconds"},
		"remotes":             {"upstream, all remotes", "10µs"},
		"soak-memory":         {"resident", "exports", "MiB"},
		"soak-open":           {"goroutines", "open files"},
	} {
		for _, t2 := range themes {
			svg := readSVG(t, filepath.Join(dir, name+"-"+t2.name+".svg"))
			for _, text := range want {
				assert.Contains(t, svg, text, name)
			}
		}
	}
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, files, 2*17)
}

// readSVG returns the texts of a well-formed file.
func readSVG(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	var texts []string
	root := ""
	for d := xml.NewDecoder(f); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err, path)
		switch token := token.(type) {
		case xml.StartElement:
			if root == "" {
				root = token.Name.Local
			}
		case xml.CharData:
			if text := strings.TrimSpace(string(token)); text != "" {
				texts = append(texts, text)
			}
		}
	}
	assert.Equal(t, "svg", root, path)
	return strings.Join(texts, "\n")
}

func TestChartsAreOnlyOfWhatWasMeasured(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, (&data{}).writeCharts(dir))
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, files)
}

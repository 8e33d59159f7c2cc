package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPageHasWhatWasMeasured(t *testing.T) {
	page := writtenPage(t, sample())
	for _, want := range []string{
		"| image of 127 layers of 1 MiB converted to zstd | killed | 508MiB, 1s; without a limit 0.50× |\n",
		"| cache export, 20 layers in gzip and zstd | killed | 80MiB, 2s |\n",
		"| 8 such exports at once, 64 layers | killed, 0 of 8 done | 256MiB, 6.4s |\n",
		"| registry cache of 15 layers, blobs | 17, 3MiB | 15, 2MiB |\n",
		"| inline cache, steps cached on a fresh daemon | 0 of 3 | 3 of 3 |\n",
		"| layers | stock, no limit | stock, limit 512MiB | guarded, no limit | guarded, limit 512MiB |\n",
		"| 127 | 508MiB, 2s | killed | 508MiB, 1s | 508MiB, 1s |\n",
		"| level | stock, no limit |",
		"| 21 | 508MiB, 2s | killed |",
		"A daemon holds 8 layers of 200MB and exports",
		"| azblob | 4 | killed, 0 of 4 done | 700MiB, 4s | 200MiB, 3s | 0.75× |\n",
		"| layers | combinations | stock, limit 512MiB | stock, limit 3GiB | guarded, limit 512MiB |\n",
		"| 16 | 2^15 | 64MiB, 1.6s | 64MiB, 1.6s | 64MiB, 1.6s |\n",
		"| 20 | 2^19 | killed | 80MiB, 2s | 80MiB, 2s |\n",
		"| 64 | 2^63 | killed | 256MiB, 6.4s |\n",
		"| 64 | 2^63 | killed, 0 of 8 done | 256MiB, 6.4s |\n",
		"| 4 | 4^11 | killed |",
		"| registry | gzip | 3 of 3 | 17/15 | 3MiB | 3 of 3 | 15/15 | 2MiB |\n",
		"| inline | gzip | 0 of 3 |",
		"| inline | 100%, 9 of 9 | 100%, 9 of 9 | 50%, 9 of 18 | 100%, 9 of 9 |\n\n",
		"| collecting the records | 40ms | 42ms | 1.05× | 50ms |\n",
		"| 8 | 2 | 10µs | 12 |",
		"| 500 | 127 | 5MiB | 10MiB |\n",
		"| 12 | 2^11 | 4KiB |\n",
		"| 4000 | 400ms | 2.00× | 400ms | 2.00× |\n",
		"| 1 | 512MiB | 200MiB, 2s | killed | 200MiB, 2s |\n",
		"| 196 | 120MiB | 60MiB | 0.50× | 20MiB | 20MiB | 0.40× | 140MiB | 140MiB |\n",
		"| 3600 | 1 | 1 | killed | done |\n",
		"| stock | growth | +20.0% | +25.0% |",
		"| guarded | 500 | 100MiB | 40MiB | 70 | 30 |\n| guarded | 2000 | 101MiB | 40MiB | 70 | 30 |\n| guarded | growth | +1.0% | +0.0% |",
		"## Floor\n\nThe floor is *here*.\n",
		"| 2 | 1ms | 7 | 1.25ms | 7 | 1.25× |\n",
		"| layers | 2026-01-02 | 2 cores of A Processor, 24GiB, Linux 6.1.0 | v1 | v1+bkguard.2 | go1 |\n",
	} {
		assert.Contains(t, page, want)
	}
	assert.NotContains(t, page, "\n\n\n")
}

// TestPageShowsEveryPlot holds that there are as many plots on the page as there
// are files.
func TestPageShowsEveryPlot(t *testing.T) {
	page := writtenPage(t, sample())
	plots := regexp.MustCompile(`benchmarks/([a-z-]+)-(?:light|dark)\.svg`).FindAllStringSubmatch(page, -1)
	shown := map[string]int{}
	for _, m := range plots {
		shown[m[1]]++
	}
	for name := range sample().charts() {
		assert.Equal(t, 2, shown[name], name)
	}
	assert.Len(t, shown, len(sample().charts()))
}

func TestPageWithoutData(t *testing.T) {
	page := writtenPage(t, &data{})
	assert.Equal(t, 1, strings.Count("\n"+page, "\n#"), page)
}

func writtenPage(t *testing.T, d *data) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "page.md")
	require.NoError(t, d.writePage(path))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

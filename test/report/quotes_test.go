package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestQuotesAreOfTheData holds that figures of the report which pages written by hand quote are
// those of the data.
func TestQuotesAreOfTheData(t *testing.T) {
	d, err := load(filepath.Join(project, dataDir))
	require.NoError(t, err)
	many := records{Layers: 57, Records: 3969}
	stocks, ok := d.recordsOf(stock, many, 1)
	require.True(t, ok)
	ours, ok := d.recordsOf(guarded, many, 1)
	require.True(t, ok)
	for page, quotes := range map[string][]string{
		"operating.md": {
			fmt.Sprintf("an export of 3,969 records upon 57 layers grows the daemon by %s, where it grows stock by %s.", size(ours.Growth), size(stocks.Growth)),
		},
		"upstream.md": {
			fmt.Sprintf("Of 3,969 records the daemon grows by %s for it, after the export has grown it by %s.", size(ours.WithHistory), size(ours.Growth)),
			fmt.Sprintf("keeps the traces of all requests for that history: %s for one export of these records.", size(stocks.Trace)),
		},
	} {
		text, err := os.ReadFile(filepath.Join(project, "docs", page))
		require.NoError(t, err)
		for _, quote := range quotes {
			assert.Contains(t, strings.Join(strings.Fields(string(text)), " "), quote, page)
		}
	}
}

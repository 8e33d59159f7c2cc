package harness

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseTimes(t *testing.T) {
	const began = `{"vertexes":[{"name":"exporting cache to registry","started":"2026-01-01T00:00:01Z"}]}
{"statuses":[{"id":"preparing build cache for export","started":"2026-01-01T00:00:01Z"}]}
`
	times, err := parseTimes(began + `{"statuses":[{"id":"preparing build cache for export","started":"2026-01-01T00:00:01Z","completed":"2026-01-01T00:00:01.5Z"}]}
{"vertexes":[{"name":"exporting cache to registry","started":"2026-01-01T00:00:01Z","completed":"2026-01-01T00:00:03Z"},{"name":"[1/2] FROM base"}]}
`)
	require.NoError(t, err)
	assert.Equal(t, ExportTimes{Prepare: 500 * time.Millisecond, Total: 2 * time.Second, Ended: time.Date(2026, 1, 1, 0, 0, 3, 0, time.UTC)}, times)

	_, err = parseTimes(began)
	require.EqualError(t, err, "the progress has no finished cache export")
	_, err = parseTimes("not json")
	require.ErrorContains(t, err, "read raw progress: ")
}

package harness

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const objectsConfig = `{"layers": [
	{"blob": "sha256:a", "parent": -1, "annotations": {"diffID": "sha256:1", "mediaType": "layer", "size": 7}},
	{"blob": "sha256:b", "annotations": {"diffID": "sha256:2"}}
]}`

func TestParseObjects(t *testing.T) {
	m, err := parseObjects([]byte(objectsConfig), []string{"sha256:b", "sha256:a"})
	require.NoError(t, err)
	assert.Len(t, m.Blobs, 2)
	assert.Equal(t, 2, m.Layers())
	assert.Equal(t, "layer", m.Blobs[1].MediaType)
	assert.EqualValues(t, 7, m.Blobs[1].Size)
}

func TestParseObjectsCountsWhatTheConfigDoesNotHave(t *testing.T) {
	m, err := parseObjects([]byte(objectsConfig), []string{"sha256:a", "sha256:b", "sha256:c"})
	require.NoError(t, err)
	assert.Len(t, m.Blobs, 3)
}

func TestParseObjectsMissesABlob(t *testing.T) {
	_, err := parseObjects([]byte(objectsConfig), []string{"sha256:a"})
	require.EqualError(t, err, "the cache config has layer sha256:b, the store has not")
}

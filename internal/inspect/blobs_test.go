package inspect

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/containerd/v2/core/images"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// slowPlace takes a second for each blob, of which it says one size or an error.
type slowPlace struct {
	Place // nil
	bytes int64
	err   error
}

func (p slowPlace) size(context.Context, digest.Digest) (int64, error) {
	time.Sleep(time.Second)
	return p.bytes, p.err
}

// TestStored looks up a hundred blobs of ten bytes.
func TestStored(t *testing.T) {
	away := errors.New("connection refused")
	for name, c := range map[string]struct {
		place   slowPlace
		finding string
		err     error
	}{
		"stored":          {place: slowPlace{bytes: 10}},
		"size not told":   {place: slowPlace{bytes: unknownSize}},
		"another size":    {place: slowPlace{bytes: 11}, finding: "100 blobs are of another size"},
		"missing":         {place: slowPlace{err: errMissing}, finding: "100 blobs are missing"},
		"cannot be asked": {place: slowPlace{err: away}, err: away},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var cache Cache
				for i := range 100 {
					cache.blobs = append(cache.blobs, ocispecs.Descriptor{Digest: digest.FromString(strconv.Itoa(i)), Size: 10})
				}
				start := time.Now()
				require.ErrorIs(t, cache.checkStored(t.Context(), c.place), c.err)
				if c.err == nil {
					assert.Equal(t, 13*time.Second, time.Since(start), "eight at a time")
				}
				if c.finding == "" {
					assert.Empty(t, cache.Findings)
				} else {
					assert.Contains(t, cache.Verdict(), c.finding)
				}
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				require.ErrorIs(t, cache.checkStored(ctx, c.place), context.Canceled)
			})
		})
	}
}

// TestForeign tells the blobs that are not stored with the others.
func TestForeign(t *testing.T) {
	urls := []string{"https://example.org/layer"}
	for _, mediaType := range []string{images.MediaTypeDockerSchema2LayerForeignGzip, "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"} {
		assert.True(t, foreign(ocispecs.Descriptor{MediaType: mediaType, URLs: urls}))
		assert.False(t, foreign(ocispecs.Descriptor{MediaType: mediaType}), "it has no other address")
	}
	assert.False(t, foreign(ocispecs.Descriptor{MediaType: gzip, URLs: urls}), "it must be there, too")
}

func TestReadVerified(t *testing.T) {
	largest := bytes.Repeat([]byte(" "), readLimit)
	data, err := readVerified(bytes.NewReader(largest), digest.FromBytes(largest))
	require.NoError(t, err)
	assert.Len(t, data, readLimit)
	larger := bytes.Repeat([]byte(" "), readLimit+1)
	_, err = readVerified(bytes.NewReader(larger), digest.FromBytes(larger))
	require.ErrorIs(t, err, errTooLarge)
	_, err = readVerified(bytes.NewReader(largest[1:]), digest.FromBytes(largest))
	require.ErrorIs(t, err, errCorrupt)
}

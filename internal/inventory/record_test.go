package inventory

import (
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/pkg/labels"
	"github.com/moby/buildkit/cache/metadata"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/internal/variants"
)

// TestRecordsWithoutBlobs holds which records count, as those that are deleted wait to be
// removed.
func TestRecordsWithoutBlobs(t *testing.T) {
	for name, tc := range map[string]struct {
		values values
		want   bool
	}{
		"layers with blobs":  {values{keyBlobChainID: "sha256:chain"}, true},
		"never compressed":   {values{}, false},
		"deleted":            {values{keyBlobChainID: "sha256:chain", keyDeleted: true}, false},
		"deleted in no case": {values{keyBlobChainID: "sha256:chain", keyDeleted: false}, true},
	} {
		_, ok := NewRecord("id", func(key string) *metadata.Value {
			if tc.values[key] == nil {
				return nil
			}
			value, err := metadata.NewValue(tc.values[key])
			require.NoError(t, err)
			return value
		})
		assert.Equal(t, tc.want, ok, name)
	}
}

// TestOwnBlobIsDescribedAsByUpstream has a blob in the store, and one that is lazy.
func TestOwnBlobIsDescribedAsByUpstream(t *testing.T) {
	const diffID = "sha256:uncompressed"
	blob := digest.FromString("blob")
	stored := content.Info{Digest: blob, Size: 10, Labels: map[string]string{
		variants.MediaTypeLabel:                       "type in the store",
		variants.AnnotationLabelPrefix + "custom":     "text",
		variants.AnnotationLabelPrefix + "other.note": "more",
	}}
	for name, tc := range map[string]struct {
		diffID digest.Digest
		info   content.Info
		want   map[string]string
	}{
		"stored":           {diffID, stored, map[string]string{"custom": "text", "other.note": "more", labels.LabelUncompressed: diffID}},
		"without a diffID": {"", stored, map[string]string{"custom": "text", "other.note": "more"}},
		"lazy":             {diffID, content.Info{}, map[string]string{labels.LabelUncompressed: diffID}},
		"nothing is known": {"", content.Info{}, nil},
	} {
		r := Record{blob: blob, size: 7, mediaType: "type", diffID: tc.diffID}
		assert.Equal(t, ocispecs.Descriptor{Digest: blob, Size: 7, MediaType: "type", Annotations: tc.want}, r.own(tc.info), name)
	}
}

package inventory

import (
	"context"
	"fmt"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/pkg/labels"
	"github.com/moby/buildkit/cache"
	"github.com/moby/buildkit/cache/metadata"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/bkguard/bkguard/internal/variants"
)

// The keys of a record's metadata, as upstream writes them (cache/metadata.go).
const (
	keyDescription  = "cache.description"
	keyImageRefs    = "cache.imageRefs"
	keyDeleted      = "cache.deleted"
	keyBlob         = "cache.blob"
	keyBlobSize     = "cache.blobsize"
	keyBlobChainID  = "cache.blobChainID"
	keyMediaType    = "cache.mediatype"
	keyDiffID       = "cache.diffID"
	keyParent       = "cache.parent"
	keyMergeParents = "cache.mergeParents"
	keyLowerParent  = "cache.lowerDiffParent"
	keyUpperParent  = "cache.upperDiffParent"
)

// blobChainIndex is the index of upstream's metadata that has every record whose layers
// have blobs (cache/metadata.go).
const blobChainIndex = "blobchainid:"

// Record is a record of a worker's cache, as far as it says what layers it has.
type Record struct {
	ID, Description string
	// blob is that of the record's own layer; it may be in no store, as it is lazy.
	blob digest.Digest
	size int64
	// mediaType and diffID are those of the blob, empty if they are not known.
	mediaType string
	diffID    digest.Digest
	// images are the names of images that the layer is of.
	images []string
	// parent, mergeParents, lower and upper are IDs of other records. What is set says
	// what kind of record this is (cache/refs.go, kind).
	parent       string
	mergeParents []string
	lower, upper string
}

// NewRecord reads a record, whose values get returns by their keys; nil for none. It
// reports false for a record that a cache export has no blobs of: one that is deleted, or
// whose layers were never compressed. Values that cannot be read count as none.
func NewRecord(id string, get func(key string) *metadata.Value) (Record, bool) {
	var chain string
	var deleted bool
	unmarshal(get(keyBlobChainID), &chain)
	unmarshal(get(keyDeleted), &deleted)
	if chain == "" || deleted {
		return Record{}, false
	}
	r := Record{ID: id}
	for key, field := range map[string]any{
		keyDescription: &r.Description, keyImageRefs: &r.images, keyBlob: &r.blob, keyBlobSize: &r.size, keyMediaType: &r.mediaType, keyDiffID: &r.diffID,
		keyParent: &r.parent, keyMergeParents: &r.mergeParents, keyLowerParent: &r.lower, keyUpperParent: &r.upper,
	} {
		unmarshal(get(key), field)
	}
	return r, true
}

// ReadRecords reads the records of a cache that is in use, without a change to them.
func ReadRecords(ctx context.Context, cached cache.MetadataStore) ([]Record, error) {
	found, err := cached.Search(ctx, blobChainIndex, true)
	if err != nil {
		return nil, fmt.Errorf("read the records: %w", err)
	}
	var records []Record
	for _, md := range found {
		if r, ok := NewRecord(md.ID(), md.Get); ok {
			records = append(records, r)
		}
	}
	return records, nil
}

func unmarshal(v *metadata.Value, field any) {
	if v != nil {
		_ = v.Unmarshal(field)
	}
}

// own is the record's own blob as upstream describes it to an export (cache/refs.go,
// ociDesc). The info is that of the blob in the store, without labels if it is not there.
func (r *Record) own(info content.Info) ocispecs.Descriptor {
	desc := ocispecs.Descriptor{Digest: r.blob, Size: r.size, MediaType: r.mediaType}
	if stored, ok := variants.Descriptor(info); ok {
		desc.Annotations = stored.Annotations
	}
	if r.diffID != "" {
		if desc.Annotations == nil {
			desc.Annotations = make(map[string]string)
		}
		desc.Annotations[labels.LabelUncompressed] = r.diffID.String()
	}
	return desc
}

// In reports whether the record's own blob is in a store.
func (r *Record) In(stored Content) bool {
	_, ok := stored[r.blob]
	return ok
}

package harness

import (
	"encoding/json"
	"fmt"

	"github.com/containerd/containerd/v2/pkg/labels"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// parseObjects reads a cache in an object store, where the cache config itself
// is the manifest. Blobs are the names of all that lies beside it, whether the
// config has it or not.
func parseObjects(manifest []byte, blobs []string) (CacheManifest, error) {
	m := CacheManifest{Digest: digest.FromBytes(manifest)}
	if err := json.Unmarshal(manifest, &m.Config); err != nil {
		return CacheManifest{}, fmt.Errorf("parse the cache config: %w", err)
	}
	stored := map[digest.Digest]*ocispecs.Descriptor{}
	m.Blobs = make([]ocispecs.Descriptor, len(blobs))
	for i, blob := range blobs {
		m.Blobs[i].Digest = digest.Digest(blob)
		stored[m.Blobs[i].Digest] = &m.Blobs[i]
	}
	for _, layer := range m.Config.Layers {
		desc, ok := stored[layer.Blob]
		if !ok || layer.Annotations == nil {
			return CacheManifest{}, fmt.Errorf("the cache config has layer %s, the store has not", layer.Blob)
		}
		desc.MediaType = layer.Annotations.MediaType
		desc.Size = layer.Annotations.Size
		desc.Annotations = map[string]string{labels.LabelUncompressed: layer.Annotations.DiffID.String()}
	}
	return m, nil
}

// Package baseimage knows the images that a build has resolved, and how a client
// is warned of one. It is what the middleware for frontends and the guard inside
// of a daemon share.
package baseimage

import (
	"encoding/json"

	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// Image is one platform of an image.
type Image struct {
	// Name is the reference that the build has resolved.
	Name string
	// Digest is that of the manifest, or of the index that it is listed in.
	Digest digest.Digest
	// Platform is the one that the configuration says.
	Platform ocispecs.Platform
	// Layers is their number.
	Layers int
}

// newImage reads the configuration of an image. It reports false for one that
// has no layers or is of another kind.
func newImage(name string, dgst digest.Digest, config []byte) (Image, bool) {
	var c ocispecs.Image
	if err := json.Unmarshal(config, &c); err != nil || len(c.RootFS.DiffIDs) == 0 || dgst == "" {
		return Image{}, false
	}
	return Image{Name: name, Digest: dgst, Platform: c.Platform, Layers: len(c.RootFS.DiffIDs)}, true
}

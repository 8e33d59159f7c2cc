package baseimage

import (
	"slices"
	"strings"
	"sync"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	digest "github.com/opencontainers/go-digest"
)

// Seen collects the images that a build resolves. It is safe for concurrent use;
// the zero value is ready.
type Seen struct {
	mu sync.Mutex
	// images are in the order of their first resolution, protected by mu.
	images []Image
}

// Add adds an image by what resolving its configuration has returned. What is
// not an image with layers is left out.
func (s *Seen) Add(name string, dgst digest.Digest, config []byte) {
	i, ok := newImage(name, dgst, config)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.ContainsFunc(s.images, i.same) {
		s.images = append(s.images, i)
	}
}

// AddSource adds an image by what resolving a source has returned.
func (s *Seen) AddSource(source *sourceresolver.MetaResponse) {
	if source == nil || source.Op == nil || source.Image == nil {
		return
	}
	// The scheme is docker-image or oci-layout.
	_, name, _ := strings.Cut(source.Op.Identifier, "://")
	s.Add(name, source.Image.Digest, source.Image.Config)
}

// same reports whether two are one platform of one image, whatever their names.
func (i Image) same(other Image) bool {
	return i.Digest == other.Digest && platforms.FormatAll(i.Platform) == platforms.FormatAll(other.Platform)
}

// ByDigest returns the images with their platforms, in the order in which they
// were resolved first. Stages that share a base have one image between them, and
// so have the platforms of one index.
func (s *Seen) ByDigest() [][]Image {
	s.mu.Lock()
	defer s.mu.Unlock()
	var groups [][]Image
	for _, i := range s.images {
		at := slices.IndexFunc(groups, func(g []Image) bool { return g[0].Digest == i.Digest })
		if at < 0 {
			groups = append(groups, []Image{i})
			continue
		}
		groups[at] = append(groups[at], i)
	}
	return groups
}

// subrequest is the option of a build that asks for something other than an
// image, such as the lint of a Dockerfile (frontend/dockerui/requests.go).
const subrequest = "requestid"

// Built reports whether a build with these options for its frontend is one of an
// image, which may be exported.
func Built(opts map[string]string) bool { return opts[subrequest] == "" }

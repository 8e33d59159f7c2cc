package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/moby/buildkit/util/attestation"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// image is what an estimate needs to know of an image.
type image struct {
	name     string
	platform string
	// mediaTypes are those of the layers, bottom layer first.
	mediaTypes []string
}

// imageSource finds images. Each is looked up once.
type imageSource struct {
	// insecure allows plain HTTP.
	insecure bool
	found    map[string][]image
}

// images returns the images of a name, one for each platform, or the one for
// the given platform. A name is that of a directory with an OCI layout, or a
// reference.
func (s *imageSource) images(ctx context.Context, imageName, platform string) ([]image, error) {
	all, ok := s.found[imageName]
	if !ok {
		var err error
		if all, err = s.load(ctx, imageName); err != nil {
			return nil, err
		}
		if s.found == nil {
			s.found = make(map[string][]image)
		}
		s.found[imageName] = all
	}
	if platform == "" {
		return all, nil
	}
	want, err := v1.ParsePlatform(platform)
	if err != nil {
		return nil, fmt.Errorf("platform %q: %w", platform, err)
	}
	var matching []image
	var platforms []string
	for _, i := range all {
		platforms = append(platforms, i.platform)
		if has, err := v1.ParsePlatform(i.platform); err == nil && has.Satisfies(*want) {
			matching = append(matching, i)
		}
	}
	if len(matching) == 0 {
		return nil, fmt.Errorf("%s has no image for %s (there is: %s)", imageName, platform, strings.Join(platforms, ", "))
	}
	return matching, nil
}

// load reads a directory that says it is an OCI layout, or asks the registry.
func (s *imageSource) load(ctx context.Context, imageName string) ([]image, error) {
	var (
		all []image
		err error
	)
	switch _, statErr := os.Stat(filepath.Join(imageName, ocispecs.ImageLayoutFile)); {
	case statErr == nil:
		all, err = fromLayout(imageName)
	case strings.HasPrefix(imageName, "/") || strings.HasPrefix(imageName, "."):
		return nil, fmt.Errorf("%s is not an OCI layout: %w", imageName, statErr)
	default:
		all, err = s.fromRegistry(ctx, imageName)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", imageName, err)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s holds no image", imageName)
	}
	return all, nil
}

func fromLayout(dir string) ([]image, error) {
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, err
	}
	return fromIndex(dir, index)
}

func (s *imageSource) fromRegistry(ctx context.Context, imageName string) ([]image, error) {
	ref, err := s.parse(imageName)
	if err != nil {
		return nil, err
	}
	desc, err := remote.Get(ref, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain))
	if err != nil {
		return nil, err
	}
	if desc.MediaType.IsIndex() {
		index, err := desc.ImageIndex()
		if err != nil {
			return nil, err
		}
		return fromIndex(imageName, index)
	}
	img, err := desc.Image()
	if err != nil {
		return nil, err
	}
	return fromImage(imageName, img, nil)
}

func (s *imageSource) parse(imageName string) (name.Reference, error) {
	if s.insecure {
		return name.ParseReference(imageName, name.Insecure)
	}
	return name.ParseReference(imageName)
}

// fromIndex returns the images of an index and of those in it; around are the
// digests of the indexes that it is in.
func fromIndex(imageName string, index v1.ImageIndex, around ...v1.Hash) ([]image, error) {
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	var all []image
	for _, desc := range manifest.Manifests {
		child := imageName
		if tag := desc.Annotations[ocispecs.AnnotationRefName]; tag != "" {
			child += ":" + tag
		}
		var images []image
		switch _, describes := desc.Annotations[attestation.DockerAnnotationReferenceType]; {
		case describes:
			continue
		case desc.MediaType.IsIndex():
			// Nobody has checked the digests of a layout.
			if slices.Contains(around, desc.Digest) {
				return nil, fmt.Errorf("index %s is inside itself", desc.Digest)
			}
			inner, err := index.ImageIndex(desc.Digest)
			if err != nil {
				return nil, err
			}
			if images, err = fromIndex(child, inner, slices.Concat(around, []v1.Hash{desc.Digest})...); err != nil {
				return nil, err
			}
		case desc.MediaType.IsImage():
			img, err := index.Image(desc.Digest)
			if err != nil {
				return nil, err
			}
			if images, err = fromImage(child, img, desc.Platform); err != nil {
				return nil, err
			}
		}
		all = append(all, images...)
	}
	return all, nil
}

// fromImage returns an image, or nothing if the manifest is of something else.
// Without a platform, that of its configuration counts, which may have none.
func fromImage(imageName string, img v1.Image, platform *v1.Platform) ([]image, error) {
	manifest, err := img.Manifest()
	if err != nil {
		return nil, err
	}
	if !manifest.Config.MediaType.IsConfig() {
		return nil, nil
	}
	if platform == nil {
		file, err := img.ConfigFile()
		if err != nil {
			return nil, err
		}
		platform = file.Platform()
	}
	i := image{name: imageName}
	if platform != nil {
		i.platform = platform.String()
	}
	for _, layer := range manifest.Layers {
		i.mediaTypes = append(i.mediaTypes, string(layer.MediaType))
	}
	return []image{i}, nil
}

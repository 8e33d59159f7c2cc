package harness

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"runtime"

	"github.com/google/go-containerregistry/pkg/compression"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Base describes an image to build upon. Equal descriptions give equal images.
type Base struct {
	// Layers is the number of layers, at least one. Each holds a small file of
	// its own, and the first also holds /bin/step.
	Layers int
	// LayerSize is how many bytes of text each layer holds besides; zero means
	// none.
	LayerSize int
	// Zstd compresses the layers with zstd instead of gzip.
	Zstd bool
}

// PushBase makes the image, pushes it and returns its name.
func (r *Registry) PushBase(ctx context.Context, b Base) (string, error) {
	image, err := b.image(ctx)
	if err != nil {
		return "", fmt.Errorf("make a base image: %w", err)
	}
	kind := "gzip"
	if b.Zstd {
		kind = "zstd"
	}
	ref, err := name.ParseReference(fmt.Sprintf("%s/base-%s:%d-%d", r.Host, kind, b.Layers, b.LayerSize))
	if err != nil {
		return "", fmt.Errorf("push a base image: %w", err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	if err := remote.Write(ref, image, remote.WithContext(ctx), remote.WithTransport(transport)); err != nil {
		return "", fmt.Errorf("push a base image: %w", err)
	}
	return ref.Name(), nil
}

func (b Base) image(ctx context.Context) (v1.Image, error) {
	step, err := buildStep(ctx)
	if err != nil {
		return nil, err
	}
	options := []tarball.LayerOption{tarball.WithMediaType(types.OCILayer)}
	if b.Zstd {
		options = []tarball.LayerOption{
			tarball.WithMediaType(types.OCILayerZStd),
			tarball.WithCompression(compression.ZStd),
		}
	}
	image, err := mutate.ConfigFile(mutate.MediaType(empty.Image, types.OCIManifestSchema1), &v1.ConfigFile{
		OS:           "linux",
		Architecture: runtime.GOARCH,
	})
	if err != nil {
		return nil, err
	}
	image = mutate.ConfigMediaType(image, types.OCIConfigJSON)
	var layers []v1.Layer
	for n := range b.Layers {
		files := []file{{fmt.Sprintf("layers/%d", n+1), 0o644, fmt.Appendf(nil, "layer %d\n", n+1)}}
		if b.LayerSize > 0 {
			files = append(files, file{fmt.Sprintf("text/%d", n+1), 0o644, layerText(b.LayerSize, uint64(n))})
		}
		if n == 0 {
			files = append(files, file{"bin/step", 0o755, step})
		}
		content, err := archive(files)
		if err != nil {
			return nil, err
		}
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(content)), nil
		}, options...)
		if err != nil {
			return nil, err
		}
		layers = append(layers, layer)
	}
	return mutate.AppendLayers(image, layers...)
}

// layerText is made of words, so that it compresses; another seed gives other text.
func layerText(size int, seed uint64) []byte {
	numbers := rand.New(rand.NewPCG(seed, 0))
	var words []byte
	for len(words) < size {
		words = fmt.Appendf(words, "%x ", numbers.Uint32N(1<<16))
	}
	return words[:size]
}

// file is an entry of a layer.
type file struct {
	name    string
	mode    int64
	content []byte
}

func archive(files []file) ([]byte, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range files {
		header := &tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.content)), Typeflag: tar.TypeReg}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// buildStep compiles the program of the images. It is static, so the images
// need no system around it.
func buildStep(ctx context.Context) (step []byte, err error) {
	root, err := moduleRoot()
	if err != nil {
		return nil, err
	}
	err = withTempDir(func(dir string) error {
		path := filepath.Join(dir, "step")
		out, err := Run(ctx, Command{
			Path: "go",
			Args: []string{"build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", path, "./test/harness/step"},
			Dir:  root,
			Env:  append(os.Environ(), "CGO_ENABLED=0"),
		})
		if err != nil {
			return fmt.Errorf("compile the step program: %w: %s", err, out)
		}
		step, err = os.ReadFile(path)
		return err
	})
	return step, err
}

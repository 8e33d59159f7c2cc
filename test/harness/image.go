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
	"strconv"

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
	tag := strconv.Itoa(b.Layers)
	if b.LayerSize > 0 {
		tag += "-" + strconv.Itoa(b.LayerSize)
	}
	imageName, err := r.push(ctx, fmt.Sprintf("base-%s:%s", kind, tag), image)
	if err != nil {
		return "", fmt.Errorf("push a base image: %w", err)
	}
	return imageName, nil
}

// PushProgram makes an image that holds a program and runs it, pushes it and
// returns its name; see Compile.
func (r *Registry) PushProgram(ctx context.Context, repository string, binary []byte) (string, error) {
	image, err := newImage(v1.Config{Entrypoint: []string{"/bin/program"}})
	if err != nil {
		return "", fmt.Errorf("make an image of a program: %w", err)
	}
	image, err = addLayer(image, []file{{"bin/program", 0o755, binary}}, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return "", fmt.Errorf("make an image of a program: %w", err)
	}
	imageName, err := r.push(ctx, repository+":latest", image)
	if err != nil {
		return "", fmt.Errorf("push an image of a program: %w", err)
	}
	return imageName, nil
}

// PushArtifact pushes a manifest that is not of an image, and returns its name.
func (r *Registry) PushArtifact(ctx context.Context) (string, error) {
	artifact := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	imageName, err := r.push(ctx, "artifact:latest", mutate.ConfigMediaType(artifact, "application/vnd.test.unknown+json"))
	if err != nil {
		return "", fmt.Errorf("push an artifact: %w", err)
	}
	return imageName, nil
}

// push writes an image under a name in the registry, and returns the full name.
func (r *Registry) push(ctx context.Context, imageName string, image v1.Image) (string, error) {
	ref, err := name.ParseReference(r.Host + "/" + imageName)
	if err != nil {
		return "", err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	return ref.Name(), remote.Write(ref, image, remote.WithContext(ctx), remote.WithTransport(transport))
}

func (b Base) image(ctx context.Context) (v1.Image, error) {
	step, err := Compile(ctx, "./test/harness/step")
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
	image, err := newImage(v1.Config{})
	if err != nil {
		return nil, err
	}
	for n := range b.Layers {
		files := []file{{fmt.Sprintf("layers/%d", n+1), 0o644, fmt.Appendf(nil, "layer %d\n", n+1)}}
		if b.LayerSize > 0 {
			files = append(files, file{fmt.Sprintf("text/%d", n+1), 0o644, layerText(b.LayerSize, uint64(n))})
		}
		if n == 0 {
			files = append(files, file{"bin/step", 0o755, step})
		}
		if image, err = addLayer(image, files, options...); err != nil {
			return nil, err
		}
	}
	return image, nil
}

// newImage is an image for this machine without layers.
func newImage(config v1.Config) (v1.Image, error) {
	image, err := mutate.ConfigFile(mutate.MediaType(empty.Image, types.OCIManifestSchema1), &v1.ConfigFile{
		OS:           "linux",
		Architecture: runtime.GOARCH,
		Config:       config,
	})
	if err != nil {
		return nil, err
	}
	return mutate.ConfigMediaType(image, types.OCIConfigJSON), nil
}

// addLayer adds a layer with files to an image.
func addLayer(image v1.Image, files []file, options ...tarball.LayerOption) (v1.Image, error) {
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
	return mutate.AppendLayers(image, layer)
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

// Compile compiles a program of this module, which is given as go build takes
// it. It is static, so an image needs no system around it.
func Compile(ctx context.Context, program string) (binary []byte, err error) {
	root, err := moduleRoot()
	if err != nil {
		return nil, err
	}
	err = withTempDir(func(dir string) error {
		path := filepath.Join(dir, "program")
		out, err := Run(ctx, Command{
			Path: "go",
			Args: []string{"build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", path, program},
			Dir:  root,
			Env:  append(os.Environ(), "CGO_ENABLED=0"),
		})
		if err != nil {
			return fmt.Errorf("compile %s: %w: %s", program, err, out)
		}
		binary, err = os.ReadFile(path)
		return err
	})
	return binary, err
}

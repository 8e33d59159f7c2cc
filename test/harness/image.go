package harness

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"

	"github.com/google/go-containerregistry/pkg/compression"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/stream"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Base describes an image to build upon. Equal descriptions give equal images.
type Base struct {
	// Layers is the number of layers, at least one. Each holds a small file of
	// its own, and the first also holds /bin/step.
	Layers int
	// LayerSize is how many bytes each layer holds besides, which compress as
	// those of real layers do; zero means none.
	LayerSize int
	// Zstd compresses the layers with zstd instead of gzip.
	Zstd bool
	// Level is that of gzip, zero means the lowest: the same files are in other blobs
	// at other levels.
	Level int
	// Empty is the number of layers without any file on top of the others.
	Empty int
}

// PushBase makes the image, pushes it and returns its name. An image that is there is not
// made again.
func (r *Registry) PushBase(ctx context.Context, b Base) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if imageName, ok := r.pushed[b]; ok {
		return imageName, nil
	}
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
	if b.Level > 0 {
		tag += "-level-" + strconv.Itoa(b.Level)
	}
	if b.Empty > 0 {
		tag += "-empty-" + strconv.Itoa(b.Empty)
	}
	imageName, err := r.Push(ctx, fmt.Sprintf("base-%s:%s", kind, tag), image)
	if err != nil {
		return "", fmt.Errorf("push a base image: %w", err)
	}
	r.pushed[b] = imageName
	return imageName, nil
}

// PushProgram makes an image that holds a program and runs it, pushes it and
// returns its name; see Compile.
func (r *Registry) PushProgram(ctx context.Context, repository string, binary []byte) (string, error) {
	image, err := newImage(v1.Config{Entrypoint: []string{"/bin/program"}})
	if err != nil {
		return "", fmt.Errorf("make an image of a program: %w", err)
	}
	layer, err := gzipLayer([]file{newFile("bin/program", 0o755, binary)}, gzip.BestSpeed)
	if err != nil {
		return "", fmt.Errorf("make an image of a program: %w", err)
	}
	if image, err = mutate.AppendLayers(image, layer); err != nil {
		return "", fmt.Errorf("make an image of a program: %w", err)
	}
	imageName, err := r.Push(ctx, repository+":latest", image)
	if err != nil {
		return "", fmt.Errorf("push an image of a program: %w", err)
	}
	return imageName, nil
}

// PushArtifact pushes a manifest that is not of an image, and returns its name.
func (r *Registry) PushArtifact(ctx context.Context) (string, error) {
	artifact := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	imageName, err := r.Push(ctx, "artifact:latest", mutate.ConfigMediaType(artifact, "application/vnd.test.unknown+json"))
	if err != nil {
		return "", fmt.Errorf("push an artifact: %w", err)
	}
	return imageName, nil
}

// Push writes an image under a name in the registry, and returns the full name.
// Layers that are not distributable are written, too.
func (r *Registry) Push(ctx context.Context, imageName string, image v1.Image) (string, error) {
	ref, err := name.ParseReference(r.Host + "/" + imageName)
	if err != nil {
		return "", err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	return ref.Name(), remote.Write(ref, image, remote.WithContext(ctx), remote.WithTransport(transport), remote.WithNondistributable)
}

func (b Base) image(ctx context.Context) (v1.Image, error) {
	step, err := Compile(ctx, "./test/harness/step")
	if err != nil {
		return nil, err
	}
	image, err := newImage(v1.Config{})
	if err != nil {
		return nil, err
	}
	var layers []v1.Layer
	for n := range b.Layers {
		layer, err := b.layer(func() []file { return b.files(n, step) })
		if err != nil {
			return nil, err
		}
		layers = append(layers, layer)
	}
	for range b.Empty {
		layer, err := b.layer(func() []file { return nil })
		if err != nil {
			return nil, err
		}
		layers = append(layers, layer)
	}
	return mutate.AppendLayers(image, layers...)
}

// files are those of a layer, counted from zero. The first layer also holds the
// program of the steps.
func (b Base) files(n int, step []byte) []file {
	files := []file{newFile(fmt.Sprintf("layers/%d", n+1), 0o644, fmt.Appendf(nil, "layer %d\n", n+1))}
	if b.LayerSize > 0 {
		size := int64(b.LayerSize)
		files = append(files, file{fmt.Sprintf("content/%d", n+1), 0o644, size, layerContent(size, n)})
	}
	if n == 0 {
		files = append(files, newFile("bin/step", 0o755, step))
	}
	return files
}

// layer makes a layer of files in the compression of the image.
func (b Base) layer(files func() []file) (v1.Layer, error) {
	if !b.Zstd {
		return gzipLayer(files(), max(b.Level, gzip.BestSpeed))
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		content, err := archive(files())
		if err != nil {
			return nil, err
		}
		// In one piece: what zstd makes depends on the pieces that it gets.
		whole, err := io.ReadAll(content)
		return io.NopCloser(bytes.NewReader(whole)), err
	}, tarball.WithMediaType(types.OCILayerZStd), tarball.WithCompression(compression.ZStd))
}

// gzipLayer makes a layer of files at a level of gzip. They are read, compressed and given a digest
// only once and all at the same time, when the layer is pushed.
func gzipLayer(files []file, level int) (v1.Layer, error) {
	content, err := archive(files)
	if err != nil {
		return nil, err
	}
	return stream.NewLayer(io.NopCloser(content), stream.WithMediaType(types.OCILayer), stream.WithCompressionLevel(level)), nil
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

// file is an entry of a layer.
type file struct {
	name    string
	mode    int64
	size    int64
	content io.Reader
}

func newFile(name string, mode int64, content []byte) file {
	return file{name, mode, int64(len(content)), bytes.NewReader(content)}
}

const (
	// tarBlock is what the size of a file in an archive is rounded up to.
	tarBlock = 512
	// tarEnd is the size of the zeros at the end of an archive.
	tarEnd = 2 * tarBlock
)

// archive returns files as a tar archive, which is made while it is read.
func archive(files []file) (io.Reader, error) {
	var parts []io.Reader
	for _, f := range files {
		var header bytes.Buffer
		err := tar.NewWriter(&header).WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Size: f.size, Typeflag: tar.TypeReg})
		if err != nil {
			return nil, err
		}
		parts = append(parts, &header, f.content, io.LimitReader(zeros{}, -f.size&(tarBlock-1)))
	}
	return io.MultiReader(append(parts, io.LimitReader(zeros{}, tarEnd))...), nil
}

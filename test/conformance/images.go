package main

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"runtime"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/images"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/bkguard/bkguard/test/harness"
)

// The images of Docker Hub that upstream's tests mirror, as their WithMirroredImages name
// them.
var (
	// asBusybox have what busybox has. Debian's and hellofs are among them, so that the tests
	// beside those that need them find all images of theirs.
	asBusybox = []string{
		"library/busybox:latest",
		"library/busybox:stable-musl",
		"library/busybox_amd64:latest",
		"amd64/debian:bullseye-20230109-slim",
		"tonistiigi/hellofs:latest",
	}
	// asAlpine has alpine's directories, too, and an apk that has no packages.
	asAlpine = "library/alpine:latest"
	// withoutLayers is an image of a configuration alone.
	withoutLayers = "tonistiigi/test:nolayers"
	// withForeign has a layer that is not distributable, and another one.
	withForeign = "cpuguy83/buildkit-foreign:latest"
)

// foreignURL is where nothing answers: the layer is in the registry, too.
const foreignURL = "https://foreign.invalid/layer"

// pushImages pushes an image under every name that upstream's tests mirror.
func pushImages(ctx context.Context, r *harness.Registry) error {
	all, err := standIns(ctx)
	if err != nil {
		return fmt.Errorf("make images of busybox: %w", err)
	}
	for name, layers := range all {
		image, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
			OS:           "linux",
			Architecture: runtime.GOARCH,
			Config:       v1.Config{Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, Cmd: []string{"sh"}},
		})
		if err != nil {
			return fmt.Errorf("make the image %s: %w", name, err)
		}
		if image, err = mutate.Append(image, layers...); err != nil {
			return fmt.Errorf("make the image %s: %w", name, err)
		}
		if _, err := r.Push(ctx, name, image); err != nil {
			return fmt.Errorf("push the image %s: %w", name, err)
		}
	}
	return nil
}

// standIns are the layers of each image.
func standIns(ctx context.Context) (map[string][]mutate.Addendum, error) {
	program, applets, err := findBusybox(ctx)
	if err != nil {
		return nil, err
	}
	busybox := busyboxFiles(program, applets)
	alpine := append(slices.Clone(busybox), alpineFiles()...)
	gzipped, err := layer(busybox, types.DockerLayer)
	if err != nil {
		return nil, err
	}
	alpineLayer, err := layer(alpine, types.DockerLayer)
	if err != nil {
		return nil, err
	}
	foreign, err := layer(busybox, types.DockerUncompressedLayer)
	if err != nil {
		return nil, err
	}
	own, err := layer([]file{{Header: tar.Header{Typeflag: tar.TypeReg, Name: "own", Mode: 0o644}}}, types.DockerUncompressedLayer)
	if err != nil {
		return nil, err
	}
	all := map[string][]mutate.Addendum{
		asAlpine:      {{Layer: alpineLayer}},
		withoutLayers: nil,
		withForeign: {
			{Layer: foreign, MediaType: images.MediaTypeDockerSchema2LayerForeign, URLs: []string{foreignURL}},
			{Layer: own},
		},
	}
	for _, name := range asBusybox {
		all[name] = []mutate.Addendum{{Layer: gzipped}}
	}
	return all, nil
}

// The users and groups of busybox's image that tests name.
const (
	passwd = `root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
bin:x:2:2:bin:/bin:/bin/false
sys:x:3:3:sys:/dev:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
operator:x:37:37:Operator:/var:/bin/false
nobody:x:65534:65534:nobody:/home:/bin/false
`
	group = `root:x:0:
daemon:x:1:
bin:x:2:
sys:x:3:
adm:x:4:
tty:x:5:
disk:x:6:
wheel:x:10:root
www-data:x:33:
operator:x:37:
users:x:100:
nobody:x:65534:
`
)

// apk is what alpine has its packages from.
const apk = `#!/bin/sh
echo "apk: this image stands in for alpine, and has no packages" >&2
exit 1
`

// file is an entry of a layer.
type file struct {
	tar.Header
	content string
}

func newDir(name string) file {
	return file{Header: tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755}}
}

func newFile(name string, mode int64, content string) file {
	return file{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content))}, content}
}

// busyboxFiles are busybox with a link for each of its programs, and the files around it.
func busyboxFiles(program []byte, applets []string) []file {
	var files []file
	for _, name := range []string{"bin", "dev", "etc", "home", "lib", "root", "tmp", "usr", "usr/bin", "usr/sbin", "var", "var/www"} {
		dir := newDir(name)
		switch name {
		case "root":
			dir.Mode = 0o700
		case "tmp":
			dir.Mode = 0o1777
		case "home":
			dir.Uid, dir.Gid = 65534, 65534
		}
		files = append(files, dir)
	}
	files = append(files,
		newFile("bin/busybox", 0o755, string(program)),
		newFile("etc/group", 0o644, group),
		newFile("etc/passwd", 0o644, passwd),
		file{Header: tar.Header{Typeflag: tar.TypeSymlink, Name: "usr/bin/env", Linkname: "../../bin/env"}},
	)
	for _, applet := range applets {
		files = append(files, file{Header: tar.Header{Typeflag: tar.TypeLink, Name: path.Join("bin", applet), Linkname: "bin/busybox", Mode: 0o755}})
	}
	return files
}

// alpineFiles are what alpine has beside those of busybox.
func alpineFiles() []file {
	var files []file
	for _, name := range []string{"etc/ssl", "etc/ssl/certs", "media", "mnt", "opt", "proc", "run", "sbin", "srv", "sys"} {
		files = append(files, newDir(name))
	}
	return append(files,
		newFile("etc/ssl/certs/ca-certificates.crt", 0o644, "# no authorities\n"),
		newFile("sbin/apk", 0o755, apk),
	)
}

// layer makes a layer of files; it is compressed if its media type says so.
func layer(files []file, mediaType types.MediaType) (v1.Layer, error) {
	var content bytes.Buffer
	w := tar.NewWriter(&content)
	for _, f := range files {
		if err := w.WriteHeader(&f.Header); err != nil {
			return nil, err
		}
		if _, err := io.WriteString(w, f.content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if mediaType == types.DockerUncompressedLayer {
		return static.NewLayer(content.Bytes(), mediaType), nil
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content.Bytes())), nil
	}, tarball.WithMediaType(mediaType))
}

// findBusybox returns this machine's busybox and the names of its programs.
func findBusybox(ctx context.Context) (program []byte, applets []string, err error) {
	file, err := exec.LookPath("busybox")
	if err != nil {
		return nil, nil, err
	}
	if program, err = os.ReadFile(file); err != nil {
		return nil, nil, err
	}
	if err := isStatic(program); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	list, err := command(ctx, ".", file, "--list")
	if err != nil {
		return nil, nil, err
	}
	for applet := range strings.FieldsSeq(list) {
		if applet != "busybox" {
			applets = append(applets, applet)
		}
	}
	return program, applets, nil
}

// isStatic is an error if a program needs a dynamic linker, which the image does not have.
func isStatic(program []byte) error {
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return err
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return errors.New("is not static (busybox-static has one that is)")
		}
	}
	return nil
}

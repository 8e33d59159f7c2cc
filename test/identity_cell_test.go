package test

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/util/compression"
	digest "github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/internal/inspect"
	"github.com/bkguard/bkguard/test/harness"
)

// identity is a build whose layers may exist in several blobs, and which is built again
// from its cache.
type identity struct {
	// bases are the images that it is built upon, which have the same files.
	bases string
	// kind is what the build is made of.
	kind string
	// made are the compressions that the image is built in besides.
	made []compression.Type
}

// The bases by their name; the last one is that of the image. That of "estargz" is
// made by the daemon itself, of one in gzip.
var identityBases = map[string][]harness.Base{
	"one in zstd":                {zstdBase},
	"two levels of gzip":         {levelBase(1), levelBase(9)},
	"zstd and gzip":              {zstdBase, levelBase(1)},
	"zstd and three of gzip":     {zstdBase, levelBase(1), levelBase(6), levelBase(9)},
	"estargz that was made here": {levelBase(1)},
}

const madeHere = "estargz that was made here"

// identityLayers are so many of the base, and identitySize bytes in each.
const identityLayers, identitySize = 4, 4096

var zstdBase = harness.Base{Layers: identityLayers, LayerSize: identitySize, Zstd: true}

func levelBase(level int) harness.Base {
	return harness.Base{Layers: identityLayers, LayerSize: identitySize, Level: level}
}

// identityKinds are what builds are made of.
var identityKinds = []string{"steps", "stages", "links", "empty layers", "the same layer twice", "two platforms"}

// identityMade are the compressions that images are built in besides.
var identityMade = [][]compression.Type{nil, {compression.Gzip}, {compression.Zstd}, {compression.Gzip, compression.Zstd}}

func (i identity) String() string {
	return fmt.Sprintf("%s upon %s made in %s", i.kind, i.bases, i.madeText())
}

func (i identity) madeText() string {
	if len(i.made) == 0 {
		return "nothing else"
	}
	var names []string
	for _, c := range i.made {
		names = append(names, c.String())
	}
	return strings.Join(names, "+")
}

// dockerfile is the build upon the bases. nothing is a RUN step that writes nothing, and
// so makes an empty layer.
func (i identity) dockerfile(bases []string) string {
	const (
		nothing = "RUN --mount=type=tmpfs,target=/layers [\"/bin/step\", \"/layers/nothing\", \"%d\"]\n"
		step    = "RUN [\"/bin/step\", \"/step\", \"step\"]\n"
	)
	last := "FROM " + bases[len(bases)-1] + "\n"
	var stages, copies string
	for n, base := range bases {
		stages += fmt.Sprintf("FROM %s AS stage-%d\nRUN [\"/bin/step\", \"/stage-%d\", \"%d\"]\n", base, n, n, n)
		copies += fmt.Sprintf("COPY --from=stage-%d /stage-%d /\n", n, n)
	}
	switch i.kind {
	case "stages":
		return stages + last + copies + step
	case "links":
		return stages + last + strings.ReplaceAll(copies, "COPY ", "COPY --link ") + step
	case "empty layers":
		return last + fmt.Sprintf(nothing, 1) + fmt.Sprintf(nothing, 2) + step
	case "the same layer twice":
		return last + "COPY file /\nCOPY file /\n" + step
	case "two platforms":
		// A step that platforms share is lost by upstream's import of inline caches.
		return strings.Replace(last, "FROM ", "FROM --platform=$BUILDPLATFORM ", 1) + "ARG TARGETARCH\nCOPY file /${TARGETARCH}\nCOPY file /${TARGETARCH}-more\n"
	}
	return last + step + "RUN [\"/bin/step\", \"/more\", \"more\"]\n"
}

// build is the build with its context.
func (i identity) build(bases []string) harness.Build {
	build := harness.Build{Dockerfile: i.dockerfile(bases), Files: map[string]string{"file": "text"}}
	if i.kind == "two platforms" {
		build.Opts = []string{"platform=linux/amd64,linux/arm64"}
	}
	return build
}

// rebuilt says for each kind of cache what an image was that was built from it.
type rebuilt map[string]likeness

// likeness compares an image that was built from a cache with the original.
type likeness struct {
	// Layers are those of the original, of all its platforms, and Equal those of them that
	// stand in the same place as the same blobs.
	Layers int `csv:"layers"`
	Equal  int `csv:"equal"`
	// Steps are those of the build, and Cached those of them that were in the cache.
	Steps  int `csv:"steps"`
	Cached int `csv:"cached"`
	// same says that nothing differs, more layers included.
	same bool
	// worth is the verdict on the cache.
	worth inspect.Severity
}

// compare fills in the layers of an original image and of another one, by platform.
func (l *likeness) compare(original, other map[string][]digest.Digest) {
	for platform, layers := range original {
		l.Layers += len(layers)
		for n, layer := range layers {
			if n < len(other[platform]) && other[platform][n] == layer {
				l.Equal++
			}
		}
	}
	l.same = maps.EqualFunc(original, other, slices.Equal)
}

// identityCaches are the kinds of cache.
var identityCaches = []string{"registry max", "registry min", "local", "inline"}

// String names the caches that keep the image, and the steps that others have lost.
func (r rebuilt) String() string {
	var kept, lost []string
	for _, cache := range identityCaches {
		if r[cache].same {
			kept = append(kept, cache)
		}
		if n := r[cache].Steps - r[cache].Cached; n > 0 && strings.HasPrefix(cache, "registry max") {
			lost = append(lost, fmt.Sprintf("%d of %d steps lost", n, r[cache].Steps))
		}
	}
	text := strings.Join(kept, ", ")
	switch len(kept) {
	case 0:
		text = "none"
	case len(identityCaches):
		text = "all"
	}
	return strings.Join(append([]string{text}, lost...), "; ")
}

// play builds on a new daemon, exports every kind of cache without asking for a
// compression, and builds on other daemons with nothing but that.
func (i identity) play(t *testing.T, registry *harness.Registry, binary string) rebuilt {
	t.Helper()
	options := harness.DaemonOptions{Binary: binary, Registries: []string{registry.Host}}
	daemon := startDaemon(t, options)
	image := registry.Host + "/" + placeOf(t, binary)
	var bases []string
	for _, b := range identityBases[i.bases] {
		if i.kind == "empty layers" {
			b.Empty = 1 // of another tool than the empty layers of the build
		}
		base, err := registry.PushBase(t.Context(), b)
		require.NoError(t, err)
		if i.bases == madeHere {
			made := harness.Build{Dockerfile: "FROM " + base + "\n", Output: harness.PushOutput(image+":base", forced("estargz"))}
			_, err := daemon.Build(t.Context(), made)
			require.NoError(t, err)
			base = image + ":base"
		}
		bases = append(bases, base)
	}
	build := i.build(bases)
	push := func(tag string, attributes ...string) map[string][]digest.Digest {
		t.Helper()
		pushed := build
		pushed.Output = harness.PushOutput(image+":"+tag, attributes...)
		_, err := daemon.Build(t.Context(), pushed)
		require.NoError(t, err)
		layers, err := registry.Layers(t.Context(), image+":"+tag)
		require.NoError(t, err)
		return layers
	}
	// The blobs of all bases are on the daemon. A base whose files are there already is not
	// pulled otherwise, and upstream leaves it out of a cache (TestRecordsThatAreLeftOut).
	for n, base := range bases[:len(bases)-1] {
		tar := filepath.Join(t.TempDir(), fmt.Sprintf("base-%d.tar", n))
		_, err := daemon.Build(t.Context(), harness.Build{Dockerfile: harness.RunSteps(base, 1), Output: "type=oci,dest=" + tar})
		require.NoError(t, err)
	}
	original := push("original")
	for _, c := range i.made {
		push(c.String(), forced(c.String()))
	}
	r := rebuilt{}
	local := filepath.Join(t.TempDir(), "cache")
	for cache, ways := range map[string][2]string{
		"registry max": {"type=registry,mode=max,ref=" + image + ":max", "type=registry,ref=" + image + ":max"},
		"registry min": {"type=registry,mode=min,ref=" + image + ":min", "type=registry,ref=" + image + ":min"},
		"local":        {"type=local,mode=max,dest=" + local, "type=local,src=" + local},
		"inline":       {"type=inline", "type=registry,ref=" + image + ":inline"},
	} {
		exporting := build
		exporting.ExportCache = []string{ways[0]}
		if cache == "inline" {
			exporting.Output = harness.PushOutput(image + ":inline")
		}
		_, err := daemon.Build(t.Context(), exporting)
		require.NoError(t, err, cache)
		fresh := startDaemon(t, options)
		again := build
		again.ImportCache = []string{ways[1]}
		again.Output = harness.PushOutput(image + ":again")
		result, err := fresh.Build(t.Context(), again)
		require.NoError(t, err, cache)
		layers, err := registry.Layers(t.Context(), image+":again")
		require.NoError(t, err)
		found := likeness{Steps: result.Steps, Cached: result.Cached}
		found.compare(original, layers)
		// Stock writes no cache at all where it leaves out every record.
		if binary == binaries(t).Guarded {
			found.worth = worstCache(t, ways[1])
		}
		r[cache] = found
		_, err = fresh.Stop(t.Context())
		require.NoError(t, err)
	}
	_, err := daemon.Stop(t.Context())
	require.NoError(t, err)
	return r
}

// worstCache is the worst verdict on the caches of an import.
func worstCache(t *testing.T, from string) inspect.Severity {
	t.Helper()
	var caches []*inspect.Cache
	if dir, ok := strings.CutPrefix(from, "type=local,src="); ok {
		caches = inPlace(t.Context(), t, inspect.Directory(dir))
	} else {
		caches = inRegistry(t.Context(), t, strings.TrimPrefix(from, "type=registry,ref="))
	}
	var worst inspect.Severity
	for _, c := range caches {
		worst = max(worst, c.Worst())
	}
	return worst
}

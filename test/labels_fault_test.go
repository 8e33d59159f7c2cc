package test

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	digest "github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
)

// The labels of cache/refs.go that tell which blobs are of one layer, and what
// media type a blob has.
const (
	linkLabel      = "containerd.io/gc.ref.content.blob-"
	mediaTypeLabel = "buildkit.io/blob/mediatype"
)

// damage changes the labels of the blobs of an image: own are its layers as the
// worker made them, other the same in a second compression.
type damage struct {
	name string
	do   func(labels harness.Labels, own, other []digest.Digest)
}

func damages() []damage {
	link := func(labels harness.Labels, from digest.Digest, to string) {
		labels[from][linkLabel+to] = to
	}
	return []damage{
		{"links to itself", func(labels harness.Labels, own, other []digest.Digest) {
			for _, blob := range slices.Concat(own, other) {
				link(labels, blob, blob.String())
			}
		}},
		{"links to nothing", func(labels harness.Labels, own, other []digest.Digest) {
			for _, blob := range slices.Concat(own, other) {
				link(labels, blob, digest.FromString(blob.String()).String())
			}
		}},
		{"links that are no digests", func(labels harness.Labels, own, other []digest.Digest) {
			for _, blob := range slices.Concat(own, other) {
				link(labels, blob, "sha256:damaged")
			}
		}},
		{"variants without a media type", func(labels harness.Labels, _, other []digest.Digest) {
			for _, blob := range other {
				delete(labels[blob], mediaTypeLabel)
			}
		}},
		{"no links", func(labels harness.Labels, own, other []digest.Digest) {
			for _, blob := range slices.Concat(own, other) {
				maps.DeleteFunc(labels[blob], func(key, value string) bool { return key == linkLabel+value })
			}
		}},
		// Of equally good blobs the guard takes that with the lowest digest.
		{"links to the variant of another layer", func(labels harness.Labels, own, other []digest.Digest) {
			for _, blob := range own {
				link(labels, blob, slices.Min(other).String())
			}
		}},
		{"links in a ring through all layers", func(labels harness.Labels, own, _ []digest.Digest) {
			for i, blob := range own {
				link(labels, blob, own[(i+1)%len(own)].String())
			}
		}},
	}
}

// TestFaultLabels damages the labels that tie the blobs of a layer together, first
// each way by itself and then two at a time. A chain never has a blob of another
// layer in it: a link to a blob whose uncompressed digest is known to be another
// one does not count.
func TestFaultLabels(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	daemon := s.start(t, harness.DaemonOptions{Binary: binaries(t).Guarded}, "guarded")
	own, other := s.imageBlobs(t, "image-guarded:gzip"), s.imageBlobs(t, "image-guarded:zstd")
	all := damages()
	for round := range max(*faultRounds, len(all)) {
		kinds := []damage{all[round%len(all)]}
		name := kinds[0].name
		if round >= len(all) {
			kinds = append(kinds, all[rand.N(len(all))])
			name += " and " + kinds[1].name
		}
		t.Run(name, func(t *testing.T) {
			_, err := daemon.Stop(t.Context())
			require.NoError(t, err)
			before := relabel(t, daemon, func(labels harness.Labels) {
				for _, kind := range kinds {
					kind.do(labels, own, other)
				}
			})
			require.NoError(t, daemon.Restart(t.Context()))
			s.retry(t, daemon, repositoryOf("labels", round), "compression=zstd")

			_, err = daemon.Stop(t.Context())
			require.NoError(t, err)
			relabel(t, daemon, func(labels harness.Labels) {
				for _, blob := range slices.Concat(own, other) {
					labels[blob] = before[blob]
				}
			})
			require.NoError(t, daemon.Restart(t.Context()))
		})
	}
}

// imageBlobs are the layers of an image in the registry, bottom layer first.
func (s *scene) imageBlobs(t *testing.T, image string) []digest.Digest {
	t.Helper()
	m, err := s.registry.Image(t.Context(), s.registry.Host+"/"+image)
	require.NoError(t, err)
	return m.Digests()
}

// relabel changes the labels of the blobs of a stopped daemon, and returns what
// they were.
func relabel(t *testing.T, d *harness.Daemon, change func(harness.Labels)) harness.Labels {
	t.Helper()
	before, err := d.Labels(t.Context())
	require.NoError(t, err)
	after := harness.Labels{}
	for blob, l := range before {
		after[blob] = maps.Clone(l)
	}
	change(after)
	require.NoError(t, d.SetLabels(t.Context(), after))
	return before
}

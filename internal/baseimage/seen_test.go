package baseimage

import (
	"encoding/json"
	"testing"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/solver/pb"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/cost"
)

// config is the configuration of an image with so many layers.
func config(t *testing.T, layers int, platform string) []byte {
	t.Helper()
	image := ocispecs.Image{Platform: platforms.MustParse(platform)}
	image.RootFS.DiffIDs = make([]digest.Digest, layers)
	data, err := json.Marshal(image)
	require.NoError(t, err)
	return data
}

// TestSeen has images by all their names and platforms, and what is none.
func TestSeen(t *testing.T) {
	var s Seen
	one, other := digest.FromString("one"), digest.FromString("other")
	amd64, arm64 := config(t, 2, "linux/amd64"), config(t, 3, "linux/arm64")
	s.Add("one", one, amd64)
	s.Add("other", other, amd64)
	s.Add("one", one, arm64)
	s.Add("another name of one", one, amd64)
	s.Add("no digest", "", amd64)
	s.Add("no layers", digest.FromString("no layers"), config(t, 0, "linux/amd64"))
	s.Add("no configuration", digest.FromString("no configuration"), []byte("{"))
	s.Add("another type", digest.FromString("another type"), []byte(`{"rootfs":{"diff_ids":["sha256:a"]},"os":1}`))
	s.AddSource(&sourceresolver.MetaResponse{
		Op:    &pb.SourceOp{Identifier: "docker-image://source"},
		Image: &sourceresolver.ResolveImageResponse{Digest: digest.FromString("source"), Config: arm64},
	})
	s.AddSource(nil)
	s.AddSource(&sourceresolver.MetaResponse{Image: &sourceresolver.ResolveImageResponse{Digest: one, Config: amd64}})
	s.AddSource(&sourceresolver.MetaResponse{Op: &pb.SourceOp{Identifier: "git://source"}})

	linux := func(arch string) ocispecs.Platform { return ocispecs.Platform{OS: "linux", Architecture: arch} }
	assert.Equal(t, [][]Image{
		{{"one", one, linux("amd64"), 2}, {"one", one, linux("arm64"), 3}},
		{{"other", other, linux("amd64"), 2}},
		{{"source", digest.FromString("source"), linux("arm64"), 3}},
	}, s.ByDigest())
}

func TestTitle(t *testing.T) {
	i := Image{Name: "image", Platform: platforms.MustParse("linux/arm64")}
	assert.Equal(t, "image", i.Title([]Image{i}))
	assert.Equal(t, "image for linux/arm64", i.Title([]Image{i, {}}))
}

func TestBuilt(t *testing.T) {
	assert.True(t, Built(nil))
	assert.False(t, Built(map[string]string{"requestid": "frontend.lint"}))
}

func TestUnguarded(t *testing.T) {
	assert.Equal(t, "a cache export without the guard takes at least 2.344KiB of memory for 2 combinations", Unguarded(cost.NewEstimate([]int{2, 2})))
}

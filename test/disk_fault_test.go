package test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
)

const (
	// diskSize is the size of a root that a scene leaves room in.
	diskSize = 256 << 20
	// diskLeft is the most that is left of it: an export that has a layer to
	// compress may find room for some of what it writes.
	diskLeft = 128 << 10
)

// TestFaultDiskFull has the disk of a daemon run full when it exports a layer that
// must be compressed first. The consequences are the same with the guard as
// without.
func TestFaultDiskFull(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	options := harness.DaemonOptions{Binary: binaries(t).Guarded, RootSize: diskSize}
	guarded := s.start(t, options, "guarded")
	options.Binary = binaries(t).Stock
	stock := s.start(t, options, "stock")
	inRounds(t, "disk", func(t *testing.T, round int, repository string) {
		next := *s
		next.build.Dockerfile += fmt.Sprintf("RUN [\"/bin/step\", \"/round\", \"%d\"]\n", round)
		left := int64(0)
		if round > 0 {
			left = rand.N[int64](diskLeft)
		}
		next.playDisk(t, guarded, repository, left)
		next.retry(t, guarded, repository, "compression=zstd")
		next.playDisk(t, stock, repository+"-stock", left)
	})
}

// playDisk builds, fills the disk but for some bytes, exports, and frees it. An
// export that has failed says so, and the next one does not fail.
func (s *scene) playDisk(t *testing.T, d *harness.Daemon, repository string, left int64) {
	t.Helper()
	s.tree = s.unpack(t, d)
	// Upstream commits a step when something is built upon it, or else when it is
	// exported. A step that cannot be committed then is lost (cache/refs.go,
	// finalize), whoever exports.
	upon := s.build
	upon.Dockerfile += "RUN [\"/bin/step\", \"/upon\", \"it\"]\n"
	_, err := d.Build(t.Context(), upon)
	require.NoError(t, err)

	require.NoError(t, d.Fill(left))
	build := s.to(s.registry.Host, repository, "compression=zstd")
	_, err = d.Build(t.Context(), build)
	require.NoError(t, d.Free())
	t.Logf("with %d bytes left: %v", left, err)
	s.checkWhole(t, repository)
	if left == 0 || err != nil {
		var failed *harness.BuildError
		require.ErrorAs(t, err, &failed)
		// containerd's content store does not always say why it has written nothing.
		assert.Regexp(t, "no space left on device|unexpected commit size 0", failed.Output)
	}
	_, err = d.Build(t.Context(), build)
	require.NoError(t, err)
}

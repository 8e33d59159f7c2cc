package test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
)

// TestFaultPrune prunes everything, over and over, while cache is exported. The
// export ends as it would without the guard: well, or because a blob that was
// still there when the export began is gone when it is pushed.
func TestFaultPrune(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	// No build needs the layers of the stage once its last step is cached, so
	// that they can be pruned while they are exported.
	from, _, _ := strings.Cut(s.build.Dockerfile, "\n")
	s.build.Dockerfile = strings.Replace(s.build.Dockerfile, from, from+" AS stage", 1) + from + "\nCOPY --from=stage /run-1 /\n"
	b := binaries(t)
	guarded := s.start(t, harness.DaemonOptions{Binary: b.Guarded}, "guarded")
	stock := s.start(t, harness.DaemonOptions{Binary: b.Stock}, "stock")

	acted := 0
	inRounds(t, "prune", func(t *testing.T, _ int, repository string) {
		acted += countSteps(s.playPrune(t, guarded, repository), "cache guard: ")
		s.mixStages(t, guarded)
		_, err := guarded.Build(t.Context(), s.to(s.registry.Host, repository))
		require.NoError(t, err)
		s.check(t, repository)
		s.playPrune(t, stock, repository+"-stock")
	})
	assert.Positive(t, acted, "the guard had to do with no export")
}

// playPrune exports from a daemon that is pruned meanwhile, and returns what the
// client was told.
func (s *scene) playPrune(t *testing.T, d *harness.Daemon, repository string) string {
	t.Helper()
	s.mixStages(t, d)
	result, err := exportWhile(t, d, s.to(s.registry.Host, repository), func(ctx context.Context) error {
		for ctx.Err() == nil {
			if _, err := d.Buildctl(ctx, "prune", "--all"); err != nil && ctx.Err() == nil {
				return err
			}
		}
		return nil
	})
	s.checkWhole(t, repository)
	if err == nil {
		return result.Output
	}
	t.Log(err)
	assert.Regexp(t, `failed to solve: error writing layer blob: content digest sha256:\w+: not found`, err.Error())
	var failed *harness.BuildError
	require.ErrorAs(t, err, &failed)
	return failed.Output
}

// mixStages makes all layers of the build exist in two compressions, those of
// its stages too.
func (s *scene) mixStages(t *testing.T, d *harness.Daemon) {
	t.Helper()
	for _, attributes := range []string{"", ",compression=zstd,force-compression=true"} {
		build := s.build
		build.ExportCache = []string{"type=local,mode=max,dest=" + t.TempDir() + attributes}
		_, err := d.Build(t.Context(), build)
		require.NoError(t, err)
	}
}

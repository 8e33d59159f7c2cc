package test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
)

// TestFaultPrune prunes everything, over and over, while cache is exported. A guarded
// export holds what it writes; with stock it may fail because a blob that was still there
// when the export began is gone when it is pushed.
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
		output, err := s.playPrune(t, guarded, repository)
		require.NoError(t, err)
		acted += countSteps(output, "cache guard: ")
		s.mixStages(t, guarded)
		_, err = guarded.Build(t.Context(), s.to(s.registry.Host, repository))
		require.NoError(t, err)
		s.check(t, repository)
		if _, err := s.playPrune(t, stock, repository+"-stock"); err != nil {
			t.Log("stock:", err)
			assert.Regexp(t, `failed to solve: error writing layer blob: content digest sha256:\w+: not found`, err.Error())
		}
	})
	assert.Positive(t, acted, "the guard had to do with no export")
}

// everything is a policy of garbage collection that wants all there is.
const everything = "worker.oci.gcpolicy = [{ all = true, maxUsedSpace = 1 }]\n"

// TestFaultPruneAnyExporter prunes while cache is exported in each way, and has garbage
// collected besides. All exports are whole.
func TestFaultPruneAnyExporter(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	guarded := s.start(t, harness.DaemonOptions{Binary: binaries(t).Guarded, Config: everything, CollectGarbage: true}, "guarded")
	inRounds(t, "prune any", func(t *testing.T, round int, repository string) {
		ref := s.registry.Host + "/" + repository
		dir := filepath.Join(t.TempDir(), "cache")
		for name, ways := range map[string][2]string{
			"registry": {"type=registry,mode=max,ref=" + ref + ":cache", "type=registry,ref=" + ref + ":cache"},
			"local":    {"type=local,mode=max,dest=" + dir, "type=local,src=" + dir},
			"inline":   {"type=inline", "type=registry,ref=" + ref + ":image"},
		} {
			s.mixStages(t, guarded)
			build := s.build
			// In every other round the layers are asked for in their second compression.
			build.ExportCache = []string{ways[0]}
			if round%2 == 1 && name != "inline" {
				build.ExportCache[0] += ",compression=zstd"
			}
			if name == "inline" {
				build.Output = harness.PushOutput(ref + ":image")
			}
			_, err := exportWhile(t, guarded, build, pruning(guarded))
			require.NoError(t, err, name)
			s.checkImport(t, ways[1])
		}
	})
}

// pruning prunes a daemon until the context ends.
func pruning(d *harness.Daemon) func(context.Context) error {
	return func(ctx context.Context) error {
		for ctx.Err() == nil {
			if _, err := d.Buildctl(ctx, "prune", "--all"); err != nil && ctx.Err() == nil {
				return err
			}
		}
		return nil
	}
}

// playPrune exports from a daemon that is pruned meanwhile, and returns what the
// client was told. What was written is checked.
func (s *scene) playPrune(t *testing.T, d *harness.Daemon, repository string) (string, error) {
	t.Helper()
	s.mixStages(t, d)
	result, err := exportWhile(t, d, s.to(s.registry.Host, repository), pruning(d))
	s.checkWhole(t, repository)
	return result.Output, err
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

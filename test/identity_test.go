package test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/moby/buildkit/util/compression"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
)

// nothing is a RUN step that writes nothing, and so makes an empty layer.
const nothing = "RUN --mount=type=tmpfs,target=/layers [\"/bin/step\", \"/layers/nothing\", \"%d\"]\n"

// TestRebuiltImageIsTheSame builds images whose layers exist in several blobs, exports
// their cache without asking for a compression, and builds them again on a daemon that
// knows nothing but the cache: every layer is the blob that it was.
func TestRebuiltImageIsTheSame(t *testing.T) {
	t.Parallel()
	registry := startRegistry(t)
	bases := make(map[string]string)
	for name, base := range map[string]harness.Base{
		"fast":  {Layers: 4, LayerSize: 4096},
		"best":  {Layers: 4, LayerSize: 4096, Best: true},
		"zstd":  {Layers: 4, LayerSize: 4096, Zstd: true},
		"empty": {Layers: 2, LayerSize: 4096, Best: true, Empty: 1},
	} {
		pushed, err := registry.PushBase(t.Context(), base)
		require.NoError(t, err)
		bases[name] = pushed
	}
	stages := func(first, last string) string {
		return "FROM " + bases[first] + " AS made\n" +
			"RUN [\"/bin/step\", \"/a\", \"a\"]\n" +
			"FROM " + bases[last] + "\n" +
			"COPY --from=made /a /from/a\n" +
			"RUN [\"/bin/step\", \"/b\", \"b\"]\n"
	}
	for name, tc := range map[string]struct {
		dockerfile string
		// converted are compressions that the image is built in besides, all of it.
		converted []compression.Type
	}{
		"two bases in other levels":         {stages("fast", "best"), nil},
		"two bases in other compressions":   {stages("zstd", "fast"), nil},
		"zstd base built in gzip":           {harness.RunSteps(bases["zstd"], 2), []compression.Type{compression.Gzip}},
		"gzip base built in zstd":           {harness.RunSteps(bases["best"], 2), []compression.Type{compression.Zstd}},
		"two bases built in zstd":           {stages("fast", "best"), []compression.Type{compression.Zstd}},
		"empty layers of two tools":         {"FROM " + bases["empty"] + "\n" + fmt.Sprintf(nothing, 1) + "RUN [\"/bin/step\", \"/b\", \"b\"]\n", nil},
		"empty layers built in zstd":        {"FROM " + bases["empty"] + "\n" + fmt.Sprintf(nothing, 1) + "RUN [\"/bin/step\", \"/b\", \"b\"]\n", []compression.Type{compression.Zstd}},
		"links upon a base built in zstd":   {"FROM " + bases["best"] + " AS made\nRUN [\"/bin/step\", \"/a\", \"a\"]\nFROM " + bases["best"] + "\nCOPY --link --from=made /a /link/a\n", []compression.Type{compression.Zstd}},
		"a base in estargz made from gzip":  {harness.RunSteps(bases["fast"], 1), []compression.Type{compression.EStargz}},
		"all compressions upon two origins": {stages("best", "zstd"), []compression.Type{compression.Gzip, compression.Zstd, compression.EStargz}},
	} {
		t.Run(name, func(t *testing.T) {
			options := harness.DaemonOptions{Binary: binaries(t).Guarded, Registries: []string{registry.Host}}
			image := fmt.Sprintf("%s/identity-%x", registry.Host, name)
			daemon := startDaemon(t, options)
			plain := harness.Build{Dockerfile: tc.dockerfile, Output: harness.PushOutput(image + ":original")}
			first, err := daemon.Build(t.Context(), plain)
			require.NoError(t, err)
			original, err := registry.Image(t.Context(), image+":original")
			require.NoError(t, err)
			for _, c := range tc.converted {
				build := harness.Build{Dockerfile: tc.dockerfile, Output: harness.PushOutput(image+":"+c.String(), forced(c.String()))}
				_, err := daemon.Build(t.Context(), build)
				require.NoError(t, err)
			}

			local := filepath.Join(t.TempDir(), "cache")
			for cache, ways := range map[string][2]string{
				"registry, mode=max": {"type=registry,mode=max,ref=" + image + ":max", "type=registry,ref=" + image + ":max"},
				"registry, mode=min": {"type=registry,mode=min,ref=" + image + ":min", "type=registry,ref=" + image + ":min"},
				"local":              {"type=local,mode=max,dest=" + local, "type=local,src=" + local},
				"inline":             {"type=inline", "type=registry,ref=" + image + ":inline"},
			} {
				build := harness.Build{Dockerfile: tc.dockerfile, ExportCache: []string{ways[0]}}
				if cache == "inline" {
					build.Output = harness.PushOutput(image + ":inline")
				}
				_, err := daemon.Build(t.Context(), build)
				require.NoError(t, err, cache)

				fresh := startDaemon(t, options)
				again := harness.Build{Dockerfile: tc.dockerfile, ImportCache: []string{ways[1]}, Output: harness.PushOutput(image + ":again")}
				result, err := fresh.Build(t.Context(), again)
				require.NoError(t, err, cache)
				rebuilt, err := registry.Image(t.Context(), image+":again")
				require.NoError(t, err)
				assert.Equal(t, original.Digests(), rebuilt.Digests(), cache)
				if cache == "registry, mode=max" || cache == "local" {
					assert.Equal(t, first.Steps, result.Cached, "%s: %s", cache, result.Output)
				}
				_, err = fresh.Stop(t.Context())
				require.NoError(t, err)
			}
		})
	}
}

package guard

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/moby/buildkit/cache"
	cacheconfig "github.com/moby/buildkit/cache/config"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/util/compression"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/internal/cachetest"
	"github.com/bkguard/bkguard/internal/choice"
	"github.com/bkguard/bkguard/internal/killswitch"
)

// combination is number n of the combinations of a chain's blobs: n in a
// notation with a digit for each layer, the highest for the bottom layer.
func combination(layers [][]ocispecs.Descriptor, n int) []digest.Digest {
	chain := make([]digest.Digest, len(layers))
	for i := len(layers) - 1; i >= 0; i-- {
		chain[i] = layers[i][n%len(layers[i])].Digest
		n /= len(layers[i])
	}
	return chain
}

// combinations is how many there are.
func combinations(layers [][]ocispecs.Descriptor) int {
	n := 1
	for _, blobs := range layers {
		n *= len(blobs)
	}
	return n
}

func TestVariantsAreWhatIsLinked(t *testing.T) {
	store, ctx := newDrawnStore(t)
	rapid.Check(t, func(t *rapid.T) {
		chain := drawChain(t)
		store.link(t, chain)
		main, v := store.record(ctx, t, chain)
		require.Len(t, v, len(chain))
		for i, l := range chain {
			want := store.reached(l)
			want[0] = main.Descriptors[i]
			require.Equal(t, want, v[i])
		}
		require.Equal(t, main.Descriptors, v.Main())
	})
}

// TestDamagedLinksMixNoLayers has links from layer to layer.
func TestDamagedLinksMixNoLayers(t *testing.T) {
	store, ctx := newDrawnStore(t)
	rapid.Check(t, func(t *rapid.T) {
		chain := drawChain(t)
		store.link(t, chain)
		want := make([][]digest.Digest, len(chain))
		for i, l := range chain {
			want[i] = digests(store.reached(l))
		}
		store.damage(t)
		_, v := store.record(ctx, t, chain)
		for i := range chain {
			require.Equal(t, want[i], digests(v[i]), "all blobs of the layer and no others")
		}
	})
}

func TestProductIsThatOfTheModel(t *testing.T) {
	store, ctx := newDrawnStore(t)
	rapid.Check(t, func(t *rapid.T) {
		chain := drawChain(t)
		store.link(t, chain)
		main, v := store.record(ctx, t, chain)
		top := len(v) - 1
		topmost := rapid.SampledFrom(v[top]).Draw(t, "topmost")

		layers := append(slices.Clone(v[:top]), []ocispecs.Descriptor{topmost})
		got := [][]digest.Digest{}
		for _, r := range v.Product(topmost, main.Provider) {
			require.Equal(t, main.Provider, r.Provider)
			got = append(got, digests(r.Descriptors))
			for i, desc := range r.Descriptors {
				require.Contains(t, v[i], desc, "media type, size and annotations are those of the blob")
			}
		}
		want := [][]digest.Digest{}
		for n := range combinations(layers) {
			if c := combination(layers, n); !slices.Equal(c, digests(main.Descriptors)) {
				want = append(want, c)
			}
		}
		require.Equal(t, want, got)

		e := NewEstimate(v.Counts())
		require.Equal(t, uint64(combinations(layers)), e.Remotes)
	})
}

func TestSingleChainIsOneOfTheLayers(t *testing.T) {
	store, ctx := newDrawnStore(t)
	rapid.Check(t, func(t *rapid.T) {
		chain := drawChain(t)
		store.link(t, chain)
		_, v := store.record(ctx, t, chain)
		comp := rapid.SampledFrom(cachetest.AllCompressions).Draw(t, "requested")
		got := v.Single(ctx, store, comp)
		require.Len(t, got, len(chain))
		for i, l := range chain {
			want := v[i][0].Digest
			if requested := store.blobs[l.number][comp]; slices.Contains(digests(v[i]), requested.Digest) {
				want = requested.Digest
			}
			require.Equal(t, want, got[i].Digest, "layer %d", i)
			require.Contains(t, v[i], got[i])
		}
	})
}

// checkOneInFive lets rapid check a property that waits for the disk less often.
func checkOneInFive(t *testing.T) {
	t.Helper()
	checks := flag.Lookup("rapid.checks").Value
	before := checks.String()
	n, err := strconv.Atoi(before)
	require.NoError(t, err)
	require.NoError(t, checks.Set(strconv.Itoa(n/5)))
	t.Cleanup(func() { require.NoError(t, checks.Set(before)) })
}

// TestWorkerHasTheRemotesOfTheModel is on upstream's cache, with layers that
// upstream converts up to some height of the chain. All chains are in one cache,
// and no layer comes twice.
func TestWorkerHasTheRemotesOfTheModel(t *testing.T) {
	c := newTestCache(t)
	guarded := newTestGuard(t, config.Config{MaxRemotes: config.MaxRemotesLimit}).Worker(c.worker())
	checkOneInFive(t)
	number := 0
	rapid.Check(t, func(rt *rapid.T) {
		var (
			refs   []cache.ImmutableRef
			layers []map[compression.Type]digest.Digest
			top    cache.ImmutableRef
		)
		for _, comp := range rapid.SliceOfN(rapid.SampledFrom(cachetest.AllCompressions), 1, 4).Draw(rt, "own") {
			number++
			top = c.Add(t, top, number, comp)
			desc, _ := cachetest.Layer(t, number, comp)
			refs, layers = append(refs, top), append(layers, map[compression.Type]digest.Digest{comp: desc.Digest})
		}
		main := make([]digest.Digest, len(layers))
		for i, blobs := range layers {
			main[i] = slices.Collect(maps.Values(blobs))[0]
		}
		for range rapid.IntRange(0, 2).Draw(rt, "conversions") {
			comp := rapid.SampledFrom(cachetest.AllCompressions).Draw(rt, "converted to")
			height := rapid.IntRange(1, len(refs)).Draw(rt, "layers converted")
			forced := cacheconfig.RefConfig{Compression: compression.New(comp).SetForce(true)}
			remotes, err := refs[height-1].GetRemotes(c.Ctx, true, forced, false, nil)
			require.NoError(rt, err)
			for i, desc := range remotes[0].Descriptors {
				layers[i][comp] = desc.Digest
			}
		}

		requestedComp := rapid.SampledFrom(cachetest.AllCompressions).Draw(rt, "requested")
		remotes, err := getRemotes(c.Ctx, guarded, top, requested(requestedComp), true)
		require.NoError(rt, err)
		require.Equal(rt, main, digests(remotes[0].Descriptors))
		want := map[string]bool{}
		if topmost, ok := layers[len(layers)-1][requestedComp]; ok {
			want[""] = true
			for i, blobs := range layers {
				longer := map[string]bool{}
				for chain := range want {
					for _, dgst := range blobs {
						if i < len(layers)-1 || dgst == topmost {
							longer[chain+string(dgst)+" "] = true
						}
					}
				}
				want = longer
			}
		}
		key := func(chain []digest.Digest) string {
			text := ""
			for _, dgst := range chain {
				text += string(dgst) + " "
			}
			return text
		}
		want[key(main)] = true
		require.Len(rt, remotes, len(want))
		for _, r := range remotes {
			require.True(rt, want[key(digests(r.Descriptors))])
			delete(want, key(digests(r.Descriptors)))
		}
	})
}

// cloned is a copy that shares nothing.
func cloned(descs []ocispecs.Descriptor) []ocispecs.Descriptor {
	descs = slices.Clone(descs)
	for i := range descs {
		descs[i].Annotations = maps.Clone(descs[i].Annotations)
	}
	return descs
}

// TestRemotesShareNothingThatIsWrittenTo writes all over one remote after
// another. The maps of annotations are shared and not written to, as with
// upstream; what the guard adds to one goes into a copy.
func TestRemotesShareNothingThatIsWrittenTo(t *testing.T) {
	store, ctx := newDrawnStore(t)
	rapid.Check(t, func(t *rapid.T) {
		records, found := store.drawRecords(ctx, t)
		pool := &choice.Pool{}
		remotes := slices.Clone(records)
		var layers [][]*choice.Layer
		for n, main := range records {
			layers = append(layers, layersOf(pool, main))
			v := found[n]
			remotes = append(remotes, v.Product(rapid.SampledFrom(v[len(v)-1]).Draw(t, "topmost"), main.Provider)...)
			comp := rapid.SampledFrom(cachetest.AllCompressions).Draw(t, "requested")
			remotes = append(remotes, &solver.Remote{Descriptors: v.Single(ctx, store, comp), Provider: main.Provider})
		}
		state := func() any {
			var chains [][]ocispecs.Descriptor
			for _, r := range remotes {
				chains = append(chains, cloned(r.Descriptors))
			}
			for _, blobs := range slices.Concat(found...) {
				chains = append(chains, cloned(blobs))
			}
			return chains
		}

		before := state()
		chosen := pool.Choose(choice.In(hasCompression(ctx, rapid.SampledFrom(cachetest.AllCompressions).Draw(t, "asked for"))))
		for _, chain := range layers {
			written, ok := chosen.Chain(ctx, chain)
			require.True(t, ok)
			for _, desc := range written {
				desc.Annotations["written"] = "by an exporter"
			}
		}
		require.Equal(t, before, state(), "a choice leaves the remotes and their annotations alone")

		written := rapid.SampledFrom(remotes).Draw(t, "remote")
		kept := written.Descriptors
		written.Descriptors = nil
		without := state()
		for i := range kept {
			_ = append(kept[:i], ocispecs.Descriptor{Digest: "sha256:appended"})
			kept[i] = ocispecs.Descriptor{Digest: "sha256:overwritten"}
		}
		_ = append(kept, ocispecs.Descriptor{Digest: "sha256:appended"})
		require.Equal(t, without, state())
	})
}

// TestModeInForceIsTheStrongestSource compares with a list of who may set it.
func TestModeInForceIsTheStrongestSource(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mode")
	set := rapid.SampledFrom(append(config.Modes(), ""))
	rapid.Check(t, func(t *rapid.T) {
		bySwitch, override, exporter, asked := set.Draw(t, "switch"), set.Draw(t, "override"), set.Draw(t, "exporter"), set.Draw(t, "asked")
		table := rapid.SampledFrom(config.Modes()).Draw(t, "table")
		require.NoError(t, os.WriteFile(path, []byte(bySwitch), 0o600))
		g := &Guard{
			config:     config.Config{Mode: table, Override: override, Exporters: map[string]config.Exporter{"s3": {Mode: exporter}}},
			killSwitch: killswitch.New(path, func() {}),
		}
		defer g.killSwitch.Close()
		first := func(modes ...config.Mode) config.Mode {
			return modes[slices.IndexFunc(modes, func(m config.Mode) bool { return m != "" })]
		}
		strictness := func(m config.Mode) int { return slices.Index(config.Modes(), m) }
		settled, inForce := first(override, exporter, table), first(bySwitch, override, exporter, table)

		mode, _ := g.Mode("s3")
		require.Equal(t, inForce, mode)
		mode, _ = g.Mode("local")
		require.Equal(t, first(bySwitch, override, table), mode)

		attrs := map[string]string{ModeAttribute: string(asked)}
		if asked == "" {
			attrs = nil
		}
		atLeast, err := g.stricterMode("s3", attrs)
		require.Equal(t, asked != "" && strictness(asked) < strictness(settled), err != nil, "%s asked for, %s settled", asked, settled)
		if err != nil {
			return
		}
		require.Equal(t, asked, atLeast)
		want := inForce
		if strictness(asked) > strictness(inForce) {
			want = asked
		}
		require.Equal(t, want, g.mode(newExport("s3", atLeast)), "the switch may be laxer than what a build has asked for")
	})
}

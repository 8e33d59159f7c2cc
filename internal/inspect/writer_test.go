package inspect

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	cerrdefs "github.com/containerd/errdefs"
	cacheimport "github.com/moby/buildkit/cache/remotecache/v1"
	cacheconfig "github.com/moby/buildkit/cache/remotecache/v1/types"
	"github.com/moby/buildkit/solver"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// step is a record that upstream's writer is given: its inputs by name, and its layers.
type step struct {
	name   string
	inputs []string
	layers []string
	// goes is the layer that is gone after so many questions, if it is not empty.
	goes  string
	after int
}

// goingWorker has the blobs of a step. One of them goes between two questions.
type goingWorker struct {
	content.Provider // nil
	goes             digest.Digest
	after, asked     int
}

func (w *goingWorker) Info(_ context.Context, dgst digest.Digest) (content.Info, error) {
	if dgst == w.goes {
		if w.asked++; w.asked > w.after {
			return content.Info{}, cerrdefs.ErrNotFound
		}
	}
	return content.Info{Digest: dgst}, nil
}

// export lets upstream write the cache of steps.
func export(t *testing.T, steps []step) *layout {
	t.Helper()
	l := newLayout(t)
	chains := cacheimport.NewCacheChains()
	records := map[string]solver.CacheExporterRecord{}
	for _, s := range steps {
		var links [][]solver.CacheLink
		for _, input := range s.inputs {
			links = append(links, []solver.CacheLink{{Src: records[input]}})
		}
		var results []solver.CacheExportResult
		if len(s.layers) > 0 {
			remote := &solver.Remote{}
			provider := &goingWorker{after: s.after}
			for _, name := range s.layers {
				desc := l.layer(t, name, gzip)
				remote.Descriptors = append(remote.Descriptors, desc)
				if name == s.goes {
					provider.goes = desc.Digest
				}
			}
			remote.Provider = provider
			results = []solver.CacheExportResult{{CreatedAt: time.Unix(0, 0), Result: remote}}
		}
		record, _, err := chains.Add(digest.FromString(s.name), links, results)
		require.NoError(t, err)
		records[s.name] = record
	}
	config, blobs, err := chains.Marshal(t.Context())
	require.NoError(t, err)
	var layers []ocispecs.Descriptor
	for _, pair := range blobs {
		layers = append(layers, pair.Descriptor)
	}
	l.cache(t, marshal(t, config), layers...)
	return l
}

// TestBottoms has what upstream writes of steps, and of such whose layers go while it
// writes them.
func TestBottoms(t *testing.T) {
	base := step{name: "base", layers: []string{"1", "2"}}
	run := step{name: "run", inputs: []string{"base"}, layers: []string{"1", "2", "3"}}
	more := step{name: "more", inputs: []string{"run"}, layers: []string{"1", "2", "3", "4"}}
	going := func(s step, layer string, after int) step {
		s.goes, s.after = layer, after
		return s
	}
	for name, c := range map[string]struct {
		steps []step
		short string
	}{
		"steps": {[]step{base, run, more}, ""},
		"link": {[]step{base, {"copy", []string{"base"}, []string{"9"}, "", 0},
			{"merge", []string{"base", "copy"}, []string{"1", "2", "9"}, "", 0},
			{"run", []string{"merge"}, []string{"1", "2", "9", "10"}, "", 0}}, ""},
		"three merged": {[]step{base, {"copy", nil, []string{"8"}, "", 0}, {"other", nil, []string{"9"}, "", 0},
			{"merge", []string{"base", "copy", "other"}, []string{"1", "2", "8", "9"}, "", 0}}, ""},
		"the same files linked from where they are": {[]step{base, {"copy", []string{"base"}, []string{"2"}, "", 0},
			{"run", []string{"base"}, []string{"1", "2", "3"}, "", 0}}, ""},
		"diff": {[]step{{"lower", nil, []string{"1"}, "", 0}, {"upper", []string{"lower"}, []string{"1", "2"}, "", 0},
			{"diff", []string{"lower", "upper"}, []string{"2"}, "", 0}, {"other", nil, []string{"5"}, "", 0},
			{"merge", []string{"other", "diff"}, []string{"5", "2"}, "", 0}, {"run", []string{"merge"}, []string{"5", "2", "6"}, "", 0}}, ""},
		"no result in between":  {[]step{base, {"run", []string{"base"}, nil, "", 0}, more}, ""},
		"the parents of one go": {[]step{base, going(run, "2", 1), more}, "1 result is without the bottom layers: the files in these are lost"},
		// The longer chain is whole, and shows what is below the shorter one.
		"the lowest parent of one goes":      {[]step{base, going(run, "1", 1), more}, "1 result is without the bottom layers: the files in these are lost"},
		"not all parents of the last go":     {[]step{base, going(run, "1", 2)}, "1 result is without the bottom layers: the files in these are lost"},
		"the same files linked below others": {[]step{base, run, {"copy", []string{"run"}, []string{"2", "8", "9"}, "", 0}}, ""},
		"the base cut off above others":      {[]step{base, {"copy", []string{"base"}, []string{"5", "1"}, "", 0}}, ""},
		"the base mixed with others":         {[]step{base, {"copy", []string{"base"}, []string{"5", "1", "9"}, "", 0}}, ""},
		"the base upon another layer":        {[]step{base, {"run", []string{"base"}, []string{"5", "1", "2"}, "", 0}}, "1 result is without the bottom layers: the files in these are lost"},
		"the base merged on top": {[]step{base, {"copy", nil, []string{"2", "9"}, "", 0},
			{"merge", []string{"copy", "base"}, []string{"2", "9", "1", "2"}, "", 0}}, ""},
		// One layer of its own is what COPY --link makes, too.
		"the parents of the last go": {[]step{base, run, going(more, "3", 1)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			found := export(t, c.steps).read(t)
			if c.short == "" {
				assert.Empty(t, found.Findings)
				return
			}
			require.Len(t, found.Findings, 1)
			assert.Equal(t, Finding{Broken, c.short}, found.Findings[0])
		})
	}
}

// TestLongestChain has a record upon a chain, without the bottom of that. It is found unless
// a chain is too long to be compared.
func TestLongestChain(t *testing.T) {
	for layers, want := range map[int]int{maxChain: 1, maxChain + 1: 0} {
		l := newLayout(t)
		var blobs []ocispecs.Descriptor
		var config cacheconfig.CacheConfig
		for i := range layers {
			blobs = append(blobs, l.layer(t, strconv.Itoa(i), gzip))
			config.Layers = append(config.Layers, cacheconfig.CacheLayer{Blob: blobs[i].Digest, ParentIndex: i - 1})
		}
		top := l.layer(t, "top", gzip)
		upon := cacheconfig.ChainedResult{LayerIndexes: []int{layers - 1, layers}}
		config.Layers = append(config.Layers, cacheconfig.CacheLayer{Blob: top.Digest, ParentIndex: layers - 1})
		config.Records = []cacheconfig.CacheRecord{
			{Results: []cacheconfig.CacheResult{{LayerIndex: layers - 1}}},
			{ChainedResults: []cacheconfig.ChainedResult{upon}, Inputs: [][]cacheconfig.CacheInput{{{LinkIndex: 0}}}},
		}
		l.cache(t, marshal(t, config), append(blobs, top)...)
		assert.Len(t, l.read(t).Findings, want, "%d layers", layers)
	}
}

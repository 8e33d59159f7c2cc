package guard

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moby/buildkit/cache/remotecache"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/util/compression"
	digest "github.com/opencontainers/go-digest"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/internal/choice"
	"github.com/bkguard/bkguard/internal/steps"
)

// PreferAttribute is the attribute of a cache export that says which blob of a
// layer is written, such as guard-prefer=smallest. It wins over the
// configuration.
const PreferAttribute = "guard-prefer"

// cacheExporter writes one chosen chain for each record. Upstream's exporters keep
// the remotes they are given and read them at the very end
// (cache/remotecache/v1): so they are given one remote for each record, and its
// chain is chosen when all records are known.
type cacheExporter struct {
	remotecache.Exporter
	guard  *Guard
	export *export
	prefer config.Prefer
	// compression is what the export asks for with its attributes, nil if it asks
	// for none.
	compression *compression.Config

	mu sync.Mutex
	// pool, tally and the time of the first are of the records added so far,
	// protected by mu.
	pool    *choice.Pool
	tally   tally
	started time.Time
	// records has each record by its main remote, protected by mu.
	records map[*solver.Remote]*record
	// size is that of the records in the config that will be written, layersSize that
	// of its layers in bytes; both are protected by mu.
	size       configSize
	layersSize int
	// reported tells that the export has had its log line, protected by mu.
	reported bool
}

// inlineCache is what makes an exporter inline (solver/llbsolver/export.go).
type inlineCache interface {
	ExportForLayers(ctx context.Context, layers []digest.Digest) ([]byte, error)
}

// inlineExporter is an exporter whose inner exporter is inline. Only it may
// have the method that upstream tells inline exporters by.
type inlineExporter struct {
	*cacheExporter
}

// cacheExporter decorates the exporters of one type.
func (g *Guard) cacheExporter(exporterType string, resolve remotecache.ResolveCacheExporterFunc) remotecache.ResolveCacheExporterFunc {
	return func(ctx context.Context, s session.Group, attrs map[string]string) (remotecache.Exporter, error) {
		prefer, err := g.prefer(exporterType, attrs)
		if err != nil {
			return nil, err
		}
		atLeast, err := g.stricterMode(exporterType, attrs)
		if err != nil {
			return nil, err
		}
		requested, err := requestedCompression(attrs)
		if err != nil {
			return nil, err
		}
		inner, err := resolve(ctx, s, attrs)
		// Without an exporter upstream skips the export (control/control.go).
		if err != nil || inner == nil {
			return inner, err
		}
		switch inner.(type) {
		case *cacheExporter, *inlineExporter:
			return inner, nil // decorated already
		}
		e := &cacheExporter{Exporter: inner, guard: g, export: g.newExport(exporterType, atLeast, attrs), prefer: prefer, compression: requested}
		e.export.session, e.export.cache = sessionOf(s), cacheOf(attrs)
		e.reset()
		// An export that fails or is cancelled never comes to Finalize.
		context.AfterFunc(ctx, func() { e.export.close(ctx) })
		if _, ok := inner.(inlineCache); ok {
			return &inlineExporter{e}, nil
		}
		return e, nil
	}
}

// prefer returns the preference for an export.
func (g *Guard) prefer(exporterType string, attrs map[string]string) (config.Prefer, error) {
	if word, ok := attrs[PreferAttribute]; ok {
		return config.ParsePrefer(PreferAttribute, word)
	}
	return g.config.PreferOf(exporterType), nil
}

// reset forgets the export, but for the tally, which choose forgets; mu is held, or the exporter
// new.
func (e *cacheExporter) reset() {
	e.started = time.Time{}
	e.pool = &choice.Pool{}
	e.records = make(map[*solver.Remote]*record)
	e.size = configSize{}
}

// requestedCompression returns the compression that the attributes of an export ask for,
// nil if they ask for none. Upstream has the same attributes for all exporters
// (util/compression/attrs.go), and those for gha and azblob do not look at them
// (issues 3071 and 7121).
func requestedCompression(attrs map[string]string) (*compression.Config, error) {
	if _, ok := attrs[compressionAttribute]; !ok {
		return nil, nil
	}
	c, err := compression.ParseAttributes(attrs)
	if err != nil {
		return nil, err
	}
	return &c, nil
}

// compressionAttribute asks for a compression (util/compression/attrs.go).
const compressionAttribute = "compression"

// Config returns the inner exporter's, with the compression that the export asks
// for. That lets a decorated worker know for whom it is.
func (e *cacheExporter) Config() remotecache.Config {
	c := e.Exporter.Config()
	if e.compression != nil && !e.guard.upstreams(e.export) {
		c.Compression = *e.compression
	}
	requested, _ := requestedFor(c.Compression.Type)
	c.Compression.Type = exportCompression{Type: requested, export: e.export}
	return c
}

// Add adds a record with one remote in place of all. In ModeBlock there is no
// record, which upstream takes as one that cannot be exported.
func (e *cacheExporter) Add(dgst digest.Digest, deps [][]solver.CacheLink, results []solver.CacheExportResult) (solver.CacheExporterRecord, bool, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.started.IsZero() {
		e.started = time.Now()
	}
	switch e.guard.mode(e.export) {
	case config.ModeBlock:
		e.export.skip(e.guard.blockedBy(e.export))
		return nil, false, nil
	case config.ModeOff, config.ModeObserve:
		return e.Exporter.Add(dgst, deps, results)
	}
	record, ok, err := e.Exporter.Add(dgst, deps, e.onePerOrigin(results))
	if ok && err == nil {
		e.size.add(record, dgst, deps, len(results))
	}
	return record, ok, err
}

// onePerOrigin replaces all results of one origin by one.
func (e *cacheExporter) onePerOrigin(results []solver.CacheExportResult) []solver.CacheExportResult {
	var kept []solver.CacheExportResult
	for len(results) > 0 {
		n := 1
		for n < len(results) && sameOrigin(results[0], results[n]) {
			n++
		}
		one := results[0]
		one.Result = e.pooled(results[:n])
		kept = append(kept, one)
		results = results[n:]
	}
	return kept
}

func sameOrigin(a, b solver.CacheExportResult) bool {
	return a.CreatedAt.Equal(b.CreatedAt) && a.EdgeVertex == b.EdgeVertex && a.EdgeIndex == b.EdgeIndex
}

// mainRemote returns the main remote among the results of one origin, which is
// the last one (solver/exporter.go). If the record was imported that is the
// importer's, and the worker's own comes before it: the one to export, as its
// blobs are here and its variants known.
func mainRemote(results []solver.CacheExportResult) *solver.Remote {
	for _, r := range slices.Backward(results) {
		if r.Result == nil {
			continue
		}
		if _, ok := r.Result.Provider.(*provider); ok {
			return r.Result
		}
	}
	return results[len(results)-1].Result
}

// pooled puts the blobs of all remotes into the pool and returns the remote for the inner
// exporter, with the main chain until the export chooses another. A remote without a provider
// is left as it is: upstream asks nothing of it either
// (cache/remotecache/v1/utils.go).
func (e *cacheExporter) pooled(results []solver.CacheExportResult) *solver.Remote {
	main := mainRemote(results)
	if main == nil || main.Provider == nil {
		return main
	}
	if r, ok := e.records[main]; ok {
		return r.remote
	}
	r := &record{main: main, remote: &solver.Remote{Descriptors: main.Descriptors, Provider: main.Provider}}
	e.records[main] = r
	if p, ok := main.Provider.(*provider); ok {
		e.tally.add(p.found, p.spared)
		e.guard.stats.estimated(context.Background(), e.export.exporterType, p.found.estimate)
		r.layers = layersOf(e.pool, main)
	} else {
		r.layers = layersAmong(e.pool, main, results)
	}
	return r.remote
}

// choose chooses the blobs and gives every remote its chain; what is written is
// said in words. It is nil if there is nothing to export; mu is held.
func (e *cacheExporter) choose(ctx context.Context, rule choice.Rule, writes string) *written {
	mode, by := e.guard.mode(e.export), e.export.takeSkipped()
	added, observed := e.tally, e.observed()
	e.tally = tally{} // an inline exporter may keep its records for another image
	if mode == config.ModeBlock {
		by = e.guard.blockedBy(e.export)
	}
	// Without the records that were skipped, the others would replace a whole
	// cache by a part of it.
	if by != "" {
		e.decide(ctx, config.ModeBlock, OutcomeBlocked, added)
		e.reportBlocked(ctx, by)
		return nil
	}
	chosen := e.pool.Choose(rule)
	w := newWritten(chosen, e.export.uploads)
	for _, r := range e.records {
		w.writeChain(ctx, r)
	}
	e.guard.stats.chosen(chosen)
	added.write(chosen)
	e.layersSize = added.layers * layerSize
	switch {
	case added.records > 0:
		e.decide(ctx, mode, OutcomeSpared, added)
	case observed.records > 0:
		e.decide(ctx, mode, OutcomeObserved, observed)
	default:
		e.decide(ctx, mode, OutcomePlain, added)
	}
	// An inline exporter comes by for every image of the build.
	if !e.reported {
		e.reported = added.report(ctx, e.export, writes)
	}
	return w
}

// observed is what ModeEnforce would have done with the records of the export. A
// worker cannot tell inline exports apart, so these share one account.
func (e *cacheExporter) observed() tally {
	if _, ok := e.Exporter.(inlineCache); ok {
		return e.guard.inline.takeObserved()
	}
	return e.export.takeObserved()
}

// Finalize chooses the blobs of all records and finalizes the inner exporter. Nothing of the
// export is kept, also if that fails.
func (e *cacheExporter) Finalize(ctx context.Context) (map[string]string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	defer func() {
		e.reset()
		e.reported = false
		e.export.end(ctx)
	}()
	rule, writes := e.rule(ctx)
	w := e.choose(ctx, rule, writes)
	if w == nil {
		return nil, nil
	}
	if e.guard.upstreams(e.export) {
		return e.Exporter.Finalize(ctx)
	}
	config := int64(e.size.bytes + e.layersSize)
	watched, done := steps.Watch(ctx, func(step string, completed bool) {
		e.export.uploads.Step(step, completed)
		if !completed && strings.HasPrefix(step, steps.WritingConfig) {
			w.dropSources()
		}
	})
	response, err := e.Exporter.Finalize(watched)
	done()
	if err == nil {
		e.warnUnimportable(ctx, config, manifestSize(response))
	}
	return response, err
}

// rule returns which blobs the export writes, also in words.
func (e *cacheExporter) rule(ctx context.Context) (rule choice.Rule, writes string) {
	switch {
	case e.prefer == config.PreferSmallest:
		return choice.Smallest(), "the smallest blob of each layer"
	case e.prefer == config.PreferRequested && e.compression != nil:
		return choice.In(hasCompression(ctx, e.compression.Type)), e.compression.Type.String()
	}
	return choice.Own(), "the blobs of the images"
}

// Finalize finalizes the inner exporter, which has nothing left to do.
func (e *inlineExporter) Finalize(ctx context.Context) (map[string]string, error) {
	return e.Exporter.Finalize(ctx)
}

// ExportForLayers chooses the blobs of all records for the layers of one image of the build.
// The inner exporter forgets its records when it returns data, and only then.
func (e *inlineExporter) ExportForLayers(ctx context.Context, layers []digest.Digest) ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.choose(ctx, choice.Image(layers), "the image's own blobs") == nil {
		return nil, nil
	}
	data, err := e.Exporter.(inlineCache).ExportForLayers(ctx, layers)
	if err == nil && data != nil {
		e.reset()
	}
	return data, err
}

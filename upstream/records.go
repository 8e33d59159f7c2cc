package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	cacheconfig "github.com/moby/buildkit/cache/config"
	"github.com/moby/buildkit/cache/remotecache"
	cacheimport "github.com/moby/buildkit/cache/remotecache/v1"
	cacheimporttypes "github.com/moby/buildkit/cache/remotecache/v1/types"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/util/compression"
	"github.com/moby/buildkit/util/contentutil"
	digest "github.com/opencontainers/go-digest"
)

// chainsExporter has upstream's records of an export, which all of its exporters
// write. What it writes are the records themselves.
type chainsExporter struct {
	*cacheimport.CacheChains
}

func resolveChainsExporter(context.Context, session.Group, map[string]string) (remotecache.Exporter, error) {
	return chainsExporter{cacheimport.NewCacheChains()}, nil
}

func (chainsExporter) Name() string { return "records" }

func (chainsExporter) Config() remotecache.Config { return remotecache.Config{Compression: gzip} }

// Finalize returns the records as JSON.
func (e chainsExporter) Finalize(ctx context.Context) (map[string]string, error) {
	config, _, err := e.Marshal(ctx)
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(config.Records)
	return map[string]string{"records": string(data)}, err
}

func (c *smallCache) registryExporter(ctx context.Context) (remotecache.Exporter, error) {
	return c.exporters["registry"](ctx, nil, nil)
}

// record is the digest of the record that all reproductions export.
const record = digest.Digest("sha256:0000000000000000000000000000000000000000000000000000000000000000")

// resultsOf are the results of one record as the solver hands them to an
// exporter: the main remote comes last (solver/exporter.go).
func resultsOf(remotes []*solver.Remote) []solver.CacheExportResult {
	var results []solver.CacheExportResult
	for _, remote := range append(remotes[1:len(remotes):len(remotes)], remotes[0]) {
		results = append(results, solver.CacheExportResult{CreatedAt: time.Unix(0, 0), Result: remote})
	}
	return results
}

// export adds one record with several results, one set after the other, and
// returns how many are written.
func export(ctx context.Context, e remotecache.Exporter, results ...[]solver.CacheExportResult) (int, error) {
	for _, r := range results {
		if _, _, err := e.Add(record, nil, r); err != nil {
			return 0, err
		}
	}
	written, err := e.Finalize(ctx)
	if err != nil {
		return 0, err
	}
	return countResults([]byte(written["records"]))
}

// countResults counts the results of all records, which are in JSON.
func countResults(data []byte) (int, error) {
	var records []cacheimporttypes.CacheRecord
	if err := json.Unmarshal(data, &records); err != nil {
		return 0, err
	}
	n := 0
	for _, r := range records {
		n += len(r.Results) + len(r.ChainedResults)
	}
	return n, nil
}

// equalResults gives a record two results of the same age and length: a blob
// that is gone, and a variant of it that is there.
func equalResults(ctx context.Context, c *smallCache) (bool, error) {
	ref, err := c.chain(ctx, 1, compression.Uncompressed)
	if err != nil {
		return false, err
	}
	gone, err := ref.GetRemotes(ctx, false, cacheconfig.RefConfig{Compression: gzip}, false, nil)
	if err != nil {
		return false, err
	}
	gone[0].Provider = contentutil.NewBuffer()
	there, err := ref.GetRemotes(ctx, false, cacheconfig.RefConfig{Compression: compression.New(compression.Uncompressed).SetForce(true)}, false, nil)
	if err != nil {
		return false, err
	}
	e, err := c.registryExporter(ctx)
	if err != nil {
		return false, err
	}
	written, err := export(ctx, e, resultsOf(gone), resultsOf(there))
	return written == 0, err
}

// inlineVariants asks for the inline cache of an image in gzip, whose layers
// have been converted since.
func inlineVariants(ctx context.Context, c *smallCache) (bool, error) {
	ref, err := c.chain(ctx, 5, compression.Uncompressed)
	if err != nil {
		return false, err
	}
	all, err := c.remotes(ctx, ref, gzip)
	if err != nil {
		return false, err
	}
	e, err := c.exporters["inline"](ctx, nil, nil)
	if err != nil {
		return false, err
	}
	if _, _, err := e.Add(record, nil, resultsOf(all)); err != nil {
		return false, err
	}
	inlined, ok := e.(interface {
		ExportForLayers(ctx context.Context, layers []digest.Digest) ([]byte, error)
	})
	if !ok {
		return false, errors.New("the inline exporter has no ExportForLayers")
	}
	var image []digest.Digest
	for _, desc := range all[0].Descriptors {
		image = append(image, desc.Digest)
	}
	data, err := inlined.ExportForLayers(ctx, image)
	if err != nil || data == nil {
		return data == nil, err
	}
	written, err := countResults(data)
	return written == 0, err
}

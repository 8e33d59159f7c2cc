package guard

import (
	"context"
	"encoding/json"
	"reflect"

	"github.com/moby/buildkit/cache/remotecache"
	cacheimporttypes "github.com/moby/buildkit/cache/remotecache/v1/types"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/util/bklog"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/bkguard/bkguard/cost"
)

// importLimit is how large the manifest and the config of a cache may be that upstream
// imports (cache/remotecache/import.go, readBlob; PR 7126). Exporters write larger ones
// all the same.
const importLimit = 1 << 20

// hasImportLimit are the types of exporters whose caches are read back like that.
var hasImportLimit = map[string]bool{"registry": true, "local": true}

// configSize adds up how large the config of a cache will be, from the records as they
// are added. It is an estimate: upstream joins some records afterwards
// (cache/remotecache/v1/chains.go).
type configSize struct {
	bytes int
	// numbers has the number of each record.
	numbers map[solver.CacheExporterRecord]int
}

// add adds a record with its links and the number of its results. One that was added
// before, and records that cannot be told apart, add nothing.
func (s *configSize) add(record solver.CacheExporterRecord, dgst digest.Digest, deps [][]solver.CacheLink, results int) {
	if record == nil || !reflect.TypeOf(record).Comparable() {
		return
	}
	if s.numbers == nil {
		s.numbers = make(map[solver.CacheExporterRecord]int)
	}
	if _, ok := s.numbers[record]; ok {
		return
	}
	s.numbers[record] = len(s.numbers)
	written := cacheimporttypes.CacheRecord{Digest: dgst, Inputs: make([][]cacheimporttypes.CacheInput, len(deps))}
	if results > 0 {
		written.Results = make([]cacheimporttypes.CacheResult, 1)
	}
	for i, links := range deps {
		for _, link := range links {
			input := cacheimporttypes.CacheInput{Selector: link.Selector}
			if link.Src != nil && reflect.TypeOf(link.Src).Comparable() {
				input.LinkIndex = s.numbers[link.Src]
			}
			written.Inputs[i] = append(written.Inputs[i], input)
		}
	}
	s.bytes += jsonSize(written)
}

// layerSize is about the size of a layer in the config of a cache: a digest and a
// number.
var layerSize = jsonSize(cacheimporttypes.CacheLayer{Blob: digest.FromString(""), ParentIndex: importLimit})

// jsonSize is the size of a value as it is written, with a comma behind it.
func jsonSize(v any) int {
	data, err := json.Marshal(v)
	if err != nil {
		return 0
	}
	return len(data) + len(",")
}

// manifestSize is the size of the manifest that an exporter has written, 0 if it does
// not tell.
func manifestSize(response map[string]string) int64 {
	var desc ocispecs.Descriptor
	if json.Unmarshal([]byte(response[remotecache.ExporterResponseManifestDesc]), &desc) != nil {
		return 0
	}
	return desc.Size
}

// warnUnimportable tells the log, and the user of the client, of a cache that nobody
// can import. The sizes are in bytes.
func (e *cacheExporter) warnUnimportable(ctx context.Context, config, manifest int64) {
	what, size := "config", config
	if manifest > config {
		what, size = "manifest", manifest
	}
	if !hasImportLimit[e.export.exporterType] || size <= importLimit {
		return
	}
	bklog.G(ctx).WithField("exporter", e.export.exporterType).WithField(what, size).WithField("limit", importLimit).
		WithField("records", len(e.size.numbers)).Warn("cache is too large to be imported")
	warnClient(ctx, "the %s of this cache has about %s, and no daemon imports more than %s: export with mode=min, or build fewer steps into one cache",
		what, cost.Size(uint64(size)), cost.Size(importLimit))
}

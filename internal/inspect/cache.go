package inspect

import (
	cacheconfig "github.com/moby/buildkit/cache/remotecache/v1/types"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// ImportLimit is how many bytes the manifest and the config of a cache may have that
// upstream imports (cache/remotecache/import.go, readBlob). The config of an image with
// inline cache has no limit.
const ImportLimit = 1 << 20

// The forms of a cache.
const (
	// Index is an image index that names the layers and the cache config.
	Index = "index"
	// Manifest is an image manifest whose config is the cache config.
	Manifest = "manifest"
	// Inline is an image whose config holds the records.
	Inline = "inline"
)

// Cache is one build cache and what is found about it. An image for several platforms
// has one for each, as has each entry of a directory.
type Cache struct {
	// Name is the reference or the directory, with the tag of an entry.
	Name     string        `json:"name"`
	Form     string        `json:"form"`
	Platform string        `json:"platform,omitempty"`
	Digest   digest.Digest `json:"digest"`
	// ManifestSize and ConfigSize are in bytes.
	ManifestSize int64 `json:"manifestSize"`
	ConfigSize   int64 `json:"configSize"`
	// Records are cache keys. Results counts those of them that an import can load.
	Records int `json:"records"`
	Results int `json:"results"`
	// Layers counts the blobs by their uncompressed content, Bytes adds up the blobs.
	Layers int   `json:"layers"`
	Blobs  int   `json:"blobs"`
	Bytes  int64 `json:"bytes"`
	// Compressions counts the blobs in each.
	Compressions map[string]int `json:"compressions"`
	Findings     []Finding      `json:"findings"`

	// parsed tells that config holds what the place has; else nothing reads config.
	parsed bool
	config cacheconfig.CacheConfig
	// blobs are those that the manifest names, each once, and byDigest the same.
	blobs    []ocispecs.Descriptor
	byDigest map[digest.Digest]ocispecs.Descriptor
	// order has the records with the inputs of each before it, and loadable the results of
	// each record whose layers are named: first those of Results, then those of
	// ChainedResults. Both are nil if upstream's importer refuses the cache.
	order    []int
	loadable [][]int
}

package uploads

import (
	"strconv"
)

// Cost is what a client holds while it sends a layer of so many bytes.
type Cost func(size int64) uint64

// Of returns what an exporter of a type holds for a layer, and how many layers it
// sends at a time with these attributes. The cost is nil if the exporter streams:
// registry, local, inline and gha read a layer in small pieces.
//
// The figures are what the SDKs allocate, read in their source.
func Of(exporterType string, attrs map[string]string) (cost Cost, parallel int) {
	switch exporterType {
	case "s3":
		return s3, s3Parallel(attrs)
	case "azblob":
		return azblob, 1
	}
	return nil, 0
}

const (
	// s3Parts is what the SDK of s3 holds of a large layer at most: the first 16 MiB,
	// read into a buffer that grows, so up to 32 MiB and as much garbage while it does,
	// and six parts of 8 MiB (feature/s3/transfermanager, nextReader and partPool).
	s3Parts = 100 << 20
	// s3Workers is the number of layers that are sent at a time by default, and
	// s3WorkersKey the attribute for another (cache/remotecache/s3/s3.go).
	s3Workers    = 4
	s3WorkersKey = "upload_parallelism"
	// azblobBlocks is what the SDK of azblob holds: four blocks of 32 MiB, which it
	// allocates one after the other (cache/remotecache/azblob/utils.go).
	azblobBlock  = 32 << 20
	azblobBlocks = 4
)

func s3(size int64) uint64 {
	// The beginning is read into a buffer that grows: twice the size in all.
	return uint64(min(2*max(size, 0), s3Parts))
}

// s3Parallel reads the attribute as upstream does, which has refused an invalid one
// before.
func s3Parallel(attrs map[string]string) int {
	n, err := strconv.Atoi(attrs[s3WorkersKey])
	if err != nil || n < 1 {
		return s3Workers
	}
	return n
}

func azblob(size int64) uint64 {
	blocks := max(size, 0)/azblobBlock + 1
	return uint64(min(blocks, azblobBlocks) * azblobBlock)
}

package uploads

import (
	"strconv"
)

// Cost is what a client holds while it sends a layer of so many bytes, and what it still
// holds when it has read all of it.
type Cost func(size int64) (reading, sending uint64)

// Of returns what an exporter of a type holds for a layer, and how many layers it
// sends at a time with these attributes. The cost is nil if the exporter streams:
// registry, local, inline and gha read a layer in small pieces.
//
// The figures are those of BenchmarkUploadBytes, which sends layers with upstream's
// exporters:
//
//	cd daemon && go test -run '^$' -bench UploadBytes -benchtime 1x ./uploads
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
	// s3Small is the size from which the SDK of s3 sends a layer in parts. It reads as
	// much of any layer at once, for which io.ReadAll needs twice the memory
	// (feature/s3/transfermanager, nextReader). Measured: 2.6 MB for a layer of 1 MiB,
	// 35.0 MB for one of 15.
	s3Small = 16 << 20
	// s3Large is what it holds of a layer in parts: what was read at once, and the parts.
	// Measured: 65.5 MB.
	s3Large = 63 << 20
	// s3Parts are six parts of 8 MiB (partPool), which may be under way when the layer was
	// read.
	s3Parts = 6 * (8 << 20)
	// s3Workers is the number of layers that are sent at a time by default, and
	// s3WorkersKey the attribute for another (cache/remotecache/s3/s3.go).
	s3Workers    = 4
	s3WorkersKey = "upload_parallelism"
	// azblobBlocks is what the SDK of azblob holds of a layer at most: four blocks of
	// 32 MiB (cache/remotecache/azblob/utils.go), which it maps and fills one after the
	// other. Measured: the size of the layer, and 128.4 MiB for one of 200 MiB.
	azblobBlocks = 4 * (32 << 20)
)

func s3(size int64) (reading, sending uint64) {
	if size < s3Small {
		small := uint64(2 * max(size, 0))
		return small, small
	}
	return s3Large, s3Parts
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

func azblob(size int64) (reading, sending uint64) {
	blocks := uint64(min(max(size, 0), azblobBlocks))
	return blocks, blocks
}

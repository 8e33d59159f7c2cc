package conversions

import (
	"github.com/klauspost/compress/zstd"
	"github.com/moby/buildkit/util/compression"
)

// What compressors hold in bytes, as BenchmarkCompressorLiveBytes measures it:
//
//	go test -run '^$' -bench LiveBytes -benchtime 1x ./internal/conversions
//
// From 1 MiB on it does not depend on the size of the layer; below, zstd holds
// less. Upstream does not tell a compressor how large its layer is, so the figures
// are those of layers from 1 MiB on. That of gzip and estargz is at level 1, where
// they hold most.
const (
	gzipBytes        = 1_207_072
	estargzBytes     = 1_330_440
	zstdFastestBytes = 9_548_016
	zstdDefaultBytes = 19_251_120
	zstdBetterBytes  = 22_188_272
	zstdBestBytes    = 53_568_432
)

const (
	// zstdReaderBytes is what the reader of a zstd layer holds that is converted to
	// something else, as BenchmarkDecompressorLiveBytes measures it with GOMAXPROCS=4:
	// it is a quarter more than with 2, and not more with 32. Compressors do not depend
	// on that. Readers of other layers hold less than 100 KiB.
	zstdReaderBytes = 27_335_040
	// bufferBytes is what upstream puts between a compressor and the content store
	// (cache/blobs_linux.go, util/converter), and between a reader and a compressor.
	bufferBytes = (128 + 100) << 10
)

// Cost is what the conversion of one layer to a type holds, in bytes; level nil is
// the default of the type. Levels of zstd are those of upstream
// (util/compression/zstd.go). An unknown type costs as much as the most expensive
// one.
func Cost(t compression.Type, level *int) uint64 {
	switch t.String() {
	case compression.Uncompressed.String():
		return bufferBytes + zstdReaderBytes
	case compression.Gzip.String():
		return bufferBytes + zstdReaderBytes + gzipBytes
	case compression.EStargz.String():
		return bufferBytes + zstdReaderBytes + estargzBytes
	case compression.Zstd.String():
		return bufferBytes + zstdCost(level)
	}
	return bufferBytes + zstdReaderBytes + zstdBestBytes
}

func zstdCost(level *int) uint64 {
	if level == nil {
		return zstdDefaultBytes
	}
	switch zstd.EncoderLevelFromZstd(*level) {
	case zstd.SpeedFastest:
		return zstdFastestBytes
	case zstd.SpeedDefault:
		return zstdDefaultBytes
	case zstd.SpeedBetterCompression:
		return zstdBetterBytes
	}
	return zstdBestBytes
}

// Package conversions makes the compressing of layers wait for memory.
//
// Upstream compresses all layers of a ref at the same time, each with a compressor
// of its own (cache/blobs.go, computeBlobChain): the memory that takes grows with
// the number of layers. A compression type of this package makes the same
// compressors, but waits for memory before it does.
package conversions

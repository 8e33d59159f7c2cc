// Package upstream reproduces the defects of moby/buildkit that the guard makes
// up for, each in its smallest form and through upstream's public packages:
// a real cache manager with a real content store, on chains of a few layers of a
// few bytes.
//
// [Check] tells which of them the buildkit that this program is built with
// still has. docs/upstream.md describes each of them.
package upstream

import "context"

// Defect names a defect of upstream.
type Defect string

const (
	// Product is moby/buildkit issue 6088: a ref has one remote for every
	// combination of the blobs of its layers (cache/remote.go).
	Product Defect = "product"
	// SharedDescriptors is that remotes of the product share slices, so that one
	// overwrites the topmost blob of another (cache/remote.go, appendRemote).
	SharedDescriptors Defect = "sharedDescriptors"
	// WalkOrder is that the blobs of a layer come in the order of a Go map, so
	// that remotes differ from call to call (cache/refs.go, walkBlob).
	WalkOrder Defect = "walkOrder"
	// LazyVariants is moby/buildkit issue 7146: a layer that is not pulled is to
	// be read from the content store, and its record loses its result
	// (cache/remote.go).
	LazyVariants Defect = "lazyVariants"
	// EqualResults is that of several results of a record one is written, and
	// none if that one is gone (cache/remotecache/v1/chains.go, addResult and
	// bestResult).
	EqualResults Defect = "equalResults"
	// InlineVariants is that a record is missing from the inline cache of its
	// image if the layers have variants (cache/remotecache/inline).
	InlineVariants Defect = "inlineVariants"
)

// reproduction plays a defect in a cache of its own and reports whether it is
// there. The error says that it could not be played.
type reproduction func(ctx context.Context, c *smallCache) (bool, error)

// reproductions are in the order of docs/upstream.md.
var reproductions = []struct {
	Defect
	reproduction
}{
	{Product, product},
	{SharedDescriptors, sharedDescriptors},
	{WalkOrder, walkOrder},
	{LazyVariants, lazyVariants},
	{EqualResults, equalResults},
	{InlineVariants, inlineVariants},
}

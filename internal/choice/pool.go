// Package choice says which blob of each layer a cache export writes.
//
// A layer may exist in several blobs: in several compressions, or compressed twice
// in the same one. The blob that a record owns is the one that its image has. An
// image that is rebuilt from the cache has the blobs that were written, so the own
// blob is left only for a reason: because the export asks for another, or because
// it is gone.
package choice

import (
	"cmp"
	"slices"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/pkg/labels"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// CreatedAt is the annotation that says when a layer was made (cache/refs.go,
// ociDesc). Labels of a blob do not keep it, so variants get it from the own blobs
// of their layer.
const CreatedAt = "buildkit/createdat"

// Blob is one blob of a layer, and where to read it.
type Blob struct {
	ocispecs.Descriptor
	Provider content.InfoReaderProvider
	// Local says that the blob is in the store of a worker. Others have to be
	// pulled from where they are.
	Local bool
	// Worker says that a worker answers for the blob, not an importer.
	Worker bool
}

// Layer is a layer of the records that own the same blob of it.
type Layer struct {
	Own Blob
	// Variants are the other blobs that the worker has linked with the own one.
	Variants []Blob
}

// key is what all blobs of a layer have in common: the digest of the uncompressed
// layer. An estargz blob has an entry of its own in it, so its key is not that of
// the blob it was made from (cache/remotecache holds both to be different layers).
func key(desc ocispecs.Descriptor) digest.Digest {
	if uncompressed := desc.Annotations[labels.LabelUncompressed]; uncompressed != "" {
		return digest.Digest(uncompressed)
	}
	return desc.Digest
}

// Pool holds the blobs of all records of an export. The zero value is an empty pool.
// It is not safe for concurrent use.
type Pool struct {
	// layers has the blobs of each layer by its key and their digests.
	blobs map[digest.Digest]map[digest.Digest]pooled
	// layers has each layer once, by its key and its own blob: hundreds of records
	// share most of theirs.
	layers map[[2]digest.Digest]*Layer
}

// pooled is a blob of a layer that may come with several records.
type pooled struct {
	Blob
	own bool // of some record
}

// Add puts the blobs of a layer of a record into the pool, and returns the layer,
// which is the same for all records that own the same blob. The slice of variants is not kept.
func (p *Pool) Add(l Layer) *Layer {
	if p.blobs == nil {
		p.blobs = make(map[digest.Digest]map[digest.Digest]pooled)
		p.layers = make(map[[2]digest.Digest]*Layer)
	}
	k := key(l.Own.Descriptor)
	id := [2]digest.Digest{k, l.Own.Digest}
	known := p.layers[id]
	if known != nil && known.tells(l) {
		return known
	}
	p.addBlob(k, pooled{l.Own, true})
	for _, v := range l.Variants {
		p.addBlob(k, pooled{v, false})
	}
	if known == nil {
		known = &Layer{Own: l.Own}
		p.layers[id] = known
	}
	known.add(l.Variants)
	return known
}

// tells reports whether the blobs of another layer with the same own blob would add nothing
// to those of this one, as with most records of an export.
func (l *Layer) tells(other Layer) bool {
	return l.Own.tells(other.Own) && slices.EqualFunc(l.Variants, other.Variants, Blob.tells)
}

// tells reports whether another blob is the same one from the same kind of place, made at the
// same time.
func (b Blob) tells(other Blob) bool {
	return b.Digest == other.Digest && b.Local == other.Local && b.Worker == other.Worker &&
		b.Annotations[CreatedAt] == other.Annotations[CreatedAt]
}

// add adds variants in the order of their digests. Two workers may know different
// ones of the same blob.
func (l *Layer) add(variants []Blob) {
	for _, v := range variants {
		i, ok := slices.BinarySearchFunc(l.Variants, v.Digest, func(known Blob, dgst digest.Digest) int {
			return cmp.Compare(known.Digest, dgst)
		})
		if !ok {
			l.Variants = slices.Insert(l.Variants, i, v)
		}
	}
}

// addBlob adds a blob of a layer. Several records may have the same one: the order of
// the records must not show in what is written.
func (p *Pool) addBlob(k digest.Digest, b pooled) {
	if p.blobs[k] == nil {
		p.blobs[k] = make(map[digest.Digest]pooled)
	}
	known, ok := p.blobs[k][b.Digest]
	if order := compareOrigins(b, known); !ok || order < 0 || order == 0 && older(b.Descriptor, known.Descriptor) {
		p.blobs[k][b.Digest] = b
	}
}

// compareOrigins orders blobs by where they come from. A local blob comes before one
// that has to be pulled, one that a worker answers for before one that only an
// importer can read, and one that some record owns before variants.
func compareOrigins(a, b pooled) int {
	return cmp.Or(compareTrue(a.Local, b.Local), compareTrue(a.Worker, b.Worker), compareTrue(a.own, b.own))
}

// compareTrue orders what is true first.
func compareTrue(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// older reports whether a blob is known to be of an earlier time than another.
func older(a, b ocispecs.Descriptor) bool {
	created, ok := a.Annotations[CreatedAt]
	than, known := b.Annotations[CreatedAt]
	return ok && (!known || created < than)
}

// candidates are all blobs that can stand for a layer of a record: its own, then its
// variants, then blobs of the same layer that only other records have.
func (p *Pool) candidates(l *Layer) []Blob {
	known := p.blobs[key(l.Own.Descriptor)]
	all := []Blob{known[l.Own.Digest].Blob}
	for _, v := range l.Variants {
		all = append(all, known[v.Digest].Blob)
	}
	var others []pooled
	for dgst, b := range known {
		if !slices.ContainsFunc(all, func(c Blob) bool { return c.Digest == dgst }) {
			others = append(others, b)
		}
	}
	slices.SortFunc(others, func(a, b pooled) int {
		return cmp.Or(compareOrigins(a, b), cmp.Compare(a.Digest, b.Digest))
	})
	for _, b := range others {
		all = append(all, b.Blob)
	}
	return all
}

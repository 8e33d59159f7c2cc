package scan

import (
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io"
	"math/bits"
)

// The format of a bolt database (go.etcd.io/bbolt/internal/common, meta.go and page.go).
// Numbers are in the order of the machine's own bytes.
const (
	headerSize   = 16
	metaSize     = 64
	metaMagic    = 0xED0CDAED
	metaVersion  = 2
	leastPage    = 1 << 10
	mostPage     = 1 << 25
	metaSumStart = 56
)

var errNoDatabase = errors.New("not a bolt database, or one with a damaged header")

// meta is the state of a bolt database after its last transaction. A transaction writes to
// pages that the state before does not use, then its own meta to one of the first two pages.
type meta struct {
	pageSize int64
	// root is the page of the root bucket, pages the number of pages in use.
	root, pages uint64
	// transaction is the number of the transaction.
	transaction uint64
}

// readMeta reads the newer one of the two metas that is whole. The other one may just be
// written.
func readMeta(file io.ReaderAt) (meta, error) {
	first, err := metaAt(file, 0)
	if errors.Is(err, errNoDatabase) {
		// Only the first meta would have told where the second one is.
		for size := int64(leastPage); size <= mostPage; size <<= 1 {
			second, err := metaAt(file, size)
			if err == nil && second.pageSize == size {
				return second, nil
			}
		}
	}
	if err != nil {
		return meta{}, err
	}
	second, err := metaAt(file, first.pageSize)
	if err == nil && second.pageSize == first.pageSize && second.transaction > first.transaction {
		return second, nil
	}
	if err != nil && !errors.Is(err, errNoDatabase) {
		return meta{}, err
	}
	return first, nil
}

// metaAt reads the meta of the page at an offset.
func metaAt(file io.ReaderAt, offset int64) (meta, error) {
	var page [headerSize + metaSize]byte
	if _, err := file.ReadAt(page[:], offset); err != nil {
		if errors.Is(err, io.EOF) {
			return meta{}, errNoDatabase
		}
		return meta{}, err
	}
	data, order := page[headerSize:], binary.NativeEndian
	sum := fnv.New64a()
	_, _ = sum.Write(data[:metaSumStart]) // never fails
	size := order.Uint32(data[8:])
	if order.Uint32(data) != metaMagic || order.Uint32(data[4:]) != metaVersion || order.Uint64(data[metaSumStart:]) != sum.Sum64() ||
		size < leastPage || size > mostPage || bits.OnesCount32(size) != 1 {
		return meta{}, errNoDatabase
	}
	return meta{
		pageSize:    int64(size),
		root:        order.Uint64(data[16:]),
		pages:       order.Uint64(data[40:]),
		transaction: order.Uint64(data[48:]),
	}, nil
}

package memory

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/containerd/containerd/v2/core/content"
	digest "github.com/opencontainers/go-digest"
)

// Readers opens readers that hold memory until they are closed. Those of one blob that
// are open at the same time share a hold, without a wait: upstream opens a second reader
// to look at a blob while it has the first (util/compression, decompress), and who holds
// memory must not wait for more. Readers are made by NewReaders. It is safe for
// concurrent use.
type Readers struct {
	line  *Line
	kind  Kind
	bytes uint64

	mu sync.Mutex
	// open has the blobs with open readers, protected by mu.
	open map[digest.Digest]*openBlob
}

// openBlob is a blob with open readers; all fields are protected by the mutex of its
// Readers.
type openBlob struct {
	readers int
	// holds are more than one if several readers have waited at the same time.
	holds []*Hold
}

// NewReaders returns readers that hold bytes for each blob.
func NewReaders(l *Line, kind Kind, bytes uint64) *Readers {
	return &Readers{line: l, kind: kind, bytes: bytes, open: make(map[digest.Digest]*openBlob)}
}

// Open returns a reader of a blob that holds memory from now until it is closed; each
// read renews the hold. The inner reader is closed with it, and at once if the wait
// fails. The error is that of [Line.Acquire].
func (r *Readers) Open(ctx context.Context, dgst digest.Digest, inner content.ReaderAt) (content.ReaderAt, error) {
	shared := &sharedReader{ReaderAt: inner, readers: r, dgst: dgst}
	if r.join(dgst) {
		return shared, nil
	}
	hold, err := r.line.Acquire(ctx, r.kind, r.bytes)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("wait for the memory of a reader: %w", err), inner.Close())
	}
	r.add(dgst, hold)
	return shared, nil
}

// join adds a reader to a blob that is open, and reports whether it is.
func (r *Readers) join(dgst digest.Digest) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	blob, ok := r.open[dgst]
	if ok {
		blob.readers++
	}
	return ok
}

// add adds a reader to a blob, with a hold of its own.
func (r *Readers) add(dgst digest.Digest, hold *Hold) {
	r.mu.Lock()
	defer r.mu.Unlock()
	blob, ok := r.open[dgst]
	if !ok {
		blob = &openBlob{}
		r.open[dgst] = blob
	}
	blob.readers++
	blob.holds = append(blob.holds, hold)
}

// renew renews the holds of a blob.
func (r *Readers) renew(dgst digest.Digest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if blob, ok := r.open[dgst]; ok {
		for _, hold := range blob.holds {
			hold.Renew()
		}
	}
}

// leave takes a reader from a blob, and gives back the memory with the last one.
func (r *Readers) leave(dgst digest.Digest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	blob := r.open[dgst]
	if blob.readers--; blob.readers > 0 {
		return
	}
	delete(r.open, dgst)
	for _, hold := range blob.holds {
		hold.Release()
	}
}

// sharedReader is one of the readers of a blob.
type sharedReader struct {
	content.ReaderAt
	readers *Readers
	dgst    digest.Digest
	once    sync.Once
}

func (r *sharedReader) ReadAt(p []byte, off int64) (int, error) {
	r.readers.renew(r.dgst)
	return r.ReaderAt.ReadAt(p, off)
}

func (r *sharedReader) Close() error {
	defer r.once.Do(func() { r.readers.leave(r.dgst) })
	return r.ReaderAt.Close()
}

package memory

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/containerd/v2/core/content"
)

// reader is a reader that holds memory until it is closed.
type reader struct {
	content.ReaderAt
	hold *Hold
}

// AcquireReader returns a reader that holds memory from now until it is closed; each
// read renews the hold. The inner reader is closed with it, and at once if the
// wait fails. The error is that of [Line.Acquire].
func AcquireReader(ctx context.Context, l *Line, kind Kind, bytes uint64, inner content.ReaderAt) (content.ReaderAt, error) {
	hold, err := l.Acquire(ctx, kind, bytes)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("wait for the memory of a reader: %w", err), inner.Close())
	}
	return &reader{ReaderAt: inner, hold: hold}, nil
}

func (r *reader) ReadAt(p []byte, off int64) (int, error) {
	r.hold.Renew()
	return r.ReaderAt.ReadAt(p, off)
}

func (r *reader) Close() error {
	defer r.hold.Release()
	return r.ReaderAt.Close()
}

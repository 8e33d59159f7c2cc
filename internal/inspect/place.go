package inspect

import (
	"context"
	"errors"
	"fmt"
	"io"

	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// readLimit is how many bytes of a manifest or a config are read at most. Nothing of that
// size can be imported, so that nothing is lost by not reading more.
const readLimit = 8 * ImportLimit

// unknownSize is that of a blob in a registry that has it and does not tell.
const unknownSize = -1

// Place is where caches are: a [Registry] or a [Directory].
type Place interface {
	// roots are the manifests that an import could begin with.
	roots(ctx context.Context) ([]root, error)
	// manifest and blob read what has a digest. The error is errMissing, errTooLarge or
	// errCorrupt if the place has nothing, too much or something else under that digest.
	manifest(ctx context.Context, dgst digest.Digest) ([]byte, error)
	blob(ctx context.Context, dgst digest.Digest) ([]byte, error)
	// size is that of a blob, in bytes or unknownSize, or the error errMissing.
	size(ctx context.Context, dgst digest.Digest) (int64, error)
}

// root is a manifest that an import can begin with.
type root struct {
	name string
	ocispecs.Descriptor
}

var (
	errMissing  = errors.New("is missing")
	errTooLarge = fmt.Errorf("has more than %d bytes and is not read", readLimit)
	errCorrupt  = errors.New("is not what its digest says")
)

// aboutContent tells errors that are a property of the cache from those of the way to it.
func aboutContent(err error) bool {
	return errors.Is(err, errMissing) || errors.Is(err, errTooLarge) || errors.Is(err, errCorrupt)
}

// readVerified reads content up to the limit, and compares it with its digest.
func readVerified(r io.Reader, dgst digest.Digest) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, readLimit+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > readLimit:
		return nil, errTooLarge
	case dgst.Algorithm().FromBytes(data) != dgst:
		return nil, errCorrupt
	}
	return data, nil
}

package guard

import (
	"context"
	"fmt"

	"github.com/moby/buildkit/util/bklog"
	"github.com/moby/buildkit/util/progress"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sirupsen/logrus"

	"github.com/bkguard/bkguard/cost"
	"github.com/bkguard/bkguard/internal/choice"
)

// tally adds up what the guard had to do in one export.
type tally struct {
	// records is the number of records whose combinations were not built.
	records int
	// widest is the estimate of the record with the most combinations, avoided
	// the bytes that upstream would have needed for all of them.
	widest  Estimate
	avoided uint64
	// requested is the compression that was asked for, empty without records.
	requested string
	// layers are written, of which blobs are the distinct blobs, and bytes their size.
	// Of replaced layers another blob is written than their record owns.
	layers, blobs int
	bytes         int64
	replaced      int64
	// err is the first failure to look up variants.
	err error
}

// add adds up a record; spared tells that its combinations are not built.
func (t *tally) add(found *finding, spared bool) {
	if found.err != nil && t.err == nil {
		t.err = found.err
	}
	if !spared {
		return
	}
	t.records++
	t.requested = found.requested.String()
	t.avoided = cost.AddSaturating(t.avoided, found.estimate.UpstreamBytes())
	if found.estimate.Log2 > t.widest.Log2 {
		t.widest = found.estimate
	}
}

// write adds up what is written.
func (t *tally) write(c *choice.Choice) {
	blobs := make(map[digest.Digest]struct{})
	c.Layers(func(desc ocispecs.Descriptor) {
		t.layers++
		if _, ok := blobs[desc.Digest]; !ok {
			blobs[desc.Digest] = struct{}{}
			t.bytes += desc.Size
		}
	})
	t.blobs = len(blobs)
	for _, n := range c.Replaced {
		t.replaced += n
	}
	if t.err == nil {
		t.err = c.Err
	}
}

// report writes the one log line of an export, and the line that the user of
// the client sees. What the export writes is said in words, such as "gzip". An
// export that the guard had nothing to do with goes without; it reports whether
// it has written any.
func (t *tally) report(ctx context.Context, e *export, writes string) bool {
	entry := bklog.G(ctx).WithFields(logrus.Fields{
		"exporter": e.exporterType, "session": e.session, "cache": e.cache,
		"blobs": t.blobs, "bytes": t.bytes, "replaced": t.replaced,
	})
	if t.records > 0 {
		entry = entry.WithFields(fields(t.widest)).WithFields(logrus.Fields{
			"records": t.records, "avoided": t.avoided, "compression": t.requested,
		})
		_ = progress.OneOff(ctx, fmt.Sprintf("cache guard: %d layers in %d compressions, %s combinations avoided, exporting %s",
			t.widest.Layers, t.widest.Compressions, t.widest.Combinations(), writes))(nil)
	}
	switch {
	case t.err != nil:
		entry.WithError(t.err).Warn("variants not looked up")
	case t.records > 0:
		entry.Info("combinations spared")
	}
	return t.err != nil || t.records > 0
}

// debug logs a record of which not all is known, or whose combinations are spared.
func (f *finding) debug(ctx context.Context, spared bool) {
	entry := bklog.G(ctx).WithFields(fields(f.estimate)).WithField("compression", f.requested.String())
	switch {
	case f.err != nil:
		entry.WithError(f.err).Debug("variants of a record not looked up")
	case spared:
		entry.Debug("combinations of a record spared")
	}
}

// fields describe an estimate in a log line; avoided is in bytes.
func fields(e Estimate) logrus.Fields {
	return logrus.Fields{
		"layers":       e.Layers,
		"compressions": e.Compressions,
		"remotes":      e.Combinations(),
		"avoided":      e.UpstreamBytes(),
	}
}

// Package uploads makes the sending of layers wait for memory.
//
// The clients of some cache backends hold large parts of a layer while they send
// it. That begins when an exporter of upstream opens a layer, but no reader tells
// when it ends: the exporter for azblob never closes one
// (cache/remotecache/azblob/exporter.go), and that for s3 closes all of them when
// a goroutine has sent its last layer (cache/remotecache/s3/s3.go). Their progress
// tells it.
package uploads

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/containerd/containerd/v2/core/content"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/bkguard/bkguard/internal/memory"
)

// Layers opens the layers that one export sends, when there is memory for them. A
// layer has been sent when the progress of the exporter says so ([Layers.Step]), or
// when it is closed; or it must have been, when the exporter asks for one more than
// the fixed number that it sends at a time. Layers are made by New. A nil one opens every
// layer at once. It is safe for concurrent use.
type Layers struct {
	line     *memory.Line
	cost     Cost
	parallel int

	mu sync.Mutex
	// asking is the number of goroutines of the exporter that want a layer and so
	// send none; open are the layers that may be under way, oldest first. Both are
	// protected by mu.
	asking int
	open   []*layer
}

// New returns the layers of an export whose exporter sends at most parallel of them
// at a time, each of which costs what cost says. It is nil without a cost.
func New(line *memory.Line, cost Cost, parallel int) *Layers {
	if cost == nil {
		return nil
	}
	return &Layers{line: line, cost: cost, parallel: parallel}
}

// ReaderAt opens a layer of the provider and waits for the memory of its upload. A
// lazy layer is pulled before it waits. The error is that of the provider, or the
// cause of the end of ctx.
func (l *Layers) ReaderAt(ctx context.Context, provider content.Provider, desc ocispecs.Descriptor) (content.ReaderAt, error) {
	ra, err := provider.ReaderAt(ctx, desc)
	if err != nil || l == nil {
		return ra, err
	}
	l.ask()
	reading, sending := l.cost(ra.Size())
	hold, err := l.line.Acquire(ctx, memory.Upload, reading)
	opened := &layer{ReaderAt: ra, layers: l, dgst: desc.Digest, hold: hold, sending: sending}
	l.answer(opened, err)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("wait for the memory of an upload: %w", err), ra.Close())
	}
	return opened, nil
}

// ask notes a goroutine that wants a layer, and releases layers that must have been
// sent: those that were read to their end first.
func (l *Layers) ask() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asking++
	for len(l.open) > max(l.parallel-l.asking, 0) {
		sent := max(slices.IndexFunc(l.open, func(o *layer) bool { return o.read.Load() }), 0)
		l.open[sent].hold.Release()
		l.open = slices.Delete(l.open, sent, sent+1)
	}
}

// answer notes a goroutine that has got its layer, or has failed to.
func (l *Layers) answer(opened *layer, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asking--
	if err == nil {
		l.open = append(l.open, opened)
	}
}

// closed notes a layer that its exporter has closed.
func (l *Layers) closed(o *layer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	o.hold.Release()
	l.open = slices.DeleteFunc(l.open, func(open *layer) bool { return open == o })
}

// Release gives back the memory of all layers. Call it when the export has ended.
func (l *Layers) Release() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, o := range l.open {
		o.hold.Release()
	}
	l.open = nil
}

// layer is the reader of a layer that is sent.
type layer struct {
	content.ReaderAt
	layers *Layers
	dgst   digest.Digest
	hold   *memory.Hold
	// sending is what is held when the last byte was read, in bytes.
	sending uint64
	// read tells that the last byte was read.
	read atomic.Bool
}

func (o *layer) ReadAt(p []byte, off int64) (int, error) {
	o.hold.Renew()
	n, err := o.ReaderAt.ReadAt(p, off)
	if off+int64(n) >= o.Size() {
		o.read.Store(true)
		o.hold.Shrink(o.sending)
	}
	return n, err
}

func (o *layer) Close() error {
	o.layers.closed(o)
	return o.ReaderAt.Close()
}

package memory

import (
	"context"
	"slices"
	"sync/atomic"
	"time"
)

// lookInterval is how often those who wait look for holds that have expired.
const lookInterval = 10 * time.Second

// Kind is what memory is held for.
type Kind string

// The kinds of work that wait for memory.
const (
	// Conversion is the compressing of one layer.
	Conversion Kind = "conversion"
	// Upload is the sending of one layer.
	Upload Kind = "upload"
)

// Kinds lists every kind of work.
func Kinds() []Kind { return []Kind{Conversion, Upload} }

// Line is where the layers of one export wait for memory, first come, first
// served. The lines of a gate take turns, so that a layer of a small export does
// not stand behind all layers of a large one. Lines are made by [Gate.Line]. A nil
// line lets everything through. It is safe for concurrent use.
type Line struct {
	gate   *Gate
	exempt func() bool
	// waiting is protected by the mutex of the gate.
	waiting []*work
}

// work is a piece of work that waits.
type work struct {
	kind  Kind
	bytes uint64
	// admitted is closed when the wait is over; hold, which is set before, is nil
	// if the work was let through.
	admitted chan struct{}
	hold     *Hold
}

// Line returns a new line. While exempt returns true, nothing in the line waits or
// holds anything; nil means never. The function must not call the gate.
func (g *Gate) Line(exempt func() bool) *Line {
	if exempt == nil {
		exempt = func() bool { return false }
	}
	return &Line{gate: g, exempt: exempt}
}

// Acquire waits until bytes of the budget are free, and returns the hold on them,
// which the caller has to release. It is nil if the line is exempt. The caller
// must not have another hold of the gate.
//
// The error is the cause of the end of ctx; then nothing is held.
func (l *Line) Acquire(ctx context.Context, kind Kind, bytes uint64) (*Hold, error) {
	if l == nil || l.exempt() {
		return nil, nil
	}
	g := l.gate
	w := &work{kind: kind, bytes: bytes, admitted: make(chan struct{})}
	start := time.Now()
	g.join(l, w)
	err := g.await(ctx, l, w)
	if g.waited != nil && err == nil {
		g.waited(kind, time.Since(start))
	}
	return w.hold, err
}

// join puts a piece of work at the end of its line.
func (g *Gate) join(l *Line, w *work) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(l.waiting) == 0 {
		g.lines = append(g.lines, l)
	}
	l.waiting = append(l.waiting, w)
	g.waiting[w.kind]++
	g.admit()
}

// await returns when a piece of work is admitted, or when ctx has ended.
func (g *Gate) await(ctx context.Context, l *Line, w *work) error {
	// The line may have become exempt before the work was in it.
	if l.exempt() {
		g.Recheck()
	}
	select {
	case <-w.admitted:
		return nil
	default:
	}
	ticker := time.NewTicker(lookInterval)
	defer ticker.Stop()
	for {
		select {
		case <-w.admitted:
			return nil
		case <-ticker.C:
			g.expire()
		case <-ctx.Done():
			g.giveUp(l, w)
			return context.Cause(ctx)
		}
	}
}

// giveUp takes a piece of work out of its line, or gives back what it was given at
// the last moment.
func (g *Gate) giveUp(l *Line, w *work) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(l.waiting, w); i >= 0 {
		g.remove(l, i)
		g.admit()
		return
	}
	if g.drop(w.hold) {
		g.admit()
	}
	w.hold = nil
}

// Hold is memory of a gate that a piece of work holds. A nil hold holds nothing. It
// is safe for concurrent use.
type Hold struct {
	gate *Gate
	kind Kind
	// bytes is protected by the mutex of the gate.
	bytes   uint64
	renewed atomic.Value // of time.Time
}

// Renew tells that the work makes progress. A hold that is not renewed for five
// minutes is taken back when others want memory.
func (h *Hold) Renew() {
	if h != nil {
		h.renewed.Store(time.Now())
	}
}

// Shrink gives back what is more than so many bytes. A hold that has no more is left as it
// is.
func (h *Hold) Shrink(bytes uint64) {
	if h != nil {
		h.gate.shrink(h, bytes)
	}
}

// Release gives the memory back. Releasing twice is fine.
func (h *Hold) Release() {
	if h == nil {
		return
	}
	h.gate.release(h)
}

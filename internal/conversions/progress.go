package conversions

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/identity"
	"github.com/moby/buildkit/util/progress"
	"golang.org/x/time/rate"
)

// Progress tells the client of a build how far the conversions of one export are,
// in a line a second under the step of the export. A nil progress tells nobody. It
// is safe for concurrent use.
type Progress struct {
	mu sync.Mutex
	// all layers have asked for a compressor, ended of them have had it, and
	// running have it now; at most most had it at the same time. All are protected
	// by mu.
	all, ended, running, most int
	// lines limits the output, protected by mu.
	lines rate.Sometimes
}

// NewProgress returns the progress of an export that begins now.
func NewProgress() *Progress {
	p := &Progress{lines: rate.Sometimes{Interval: time.Second}}
	p.lines.Do(func() {}) // what takes less than a second needs no line
	return p
}

// wait notes a layer that needs a compressor.
func (p *Progress) wait() {
	if p != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.all++
	}
}

// giveUp notes a layer that needs none any more.
func (p *Progress) giveUp() {
	if p != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.all--
	}
}

// begin notes a layer that has a compressor.
func (p *Progress) begin() {
	if p != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.running++
		p.most = max(p.most, p.running)
	}
}

// end notes a layer that is done with its compressor, and says how far all are.
func (p *Progress) end(ctx context.Context, compression string) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running--
	p.ended++
	p.lines.Do(func() {
		pw, _, _ := progress.NewFromContext(ctx)
		defer pw.Close()
		// Without an answer the build goes on: it is only the client who would
		// have liked to know.
		_ = pw.Write(identity.NewID(), client.VertexLog{
			Stream: 1,
			Data:   fmt.Appendf(nil, "converting layers to %s: %d of %d, %d at a time\n", compression, p.ended, p.all, p.most),
		})
	})
}

package uploads

import (
	"slices"
	"strings"

	digest "github.com/opencontainers/go-digest"

	"github.com/bkguard/bkguard/internal/steps"
)

// Step takes note of a step of the exporter ([steps.Watch]): the memory of a layer is given
// back when it was sent. Without that, a layer would be taken for one that is under way
// until its exporter asks for more of them than it sends at a time.
func (l *Layers) Step(step string, completed bool) {
	dgst, ok := strings.CutPrefix(step, steps.WritingLayer)
	if l == nil || !ok || !completed {
		return
	}
	// Nobody sends a blob twice at a time.
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = slices.DeleteFunc(l.open, func(o *layer) bool {
		if o.dgst != digest.Digest(dgst) {
			return false
		}
		o.hold.Release()
		return true
	})
}

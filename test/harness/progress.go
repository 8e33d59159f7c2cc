package harness

import (
	"fmt"
	"io"
	"time"
)

// heartbeat is how often a step that takes long says that it is still there.
const heartbeat = 5 * time.Second

// Progress writes what a program is doing, with the time since its start. It is
// not safe for concurrent use.
type Progress struct {
	out   io.Writer
	start time.Time
}

// NewProgress returns a Progress whose time begins now.
func NewProgress(out io.Writer) *Progress {
	return &Progress{out: out, start: time.Now()}
}

// Step announces f, runs it, and returns how long it took and its error.
func (p *Progress) Step(what string, f func() error) (time.Duration, error) {
	began := time.Now()
	p.line(what)
	done := make(chan error)
	go func() { done <- f() }()
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		select {
		case err := <-done:
			return time.Since(began), err
		case <-ticker.C:
			p.line(fmt.Sprintf("%s: still at it after %.0fs", what, time.Since(began).Seconds()))
		}
	}
}

func (p *Progress) line(text string) {
	fmt.Fprintf(p.out, "%6.1fs  %s\n", time.Since(p.start).Seconds(), text)
}

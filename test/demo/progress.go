package main

import (
	"fmt"
	"io"
	"time"
)

// heartbeat is how often a step that takes long says that it is still there.
const heartbeat = 5 * time.Second

// progress writes what is being done, with the time since the start.
type progress struct {
	out   io.Writer
	start time.Time
}

func newProgress(out io.Writer) *progress {
	return &progress{out: out, start: time.Now()}
}

// step runs f, and returns how long it took.
func (p *progress) step(what string, f func() error) (time.Duration, error) {
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

func (p *progress) line(text string) {
	fmt.Fprintf(p.out, "%6.1fs  %s\n", time.Since(p.start).Seconds(), text)
}

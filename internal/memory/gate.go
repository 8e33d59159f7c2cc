package memory

import (
	"math"
	"math/bits"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/moby/buildkit/util/bklog"
)

// lease is how long work may hold memory without making use of it. Upstream does
// not close every reader (issue 7374), and what is never given back must not stop
// all others. A conversion or an upload that is alive reads or writes far more
// often.
const lease = 5 * time.Minute

// leastGarbage is how much memory, in bytes, is given back at least before the gate
// has it collected. Memory is free when it was collected, not when it was given back:
// the runtime would let as much garbage pile up as there is memory in use, and take a
// compressor that has just been closed for one in use.
const leastGarbage = 32 << 20

// Gate hands out one memory budget to all exports of a process. Work that needs
// memory for a while waits for it in a [Line]; what is not worth waiting for is
// taken at once or refused ([Gate.Take]). Gates are made by NewGate. A gate is
// safe for concurrent use.
//
// Nobody waits while holding memory of the gate: a piece of work acquires once
// and gives back before it acquires again. So there is no circle of waiting, and
// no deadlock.
type Gate struct {
	max     uint64
	compute int
	waited  func(Kind, time.Duration)

	mu sync.Mutex
	// taken is what Take has handed out, in bytes, protected by mu.
	taken uint64
	// holds are those of the work that runs; held is their sum in bytes, running
	// their number by kind. All are protected by mu.
	holds   map[*Hold]struct{}
	held    uint64
	running map[Kind]int
	// lines have work that waits, and the first has the next turn; waiting is the
	// number of pieces of work by kind. Both are protected by mu.
	lines   []*Line
	waiting map[Kind]int
	// garbage is what was given back since the last collection, in bytes, protected by
	// mu.
	garbage uint64
	// expired counts the holds that were taken back, protected by mu.
	expired int64
	// toldAlone says that the log knows of work larger than the budget, protected
	// by mu.
	toldAlone bool
}

// NewGate returns a gate with a budget in bytes. No more conversions than compute
// run at a time: more of them than the machine has use for would only hold
// memory. The function is told how long each piece of work has waited; nil means
// nobody wants to know.
func NewGate(budget uint64, compute int, waited func(Kind, time.Duration)) *Gate {
	return &Gate{
		max:     budget,
		compute: compute,
		waited:  waited,
		holds:   make(map[*Hold]struct{}),
		running: make(map[Kind]int),
		waiting: make(map[Kind]int),
	}
}

// Budget is what the gate hands out, in bytes.
func (g *Gate) Budget() uint64 { return g.max }

// Take takes bytes of the budget without waiting, unless they do not fit; free
// gives them back. Work in a line comes first, as it cannot do without.
func (g *Gate) Take(n uint64) (free func(), ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.lines) > 0 {
		return nil, false
	}
	if !g.fits(n) {
		g.dropIdle()
	}
	if !g.fits(n) {
		return nil, false
	}
	g.taken += n
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.taken -= n
		g.admit()
	}, true
}

// fits reports whether the budget has so many bytes left; mu is held.
func (g *Gate) fits(n uint64) bool {
	sum, carry := bits.Add64(g.held, g.taken, 0)
	sum, carry2 := bits.Add64(sum, n, 0)
	return carry == 0 && carry2 == 0 && sum <= g.max
}

// admit lets in what has its turn and fits; mu is held. Lines take turns. Who has
// the turn and finds too little memory is waited for, so that large work is not
// passed by small work for ever. A conversion that lacks the machine, not memory,
// lets others pass: they will not take what it waits for.
func (g *Gate) admit() {
	for i := 0; i < len(g.lines); {
		line := g.lines[i]
		next := line.waiting[0]
		if next.kind == Conversion && g.running[Conversion] >= g.compute {
			i++
			continue
		}
		// One piece of work may always run, even if it needs more than there is.
		if !g.fits(next.bytes) && len(g.holds) > 0 {
			return
		}
		g.remove(line, 0)
		g.endTurn(line)
		next.hold = g.hold(next)
		close(next.admitted)
	}
}

// hold hands memory to a piece of work; mu is held.
func (g *Gate) hold(w *work) *Hold {
	h := &Hold{gate: g, kind: w.kind, bytes: w.bytes}
	h.Renew()
	g.holds[h] = struct{}{}
	g.held += h.bytes
	g.running[h.kind]++
	if h.bytes > g.max && !g.toldAlone {
		g.toldAlone = true
		bklog.L.WithField("kind", h.kind).WithField("bytes", h.bytes).WithField("budget", g.max).
			Warn("the memory budget is too small for one layer, which runs alone")
	}
	return h
}

// remove takes the i-th piece of work out of its line; mu is held.
func (g *Gate) remove(line *Line, i int) {
	g.waiting[line.waiting[i].kind]--
	line.waiting = slices.Delete(line.waiting, i, i+1)
	if len(line.waiting) == 0 {
		g.lines = slices.DeleteFunc(g.lines, func(l *Line) bool { return l == line })
	}
}

// endTurn moves a line that has more work behind all others; mu is held.
func (g *Gate) endTurn(line *Line) {
	if i := slices.Index(g.lines, line); i >= 0 {
		g.lines = append(slices.Delete(g.lines, i, i+1), line)
	}
}

// release gives back a hold, if the gate has not taken it back before.
func (g *Gate) release(h *Hold) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.drop(h) {
		return
	}
	if g.garbage += h.bytes; g.garbage >= max(g.max/2, leastGarbage) {
		g.garbage = 0
		g.mu.Unlock()
		runtime.GC()
		g.mu.Lock()
	}
	g.admit()
}

// shrink makes a hold smaller, if the gate has not taken it back before.
func (g *Gate) shrink(h *Hold, bytes uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, ok := g.holds[h]; !ok || bytes >= h.bytes {
		return
	}
	g.held -= h.bytes - bytes
	g.garbage += h.bytes - bytes
	h.bytes = bytes
	g.admit()
}

// drop forgets a hold and reports whether there was one, which nil is not; mu is held. The
// caller calls admit.
func (g *Gate) drop(h *Hold) bool {
	if _, ok := g.holds[h]; !ok {
		return false
	}
	delete(g.holds, h)
	g.held -= h.bytes
	g.running[h.kind]--
	return true
}

// expire lets in who waits for memory that is not made use of.
func (g *Gate) expire() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dropIdle()
	// All are dropped by now: their order does not decide who is let in.
	g.admit()
}

// dropIdle takes back what nobody has made use of for the length of a lease; mu is
// held. The caller calls admit.
func (g *Gate) dropIdle() {
	for h := range g.holds {
		idle := time.Since(h.renewed.Load().(time.Time))
		if idle < lease {
			continue
		}
		g.drop(h)
		g.expired++
		bklog.L.WithField("kind", h.kind).WithField("bytes", h.bytes).WithField("idle", idle.Round(time.Second)).
			Warn("memory taken back from a layer that makes no progress")
	}
}

// Recheck lets all work through whose line is exempt by now. Call it when that may
// have changed.
func (g *Gate) Recheck() {
	g.mu.Lock()
	lines := slices.Clone(g.lines)
	g.mu.Unlock()
	for _, line := range lines {
		// The function may want a lock under which somebody else calls the gate.
		if line.exempt() {
			g.mu.Lock()
			for len(line.waiting) > 0 {
				next := line.waiting[0]
				g.remove(line, 0)
				close(next.admitted)
			}
			g.admit()
			g.mu.Unlock()
		}
	}
}

// Status is what a gate is doing, in a form for JSON.
type Status struct {
	// Budget is what may be held, and Held what is, in bytes.
	Budget uint64 `json:"budget"`
	Held   uint64 `json:"held"`
	// Running and Waiting are pieces of work by kind.
	Running map[Kind]int `json:"running"`
	Waiting map[Kind]int `json:"waiting"`
	// Expired counts pieces of work that lost their memory as they made no
	// progress.
	Expired int64 `json:"expired"`
}

// Status returns what the gate is doing at this moment.
func (g *Gate) Status() Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := Status{
		Budget:  g.max,
		Running: make(map[Kind]int),
		Waiting: make(map[Kind]int),
		Expired: g.expired,
	}
	held, carry := bits.Add64(g.held, g.taken, 0)
	if s.Held = held; carry > 0 {
		s.Held = math.MaxUint64
	}
	for _, kind := range Kinds() {
		s.Running[kind], s.Waiting[kind] = g.running[kind], g.waiting[kind]
	}
	return s
}

package memory

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// piece is a piece of work of the model, with the real one beside it.
type piece struct {
	line  int
	kind  Kind
	bytes uint64
	state pieceState
	// renewed is when the piece was admitted, or made progress for the last time.
	renewed time.Time

	cancel   context.CancelCauseFunc
	hold     *Hold
	err      error
	returned bool
}

// pieceState is where the model has a piece of work.
type pieceState string

const (
	waits     pieceState = "waits"
	holds     pieceState = "holds"
	exempted  pieceState = "is let through"
	cancelled pieceState = "is cancelled"
	ended     pieceState = "has ended"
)

// errCancelled is the cause of the end of a piece of work.
var errCancelled = errors.New("cancelled by the test")

// modelLine is a line of the model.
type modelLine struct {
	line    *Line
	exempt  bool
	waiting []*piece // first come, first served
}

// model says what a gate must do, by what its comments promise: within a line first
// come, first served; lines take turns; who has the turn is waited for, unless it
// lacks the machine only; one piece of work may always run.
type model struct {
	gate    *Gate
	budget  uint64
	compute int
	lines   []*modelLine
	turns   []int // lines with work that waits, in the order of their turns
	pieces  []*piece
	taken   []uint64
	frees   []func()
	expired int64
	// passed counts, for the upload at the head of a line, how often each other
	// line had a turn since it is the head.
	passed map[*piece]map[int]int
}

// operation is one step of a test: what it does, with which of the lines or pieces
// of work, and how many bytes it is about.
type operation struct {
	what, of, class byte
	bytes           uint64
}

const modelLines = 4

func newModel(budget uint64, compute int) *model {
	m := &model{gate: NewGate(budget, compute, nil), budget: budget, compute: compute, passed: make(map[*piece]map[int]int)}
	for range modelLines {
		l := &modelLine{}
		l.line = m.gate.Line(func() bool { return l.exempt })
		m.lines = append(m.lines, l)
	}
	return m
}

// sum is what the model has handed out, without bounds.
func (m *model) sum() *big.Int {
	s := new(big.Int)
	for _, n := range m.taken {
		s.Add(s, new(big.Int).SetUint64(n))
	}
	for _, p := range m.in(holds) {
		s.Add(s, new(big.Int).SetUint64(p.bytes))
	}
	return s
}

// fits reports whether n more bytes are within the budget.
func (m *model) fits(n uint64) bool {
	with := new(big.Int).Add(m.sum(), new(big.Int).SetUint64(n))
	return with.Cmp(new(big.Int).SetUint64(m.budget)) <= 0
}

// in returns the pieces of work in a state, in the order in which they came.
func (m *model) in(s pieceState) (found []*piece) {
	for _, p := range m.pieces {
		if p.state == s {
			found = append(found, p)
		}
	}
	return found
}

// count is the number of pieces of work of a kind in a state.
func (m *model) count(s pieceState, kind Kind) (n int) {
	for _, p := range m.in(s) {
		if p.kind == kind {
			n++
		}
	}
	return n
}

// settle admits, one after the other, all that the contract lets in.
func (m *model) settle() {
	for m.admitNext() {
	}
}

// admitNext admits the first head of a line that may run, and reports whether there
// is one.
func (m *model) admitNext() bool {
	for _, l := range m.turns {
		head := m.lines[l].waiting[0]
		if head.kind == Conversion && m.count(holds, Conversion) == m.compute {
			continue // lacks the machine: others pass
		}
		if !m.fits(head.bytes) && len(m.in(holds)) > 0 {
			return false // lacks memory: is waited for
		}
		m.leave(head)
		m.turns = slices.DeleteFunc(m.turns, func(other int) bool { return other == l })
		if len(m.lines[l].waiting) > 0 {
			m.turns = append(m.turns, l)
		}
		head.state, head.renewed = holds, time.Now()
		return true
	}
	return false
}

// leave takes a piece of work out of its line, and a line without work out of the
// turns.
func (m *model) leave(p *piece) {
	l := m.lines[p.line]
	l.waiting = slices.DeleteFunc(l.waiting, func(other *piece) bool { return other == p })
	if len(l.waiting) == 0 {
		m.turns = slices.DeleteFunc(m.turns, func(other int) bool { return other == p.line })
	}
}

// expire takes back the holds that were not renewed for a lease.
func (m *model) expire() {
	for _, p := range m.in(holds) {
		if time.Since(p.renewed) >= 5*time.Minute {
			p.state = ended
			m.expired++
		}
	}
}

// size is how many bytes an operation is about.
func (m *model) size(o operation) uint64 {
	upTo := func(n uint64) uint64 {
		if n == math.MaxUint64 {
			return o.bytes
		}
		return o.bytes % (n + 1)
	}
	switch o.class % 6 {
	case 0:
		return upTo(m.budget)
	case 1:
		return upTo(m.budget / 4)
	case 2: // all that is left
		left := new(big.Int).Sub(new(big.Int).SetUint64(m.budget), m.sum())
		if left.Sign() < 0 {
			return 0
		}
		return left.Uint64()
	case 3: // larger than the budget
		if m.budget > math.MaxUint64-100 {
			return math.MaxUint64
		}
		return m.budget + 1 + upTo(50)
	case 4:
		return o.bytes
	}
	return math.MaxUint64
}

// pick chooses one of n by an operation.
func (o operation) pick(n int) int { return int(o.of) % n }

// do carries out one operation, on the model and on the gate.
func (m *model) do(o operation) error {
	switch o.what % 10 {
	case 0, 1:
		m.acquire(o, Conversion)
	case 2, 3:
		m.acquire(o, Upload)
	case 4:
		if held := m.in(holds); len(held) > 0 {
			m.release(held[o.pick(len(held))])
		}
	case 5:
		if waiting := m.in(waits); len(waiting) > 0 {
			p := waiting[o.pick(len(waiting))]
			m.leave(p)
			p.state = cancelled
			m.settle()
			p.cancel(errCancelled)
		}
	case 6:
		return m.take(m.size(o))
	case 7:
		m.free(o)
	case 8:
		m.turn(m.lines[o.pick(modelLines)])
	case 9:
		m.pass(o)
	}
	return nil
}

// acquire lets a new piece of work come.
func (m *model) acquire(o operation, kind Kind) {
	p := &piece{line: o.pick(modelLines), kind: kind, bytes: m.size(o), state: waits}
	l := m.lines[p.line]
	m.pieces = append(m.pieces, p)
	if l.exempt {
		p.state = exempted
	} else {
		if l.waiting = append(l.waiting, p); len(l.waiting) == 1 {
			m.turns = append(m.turns, p.line)
		}
		m.settle()
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	p.cancel = cancel
	go func() {
		p.hold, p.err = l.line.Acquire(ctx, p.kind, p.bytes)
		p.returned = true
	}()
}

// release ends a piece of work. Some end twice.
func (m *model) release(p *piece) {
	p.state = ended
	m.settle()
	p.hold.Release()
	if p.bytes%2 == 0 {
		p.hold.Release()
	}
}

// take takes bytes, which the gate refuses while others wait.
func (m *model) take(n uint64) error {
	want := false
	if len(m.turns) == 0 {
		if want = m.fits(n); !want {
			m.expire()
			want = m.fits(n)
		}
	}
	free, ok := m.gate.Take(n)
	if ok != want {
		return fmt.Errorf("take %d: %t instead of %t", n, ok, want)
	}
	if ok {
		m.taken, m.frees = append(m.taken, n), append(m.frees, free)
	}
	return nil
}

// free gives back bytes that were taken.
func (m *model) free(o operation) {
	if len(m.frees) == 0 {
		return
	}
	i := o.pick(len(m.frees))
	free := m.frees[i]
	m.taken, m.frees = slices.Delete(m.taken, i, i+1), slices.Delete(m.frees, i, i+1)
	m.settle()
	free()
}

// turn makes a line exempt, or ends that.
func (m *model) turn(l *modelLine) {
	l.exempt = !l.exempt
	if l.exempt {
		for _, p := range slices.Clone(l.waiting) {
			m.leave(p)
			p.state = exempted
		}
		m.settle()
	}
	m.gate.Recheck()
}

// pass lets time pass, in which one hold is renewed.
func (m *model) pass(o operation) {
	if held := m.in(holds); len(held) > 0 {
		p := held[o.pick(len(held))]
		p.renewed = time.Now()
		p.hold.Renew()
	}
	// Who waits looks for holds that have expired, every 10 seconds.
	for range 1 + o.bytes%40 {
		time.Sleep(10 * time.Second)
		if len(m.turns) > 0 {
			m.expire()
			m.settle()
		}
		synctest.Wait()
	}
}

// check compares the gate with the model, and holds what must be true whatever the
// model says.
func (m *model) check() error {
	want := Status{
		Budget:  m.budget,
		Held:    math.MaxUint64,
		Running: map[Kind]int{Conversion: m.count(holds, Conversion), Upload: m.count(holds, Upload)},
		Waiting: map[Kind]int{Conversion: m.count(waits, Conversion), Upload: m.count(waits, Upload)},
		Expired: m.expired,
	}
	if sum := m.sum(); sum.IsUint64() {
		want.Held = sum.Uint64()
	}
	if got := m.gate.Status(); fmt.Sprint(got) != fmt.Sprint(want) {
		return fmt.Errorf("status %+v instead of %+v", got, want)
	}
	var running, converting int
	for i, p := range m.pieces {
		if err := p.check(); err != nil {
			return fmt.Errorf("piece %d (%s of %d in line %d): %w", i, p.kind, p.bytes, p.line, err)
		}
		if p.state == holds {
			running++
			if p.kind == Conversion {
				converting++
			}
		}
		for _, later := range m.pieces[i+1:] {
			if later.line == p.line && !p.returned && later.hold != nil {
				return fmt.Errorf("piece %d was passed in its line", i)
			}
		}
	}
	switch sum := m.sum(); {
	case sum.Cmp(new(big.Int).SetUint64(m.budget)) > 0 && running != 1:
		return fmt.Errorf("%s bytes are handed out to %d", sum, running)
	case converting > m.compute:
		return fmt.Errorf("%d conversions run", converting)
	case len(m.turns) > 0 && running == 0:
		return errors.New("all wait for nobody")
	}
	return nil
}

// check compares what has become of a piece of work with the model.
func (p *piece) check() error {
	switch got := *p; {
	case p.state == waits && !got.returned,
		p.state == holds && got.returned && got.err == nil && got.hold != nil,
		p.state == exempted && got.returned && got.err == nil && got.hold == nil,
		p.state == cancelled && got.returned && got.err == errCancelled && got.hold == nil, //nolint:errorlint // the cause itself is promised
		p.state == ended:
		return nil
	}
	return fmt.Errorf("%s: returned %t, hold %t, error %v", p.state, p.returned, p.hold != nil, p.err) //nolint:errorlint // there may be none
}

// checkTurns holds that an upload at the head of its line, which only memory can
// keep from running, waits behind one turn of each other line at most. running are
// the pieces of work that had a hold before the last operation.
func (m *model) checkTurns(running []*piece) error {
	heads := make(map[*piece]bool)
	for _, l := range m.lines {
		if len(l.waiting) > 0 && l.waiting[0].kind == Upload {
			heads[l.waiting[0]] = true
		}
	}
	for head := range m.passed {
		if !heads[head] {
			delete(m.passed, head)
		}
	}
	for head := range heads {
		if m.passed[head] == nil {
			m.passed[head] = make(map[int]int)
			continue // it has become the head just now
		}
		for _, p := range m.pieces {
			if p.hold == nil || p.line == head.line || slices.Contains(running, p) {
				continue
			}
			if m.passed[head][p.line]++; m.passed[head][p.line] > 1 {
				return fmt.Errorf("line %d had two turns while the head of line %d was waiting", p.line, head.line)
			}
		}
	}
	return nil
}

// admitted are the pieces of work that have ever had a hold.
func (m *model) admitted() (found []*piece) {
	for _, p := range m.pieces {
		if p.hold != nil {
			found = append(found, p)
		}
	}
	return found
}

// drain ends all work, and holds that nobody starves and all is given back.
func (m *model) drain() error {
	for len(m.frees) > 0 {
		m.free(operation{})
	}
	synctest.Wait()
	for len(m.in(holds)) > 0 {
		for _, p := range m.in(holds) {
			if p.hold == nil {
				return errors.New("a piece of work that should run does not")
			}
			m.release(p)
		}
		synctest.Wait()
		if err := m.check(); err != nil {
			return err
		}
	}
	// What has ended, or has expired, gives back nothing twice.
	for _, p := range m.pieces {
		p.hold.Renew()
		p.hold.Release()
	}
	want := Status{Budget: m.budget, Running: map[Kind]int{Conversion: 0, Upload: 0}, Waiting: map[Kind]int{Conversion: 0, Upload: 0}, Expired: m.expired}
	if got := m.gate.Status(); fmt.Sprint(got) != fmt.Sprint(want) {
		return fmt.Errorf("in the end the status is %+v", got)
	}
	return nil
}

// play carries out operations on a new gate. The error is the first difference
// from the model.
func play(t *testing.T, budget uint64, compute int, operations []operation) (err error) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		m := newModel(budget, compute)
		defer func() {
			for _, p := range m.pieces {
				p.cancel(nil)
			}
		}()
		for i, o := range operations {
			before := m.admitted()
			if err = m.do(o); err == nil {
				synctest.Wait()
				err = errors.Join(m.check(), m.checkTurns(before))
			}
			if err != nil {
				err = fmt.Errorf("operation %d, %+v: %w", i, o, err)
				return
			}
		}
		err = m.drain()
	})
	return err
}

func TestGateFollowsItsModel(t *testing.T) {
	captureLog(t)
	operations := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) operation {
		return operation{
			what:  rapid.ByteRange(0, 9).Draw(t, "what"),
			of:    rapid.Byte().Draw(t, "of"),
			class: rapid.ByteRange(0, 5).Draw(t, "class"),
			bytes: rapid.Uint64().Draw(t, "bytes"),
		}
	}), 0, 100)
	rapid.Check(t, func(r *rapid.T) {
		budget := rapid.OneOf(rapid.Uint64Range(0, 10), rapid.Uint64Range(0, 1000), rapid.Uint64(), rapid.Just(uint64(math.MaxUint64))).Draw(r, "budget")
		compute := rapid.IntRange(1, 4).Draw(r, "compute")
		if err := play(t, budget, compute, operations.Draw(r, "operations")); err != nil {
			r.Fatal(err)
		}
	})
}

// TestBudgetKeepsItsAccount takes and frees in any order.
func TestBudgetKeepsItsAccount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Uint64().Draw(t, "max")
		g := NewGate(limit, 1, nil)
		var (
			frees []func()
			held  []uint64
		)
		sum := func() *big.Int {
			s := new(big.Int)
			for _, n := range held {
				s.Add(s, new(big.Int).SetUint64(n))
			}
			return s
		}
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				n := rapid.OneOf(rapid.Uint64(), rapid.Uint64Range(0, limit), rapid.Uint64Range(0, limit-g.Status().Held), rapid.Just(uint64(math.MaxUint64))).Draw(t, "bytes")
				fits := new(big.Int).Add(sum(), new(big.Int).SetUint64(n)).Cmp(new(big.Int).SetUint64(limit)) <= 0
				free, ok := g.Take(n)
				if ok != fits {
					t.Fatalf("taken: %t instead of %t", ok, fits)
				}
				if ok {
					frees, held = append(frees, free), append(held, n)
				}
			},
			"free": func(t *rapid.T) {
				if len(frees) == 0 {
					t.Skip("nothing is held")
				}
				i := rapid.IntRange(0, len(frees)-1).Draw(t, "of")
				frees[i]()
				frees, held = slices.Delete(frees, i, i+1), slices.Delete(held, i, i+1)
			},
			"": func(t *rapid.T) {
				if got := g.Status().Held; sum().String() != fmt.Sprint(got) || got > limit {
					t.Fatalf("%d of %d are held instead of %s", got, limit, sum())
				}
			},
		})
	})
}

// FuzzGate plays four bytes an operation.
func FuzzGate(f *testing.F) {
	f.Add(uint64(100), byte(2), []byte{})
	// Two lines and more than fits; releases; a cancel; time that passes.
	f.Add(uint64(100), byte(1), []byte("\x02\x00\x00\x50\x02\x01\x00\x50\x00\x00\x01\x05\x04\x00\x00\x00\x04\x00\x00\x00"))
	f.Add(uint64(10), byte(1), []byte("\x02\x00\x03\x01\x02\x01\x00\x01\x05\x00\x00\x00\x09\x00\x00\xff\x09\x00\x00\xff"))
	// A line that becomes exempt while it waits; bytes that are taken and freed.
	f.Add(uint64(0), byte(3), []byte("\x00\x00\x05\x01\x00\x01\x05\x01\x08\x01\x00\x00\x06\x00\x01\x00\x07\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, budget uint64, compute byte, script []byte) {
		captureLog(t)
		var operations []operation
		for chunk := range slices.Chunk(script, 4) {
			if len(chunk) < 4 || len(operations) == 200 {
				break
			}
			operations = append(operations, operation{what: chunk[0], of: chunk[1], class: chunk[2], bytes: uint64(chunk[3])})
		}
		if err := play(t, budget, 1+int(compute%4), operations); err != nil {
			t.Fatal(err)
		}
	})
}
